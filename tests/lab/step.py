"""One step of a workflow, run and cancelled as Forgejo's runner 12.2 does it; the runner itself is not run.

It was seen to start a step's shell in a session of its own on a pseudo-terminal. When the run is cancelled, it sends
SIGKILL to the whole process group of that shell, deletes the job's folder, and runs no other step.
"""

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from lab import children
from lab.site import ROOT, person

SHIPPED = ROOT / "templates" / "repository" / "self-deploy.yml"


def script(name: str) -> str:
    """Return what the shipped workflow runs in the step NAME."""
    steps = yaml.safe_load(SHIPPED.read_text())["jobs"]["release"]["steps"]
    return next(str(step["run"]) for step in steps if step["name"] == name)


class Step:
    """The step that is under way in FOLDER, which is the job's."""

    def __init__(self, shell: children.Child, folder: Path, log: Path) -> None:
        self.shell, self.folder, self.log = shell, folder, log

    @property
    def text(self) -> str:
        """What its page shows so far."""
        return self.log.read_text(errors="replace")

    def cancel(self) -> None:
        """Cancel the run."""
        os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait()
        deadline = time.monotonic() + 30
        while self.folder.exists():  # what is written there meanwhile goes too, as Go's os.RemoveAll has it
            shutil.rmtree(self.folder, ignore_errors=time.monotonic() < deadline)


@contextlib.contextmanager
def started(name: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Step]:
    """Start the step NAME of the shipped workflow in FOLDER, with ENVIRONMENT on top of a person's."""
    file, log = folder / "step.sh", folder.parent / f"{folder.name}.log"
    file.write_text(script(name))
    master, slave = pty.openpty()
    # setsid becomes the shell: it leads no process group, so that it does not fork.
    argv = ["setsid", "--ctty", "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(file)]
    shell = subprocess.Popen(argv, cwd=folder, stdin=slave, stdout=slave, stderr=slave, env={**person(), **environment})
    os.close(slave)
    page = threading.Thread(target=_keep, args=(master, log))
    page.start()
    try:
        yield Step(shell, folder, log)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        page.join(60)
        os.close(master)


def _keep(master: int, log: Path) -> None:
    with log.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # EIO: nobody has the other side open
        while data := os.read(master, 1 << 16):
            file.write(data)
