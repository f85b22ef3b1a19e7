"""The only place that starts processes: lists of arguments, deadlines, no shell; children die with this process."""

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

from selfdeploy import errors
from selfdeploy.process import surroundings

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
Child = subprocess.Popen[bytes]
Giver = Callable[[IO[bytes]], object]
"""A function that writes a process's standard input."""

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL to a process group."""

TIMED_OUT = (124, 137, -9)
"""Exit codes of `timeout` at its deadline (coreutils manual): 124; 137, seen as -9, if it had to kill itself, too."""

UNAWARE = 128 + signal.SIGTERM
"""Exit code of `timeout`, if it is terminated before it knows its child's pid; the child goes on."""

LEFT = 5.0
"""Seconds to read the rest of a process's output once it has ended."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a process: its exit code and its output."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """Standard output as text, without surrounding white space."""
        return self.stdout.decode(errors="replace").strip()

    @property
    def complaint(self) -> str:
        """The last lines of standard error, for a person."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-12:])


def guard(seconds: float) -> list[str]:
    """Return the argv prefix for a command with a deadline, in a process group that dies with this process.

    `timeout` makes the group and passes SIGTERM on to all of it. `setpriv` makes the kernel send this SIGTERM when the
    starting thread ends, for any reason.
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

    CWD and ENV, its whole environment, default to the program's policy in `surroundings`.
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
    except ValueError as exc:  # a NUL or an invalid character; its text quotes neither the argument nor the variable
        raise errors.CommandFailed(f"{argv[0]}: an argument or a variable that no process can have: {exc}") from exc


def end(child: Child, *, patience: float = 0) -> None:
    """End CHILD and its whole process group, after PATIENCE seconds to end by itself, and wait for it."""
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
    """Let GIVE write CHILD's input; if it fails, end CHILD before it takes a part for the whole."""
    if child.stdin is None:
        return
    try:
        give(child.stdin)
    except BrokenPipeError:
        pass  # its own error says why it reads no more
    except Exception as exc:  # noqa: BLE001 -- raised by who waits
        failed.append(exc)
        end(child)
    with contextlib.suppress(OSError):
        child.stdin.close()


def _converse(child: Child, argv: Sequence[str], give: Giver | None) -> Outcome:
    """Let GIVE write the input of CHILD, started as ARGV; return its outcome, with its output to pipes.

    A process outside its group, and so without its deadline, may keep the pipes open; it is not waited for.
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
    """Run ARGV to its end and return the outcome.

    Args:
        argv: the command; never a shell string.
        timeout: seconds until the whole process group is ended.
        cwd: the folder it runs in.
        env: its whole environment; default: the program's policy in `surroundings`.
        stdin: its standard input; default: nothing.
        log: a file for both of its outputs, instead of the outcome.
        check: raise if it fails.

    Raises:
        errors.ToolMissing: there is no such program.
        errors.CommandTimedOut: the deadline passed.
        errors.CommandFailed: its exit code is not 0, and CHECK is set.
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
    """Run ARGV to its end while GIVE writes its standard input; return the outcome, with any exit code.

    Raises:
        errors.ToolMissing, errors.CommandTimedOut: as `run` does.
    """
    began = time.monotonic()
    child = start(argv, timeout=timeout, env=env, stdin=subprocess.PIPE)
    return _checked(_converse(child, argv, give), timeout, began)


def _checked(outcome: Outcome, timeout: float, began: float) -> Outcome:
    """Return OUTCOME, unless the deadline passed or the program is missing; BEGAN is in monotonic seconds.

    Raises:
        errors.ToolMissing, errors.CommandTimedOut: as `run` does.
    """
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
    """Run ARGV to its end, both of its outputs into LOG, with each line passed to TELL; return the exit code."""
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
    """Replace this process by ARGV, with its terminal: for interactive programs."""
    try:
        os.execvpe(argv[0], list(argv), surroundings.read(surroundings.program(argv)))  # noqa: S606 -- no shell is what is wanted
    except FileNotFoundError as exc:
        raise errors.ToolMissing(f"{argv[0]}: not found", "run ./bootstrap --check") from exc


class Running:
    """A caller's running processes, so that all can be ended together."""

    def __init__(self) -> None:
        self._children: set[Child] = set()
        self._mutex = threading.Lock()
        self._closed = False

    def run_logged(
        self, argv: Sequence[str], *, timeout: float, cwd: Path, env: Mapping[str, str], log: IO[bytes]
    ) -> int:
        """Run ARGV with both outputs into LOG; return its exit code, 124 if it timed out, 143 after `close`."""
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
        """End all running processes; nothing can be started after it."""
        with self._mutex:
            self._closed = True
            children = list(self._children)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
        for child in children:
            end(child)


def environment(names: Sequence[str]) -> dict[str, str]:
    """Return the variables of this process's environment listed in NAMES, if they are set."""
    return {name: os.environ[name] for name in names if name in os.environ}
