"""Being told to end where Python loses it or stumbles over it: a command ends as it does anywhere else."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

WORKING = """
import time
print("here", flush=True)
ends = time.monotonic() + 1
while time.monotonic() < ends: pass
"""
IN_AN_IMPORT = "import slow"
IN_A_DESTRUCTOR = """
class Slow:
    def __del__(self):
        print("here", flush=True)
        ends = time.monotonic() + 1
        while time.monotonic() < ends: pass
one = Slow()
del one
"""
PROGRAM = """
import sys, time
sys.path.insert(0, ".")
from selfdeploy import interrupts
interrupts.listen()
try:
{work}
    time.sleep(30)
except KeyboardInterrupt:
    print("caught", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", [IN_AN_IMPORT, IN_A_DESTRUCTOR, WORKING])
def test_it_is_raised_where_it_can_be_caught(tmp_path: Path, work: str, how: signal.Signals) -> None:
    (tmp_path / "slow.py").write_text(WORKING)
    lines = "".join(f"    {line}\n" for line in work.splitlines())
    argv = [sys.executable, "-c", PROGRAM.format(work=lines)]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        child.stdout.readline()
        child.send_signal(how)
        said, complaint = child.communicate(timeout=20)

    assert (said, complaint, child.returncode) == ("caught\n", "", 0)
