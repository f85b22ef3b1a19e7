"""The only place that starts a process: argv lists, deadlines, no shell; children die with it."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from selfdeploy import errors, surroundings

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
Child = subprocess.Popen[bytes]
Giver = Callable[[IO[bytes]], object]
"""What writes a process's standard input."""

GRACE = 5.0
"""Seconds between asking a process group to end and killing it."""

TIMED_OUT = (124, 137, -9)
"""What a command ends with that ran out of time (coreutils manual): 124; or 137, seen as -9, where `timeout` had to
kill its group and so itself."""

UNAWARE = 128 + signal.SIGTERM
"""What `timeout` ends with that is asked to before it knows the pid of what it has started, which then goes on."""

LEFT = 5.0
"""Seconds that are given to what a process wrote, once it has ended, to be read."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a process ended: its exit code and what it wrote."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """Standard output as text, without the white space around it."""
        return self.stdout.decode(errors="replace").strip()

    @property
    def complaint(self) -> str:
        """The end of standard error: what a person wants to read first."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-12:])


def guard(seconds: float) -> list[str]:
    """Return the argv prefix that gives a command a deadline and a process group that dies with this process.

    `timeout` makes the group and passes SIGTERM on to all of it; `setpriv` has the kernel send that SIGTERM when
    the thread that started it is gone, however it went.
    """
    return ["setpriv", "--pdeathsig", "TERM", "timeout", f"--kill-after={GRACE:g}", f"{seconds:g}"]


