#!/usr/bin/env bash
# Linux: ru_maxrss of a small program is as large as the process that started it.
#
# Guess: getrusage's ru_maxrss (and `time -v`, and wait4 of the child) is the most memory that the program itself had.
# Behaviour: exec keeps the mark of the address space that it leaves. Started by vfork, as Python's subprocess and
#   posix_spawn do, that is the parent's: a program of 10 MB that a process of 300 MB starts has an ru_maxrss of 300 MB.
#   VmHWM in /proc/self/status is the program's own.
# Seen with: Linux 6.18, Python 3.11.7. Needs: python3, Linux. Exits 0 as long as it behaves so.
#
# Output (MB, the last digits vary):
#   small parent:  ru_maxrss  13, VmHWM  13
#   parent of 300: ru_maxrss 306, VmHWM  13
set -euo pipefail

child='
import resource
status = open("/proc/self/status").read()
hwm = int(status.partition("VmHWM:")[2].split()[0])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000, hwm // 1000)
'
parent='
import subprocess, sys
held = b"x" * int(sys.argv[1])
print(subprocess.run([sys.executable, "-c", sys.argv[2]], capture_output=True, text=True, check=True).stdout, end="")
'

read -r small_rss small_hwm < <(python3 -c "$parent" 1 "$child")
read -r large_rss large_hwm < <(python3 -c "$parent" 300000000 "$child")
printf 'small parent:  ru_maxrss %3d, VmHWM %3d\n' "$small_rss" "$small_hwm"
printf 'parent of 300: ru_maxrss %3d, VmHWM %3d\n' "$large_rss" "$large_hwm"
((large_rss > 250 && small_rss < 100)) || { echo "it behaves otherwise now: ru_maxrss is the program's own" >&2 && exit 1; }
((large_hwm < 100)) || { echo "it behaves otherwise now: VmHWM is not the program's own" >&2 && exit 1; }
