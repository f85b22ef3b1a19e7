"""A person's terminal: a command runs on a real pseudo-terminal, and what it draws is on a screen."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

import pyte

from lab.children import Child, LabError, end


class Terminal:
    """A command on a pseudo-terminal; `written` is every byte it wrote, `screen` what they drew."""

    def __init__(self, child: Child, master: int, screen: pyte.Screen) -> None:
        self.child, self.screen, self.written = child, screen, b""
        self._master, self._stream = master, pyte.ByteStream(screen)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, down to the last that has something on it."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    def type(self, keys: bytes) -> None:
        """Type KEYS."""
        os.write(self._master, keys)

    def wait_for(self, text: str, *, seconds: float = 30.0) -> None:
        """Return as soon as TEXT is on the screen.

        Raises:
            LabError: it was not within SECONDS, or the command ended without it.
        """
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.lines):
            if not self._read(deadline):
                raise LabError("\n  | ".join([f"{text!r} did not come", *self.lines]))

    def wait(self, *, seconds: float = 30.0) -> int:
        """Return the exit code of the command, when it has ended and all it drew is on the screen."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.child.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, deadline: float) -> bool:
        """Draw what comes next; return whether there may be more before DEADLINE."""
        while time.monotonic() < deadline:
            ended = self.child.poll() is not None
            if select.select([self._master], [], [], 0 if ended else 0.05)[0]:
                try:
                    data = os.read(self._master, 1 << 16)
                except OSError:  # EIO: nobody has the other side open
                    return False
                self.written += data
                self._stream.feed(data)
                return True
            if ended:
                return False
        return False


@contextlib.contextmanager
def opened(
    argv: Sequence[str], *, environment: Mapping[str, str], columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """Run ARGV in a terminal of its own, and end it when the caller is done."""
    master, slave = pty.openpty()
    child = None
    try:
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            modes = termios.tcgetattr(slave)
            modes[3] &= ~termios.ECHO  # the screen shows what the command draws, not what is typed
            termios.tcsetattr(slave, termios.TCSANOW, modes)
            on_it = ["setpriv", "--pdeathsig", "KILL", "setsid", "--ctty", *argv]
            child = subprocess.Popen(on_it, stdin=slave, stdout=slave, stderr=slave, env=dict(environment))
        finally:
            os.close(slave)
        yield Terminal(child, master, pyte.Screen(columns, rows))
    finally:
        os.close(master)
        if child is not None:
            end(child)