def start(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> Child:
    """Start ARGV under a deadline of TIMEOUT seconds and return it; the caller ends it with `end`.

    It has the surroundings of its program, where CWD and ENV, its whole environment, are left out.
    """
    policy = surroundings.program(argv)
    try:
        return subprocess.Popen(
            [*guard(timeout), *argv],
            cwd=cwd or surroundings.folder(policy),
            env=surroundings.read(policy) if env is None else env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            close_fds=True,
        )
    except FileNotFoundError as exc:
        raise errors.ToolMissing(f"{exc.filename}: not found", "run ./bootstrap --check") from exc
    except ValueError as exc:  # a NUL, or what is no character; its text has neither the argument nor the variable
        raise errors.CommandFailed(f"{argv[0]}: an argument or a variable that no process can have: {exc}") from exc


def end(child: Child, *, patience: float = 0) -> None:
    """End CHILD and its whole process group, PATIENCE seconds after it could have ended itself, and wait for it."""
    if patience:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(GRACE + 2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.returncode == UNAWARE:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _listen(pipe: IO[bytes], told: bytearray) -> None:
    with pipe:
        while data := os.read(pipe.fileno(), 65_536):
            told.extend(data)


def _speak(child: Child, give: Giver, failed: list[Exception]) -> None:
    """Have GIVE write the input of CHILD; when it fails, end CHILD before it takes a part for the whole."""
    if child.stdin is None:
        return
    try:
        give(child.stdin)
    except BrokenPipeError:
        pass  # it tells why it reads no more
    except Exception as exc:  # noqa: BLE001 -- raised by who waits
        failed.append(exc)
        end(child)
    with contextlib.suppress(OSError):
        child.stdin.close()


def _converse(child: Child, argv: Sequence[str], give: Giver | None) -> Outcome:
    """Have GIVE write the input of CHILD, which is ARGV, and return how it went, with what it wrote to pipes.

    Who has left its process group, and so its deadline, may keep those open, and is not waited for.
    """
    told = bytearray(), bytearray()
    failed: list[Exception] = []
    pipes = [(pipe, into) for pipe, into in zip((child.stdout, child.stderr), told, strict=True) if pipe]
    parts = [threading.Thread(target=_listen, args=each, daemon=True) for each in pipes]
    if give:
        parts.append(threading.Thread(target=_speak, args=(child, give, failed), daemon=True))
    try:
        for part in parts:
            part.start()
        child.wait()  # and nothing else, so that an interrupt ends it at once
        ends = time.monotonic() + LEFT
        for part in parts:
            part.join(max(0.0, ends - time.monotonic()))
    finally:
        end(child)
    if failed:
        raise failed[0]
    return Outcome(argv=tuple(argv), code=child.returncode, stdout=bytes(told[0]), stderr=bytes(told[1]))


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    log: IO[bytes] | None = None,
    check: bool = True,
) -> Outcome:
    """Run ARGV to its end and return how it went.

    Args:
        argv: the command; never a shell string.
        timeout: seconds until the whole process group is ended.
        cwd: the folder it runs in.
        env: its whole environment; what `surroundings` gives its program when left out.
        stdin: what it reads; nothing when left out.
        log: a file that receives both of its outputs instead of the outcome.
        check: raise when it fails.

    Raises:
        errors.ToolMissing: there is no such program.
        errors.CommandTimedOut: the deadline passed.
        errors.CommandFailed: it exited with another code than 0, and CHECK is set.
    """
    given, began = stdin.encode() if isinstance(stdin, str) else stdin, time.monotonic()
    child = start(
        argv,
        timeout=timeout,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE if log is None else log,
        stderr=subprocess.PIPE if log is None else subprocess.STDOUT,
    )
    give = None if given is None else lambda pipe: pipe.write(given)
    outcome = _checked(_converse(child, argv, give), timeout, began)
    if check and outcome.code:
        raise errors.CommandFailed(f"{' '.join(argv[:4])}: exit code {outcome.code}", outcome.complaint)
    return outcome


def feed(argv: Sequence[str], give: Giver, *, timeout: float, env: Mapping[str, str] | None = None) -> Outcome:
    """Run ARGV to its end while GIVE writes its standard input, and return how it went, whatever its exit code.

    Raises:
        errors.ToolMissing, errors.CommandTimedOut: as `run` does.
    """
    began = time.monotonic()
    child = start(argv, timeout=timeout, env=env, stdin=subprocess.PIPE)
    return _checked(_converse(child, argv, give), timeout, began)


def _checked(outcome: Outcome, timeout: float, began: float) -> Outcome:
    """Return OUTCOME, of what BEGAN then, unless it is the one of a deadline, or of a program that is not there."""
    seconds = time.monotonic() - began
    if outcome.code == TIMED_OUT[0] or (outcome.code in TIMED_OUT and seconds >= timeout):
        raise errors.CommandTimedOut(f"{' '.join(outcome.argv[:3])}: no end after {timeout:g} s", outcome.complaint)
    if outcome.code == 127 and b"failed to run command" in outcome.stderr:  # noqa: PLR2004 -- timeout's own code
        raise errors.ToolMissing(f"{outcome.argv[0]}: not found", "run ./bootstrap --check")
    return outcome


def follow(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path,
    log: IO[bytes],
    tell: Callable[[str], None],
    env: Mapping[str, str] | None = None,
) -> int:
    """Run ARGV to its end, both of its outputs into LOG, and TELL every line as it comes; return the exit code."""
    child = start(argv, timeout=timeout, cwd=cwd, env=env, stderr=subprocess.STDOUT)
    try:
        for line in child.stdout or ():
            log.write(line)
            log.flush()
            tell(line.decode(errors="replace"))
        return child.wait()
    finally:
        end(child)


def become(argv: Sequence[str]) -> NoReturn:
    """Become ARGV, with this process's terminal: for what a person talks to until they end it."""
    try:
        os.execvpe(argv[0], list(argv), surroundings.read(surroundings.program(argv)))  # noqa: S606 -- no shell is what is wanted
    except FileNotFoundError as exc:
        raise errors.ToolMissing(f"{argv[0]}: not found", "run ./bootstrap --check") from exc


class Running:
    """The processes a caller has under way at once, so that all can be ended together."""

    def __init__(self) -> None:
        self._children: set[Child] = set()
        self._mutex = threading.Lock()
        self._closed = False

    def run_logged(
        self, argv: Sequence[str], *, timeout: float, cwd: Path, env: Mapping[str, str], log: IO[bytes]
    ) -> int:
        """Run ARGV with both outputs into LOG and return its exit code (124 when it ran out of time)."""
        with self._mutex:
            if self._closed:
                return signal.SIGTERM + 128
            child = start(argv, timeout=timeout, cwd=cwd, env=env, stdout=log, stderr=subprocess.STDOUT)
            self._children.add(child)
        try:
            return child.wait()
        finally:
            with self._mutex:
                self._children.discard(child)

    def close(self) -> None:
        """End all that is under way; nothing can be started after it."""
        with self._mutex:
            self._closed = True
            children = list(self._children)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
        for child in children:
            end(child)


def environment(names: Sequence[str]) -> dict[str, str]:
    """Return those of this process's environment variables that NAMES lists."""
    return {name: os.environ[name] for name in names if name in os.environ}
