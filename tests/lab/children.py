"""Processes that stand for parts of the outside world, and end with the process that started them."""

import abc
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

Child = subprocess.Popen[bytes]

GRACE = 10.0
"""Seconds a child has to end before it is killed."""


class LabError(Exception):
    """A part of the lab did not come up or go down as it should; the text says which, and why."""


def run(argv: Sequence[str], *, given: bytes = b"", timeout: float = 60.0) -> bytes:
    """Run ARGV to its end and return what it wrote; what it complained about is in the error when it fails."""
    done = subprocess.run(argv, input=given, capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip()
        raise LabError(f"{' '.join(argv)}: exit code {done.returncode}: {complaint}")
    return done.stdout


def spawn(argv: Sequence[str], log: Path, *, stdin: int = subprocess.DEVNULL) -> Child:
    """Start ARGV, its output appended to LOG; the kernel kills it when this thread ends, however that comes."""
    with log.open("ab") as output:
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=stdin, stdout=output, stderr=output)


def end(child: Child, how: signal.Signals = signal.SIGTERM) -> None:
    """Send HOW to CHILD, and see to its end."""
    child.send_signal(how)
    see_out(child)


def see_out(child: Child, seconds: float = GRACE) -> None:
    """Wait until CHILD has ended; kill it when it has not within SECONDS."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_until(settled: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Return as soon as SETTLED says so.

    Raises:
        LabError: it did not within SECONDS; WHAT names it.
    """
    deadline = time.monotonic() + seconds
    while not settled():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


class Part(abc.ABC):
    """A part of the outside world that is a process of ours; a context manager that starts it and removes it."""

    log: Path
    child: Child | None = None

    @abc.abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers."""

    @abc.abstractmethod
    def close(self) -> None:
        """End it and remove everything it kept; nothing of it need be there."""

    def spawn(self, argv: Sequence[str]) -> Child:
        """Start ARGV as this part, and return it."""
        self.child = spawn(argv, self.log)
        return self.child

    def wait_until(self, answers: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
        """Return as soon as it ANSWERS; when it does not, or ends, the end of its log is in the error."""

        def settled() -> bool:
            if self.child is not None and self.child.poll() is not None:
                raise LabError(f"{what}: it ended with exit code {self.child.returncode}")
            return answers()

        with explained_by(self.log):
            wait_until(settled, what, seconds=seconds)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send HOW to it, and see to its end; nothing when it does not run."""
        if self.child is not None:
            end(self.child, how)
            self.child = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def new_folder(kind: str, parent: Path) -> Path:
    """Return a new folder in PARENT for this process, and remove those of processes that did not live to do it."""
    for left in parent.glob(f"lab-{kind}-*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"lab-{kind}-{os.getpid()}-", dir=parent))


@contextlib.contextmanager
def explained_by(log: Path) -> Iterator[None]:
    """Add the end of LOG to a failure inside."""
    try:
        yield
    except LabError as exc:
        lines = log.read_text(errors="replace").splitlines()[-15:]
        raise LabError("\n  | ".join([str(exc), *lines])) from exc


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port of ADDRESS that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
    return port


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether nobody listens on the TCP port PORT of ADDRESS."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
