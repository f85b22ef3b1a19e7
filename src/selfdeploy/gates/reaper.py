"""The first process in a gate's namespaces: it starts the gate and reaps orphaned processes.

`unshare` starts it, with the command as argv. It imports only the standard library. When the gate has ended, the kernel
kills the remaining processes together with this one (pid_namespaces(7)).
"""

import os
import signal
import sys
from pathlib import Path

MISSING = 127
"""The exit code of a command that cannot be started, as in shells and `timeout`."""

PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores; a command that it starts would ignore them too."""


def environment() -> dict[bytes, bytes]:
    """Return this process's original environment; Python may add a variable to its own (PEP 538)."""
    given = Path("/proc/self/environ").read_bytes()
    return dict(variable.split(b"=", 1) for variable in given.split(b"\0") if b"=" in variable)


def start(argv: list[str]) -> int:
    """Start ARGV and return its process id."""
    given = environment()
    child = os.fork()
    if child:
        return child
    for ignored in PYTHON_IGNORES:
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, given)  # noqa: S606 -- no shell is what is wanted
    except OSError as exc:
        print(f"{argv[0]}: {exc.strerror}", file=sys.stderr, flush=True)
    os._exit(MISSING)


def main(argv: list[str]) -> int:
    """Run ARGV to its end, reap the processes that end before it, and return its exit code."""
    child = start(argv)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
