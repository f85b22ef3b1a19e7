"""The output of a command: progress and result, for a terminal, a CI log or a program."""

import contextlib
import datetime
import errno
import json as encoding
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from selfdeploy import ages

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

WORKFLOWS = ("CI", "GITHUB_ACTIONS", "FORGEJO_ACTIONS")
"""Variables of CI runners; any of them is `true` if the runner reads workflow commands from the log."""

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
MARKS = {True: ("✓", "+"), False: ("✗", "x")}
"""For Unicode terminals, and for all others."""

GONE = errno.EPIPE, errno.EIO
"""Errors of a write to a reader that went away: a pipe's, and a terminal's (tty_ioctl, hangup)."""

FRAMES_PER_SECOND = 10
WATCHED_EVERY = 5.0
"""Seconds between two updates of a watched result."""

COLUMNS = re.compile(r"^(\S+ +(?:\S+  )?)(\S+(?: \S+)*)")
"""Start of a line with a name, perhaps an address, and then a verdict."""

CODES = {"green": "32", "red": "31", "yellow": "33"}
"""A terminal's codes for colours (ECMA-48, SGR)."""

HEARTBEAT = 60.0
"""Seconds between two reports on the running stage in a log."""

SCHEMA = 1
"""Version of the output of `--json`; new fields do not change it (docs/events.schema.json)."""

NARROW = 40
"""Width of a terminal, in columns, up to which a stage's line is not aligned."""


def visible(text: str) -> str:
    r"""Return TEXT with all control and unprintable characters escaped, as in `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def defused(line: str) -> str:
    r"""Return LINE without workflow commands: runners obey `::` at its start, older ones `##[` anywhere."""
    start = len(line) - len(line.lstrip())
    colons = line.startswith("::", start)
    return (line[:start] + "\\" * colons + line[start:]).replace("##[", "##\\[")


def _painted(found: re.Match[str], colours: Mapping[str, str]) -> str:
    word = found[2]
    colour = next((name for verdict, name in colours.items() if word.startswith(verdict)), None)
    return f"{found[1]}\x1b[{CODES[colour]}m{word}\x1b[0m" if colour else found[0]


class Console:
    """Plain lines: progress on standard error, the result on standard output.

    If a reader goes away, the work goes on, and the output for that reader is dropped.
    """

    beats = True
    """True if it reports on the running stage once a minute, for the readers of a log."""

    def __init__(self, stdout: TextIO, stderr: TextIO, *, quiet: bool = False, workflow: bool = False) -> None:
        """Write to STDOUT and STDERR; QUIET shows no progress, WORKFLOW folds each stage into a group."""
        self._stdout, self._stderr = stdout, stderr
        self._quiet, self._workflow = quiet, workflow
        self._charset = stderr.encoding or "utf-8"
        self._running = ""
        self._took, self._since = dict[str, float](), dict[str, float]()
        self._describe: Callable[[], str] | None = None
        self._mutex = threading.Lock()
        self._changed: list[str] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show the start of the stage NAME, its outcome, and its duration in seconds."""
        self._since[name], ok = time.monotonic(), False
        self._running = "" if self._quiet else name
        self._describe = None
        try:
            if not self._quiet:
                self._stage_began(name)
            with self._beating(name):
                yield
            ok = True
        finally:
            self._running, self._describe = "", None
            self._took[name] = time.monotonic() - self._since.pop(name)
            if not self._quiet:
                self._stage_ended(name, self._took[name], ok=ok)

    def doing(self, describe: Callable[[], str]) -> None:
        """Use DESCRIBE, from now on, for the running stage's present activity."""
        self._describe = describe

    def waits(self, what: str, began: float, ends: float) -> None:
        """Show a wait for WHAT, with its seconds so far and its limit; BEGAN and ENDS are monotonic seconds."""
        self.doing(lambda: f"{what}  {time.monotonic() - began:.0f} s of {ends - began:.0f}")

    @contextlib.contextmanager
    def _beating(self, name: str) -> Iterator[None]:
        """Report once a minute on the stage NAME and its activity, until the block ends."""
        if self._quiet or not self.beats:
            yield
            return
        over, began = threading.Event(), time.monotonic()

        def beat() -> None:
            while not over.wait(HEARTBEAT):
                what = self._describe() if self._describe else "under way"
                self._noted(f"{what} ({ages.describe(time.monotonic() - began)} in {name})")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def took(self) -> dict[str, float]:
        """Return each stage's duration in seconds; running stages count up to now."""
        return self._took | {name: time.monotonic() - began for name, began in self._since.items()}

    def note(self, text: str) -> None:
        """Show TEXT, one line of progress."""
        if not self._quiet:
            self._noted(text.strip())

    def did(self, what: str) -> None:
        """Add WHAT, a stage, an environment or a file, to the changes listed in the result."""
        if what not in self._changed:
            self._changed.append(what)

    @property
    def changed(self) -> tuple[str, ...]:
        """The changes passed to `did`."""
        return tuple(self._changed)

    def result(
        self,
        text: str,
        data: Mapping[str, object] | Sequence[object] | None = None,  # noqa: ARG002 -- for programs
        colours: Mapping[str, str] | None = None,  # noqa: ARG002 -- for terminals
    ) -> None:
        """Show the command's result: TEXT for a person, DATA with the same content for a program.

        COLOURS maps verdicts (the beginnings of words in TEXT's first columns) to colours, for terminals with colours.
        """
        if text:
            self._write(self._stdout, *self._lines(text))

    def again(self) -> None:
        """Wait until the next update of a watched result."""
        time.sleep(WATCHED_EVERY)

    @property
    def asks(self) -> bool:
        """True if a person at a terminal can answer."""
        return False

    def error(self, message: str, hint: str, code: int) -> None:  # noqa: ARG002 -- CODE is for programs
        """Show the error MESSAGE and its HINT."""
        self._write(self._stderr, *self._lines(f"error: {message}"), *(self._lines(f"hint: {hint}") if hint else []))

    def agrees(self, question: str) -> bool:  # noqa: ARG002 -- for who can be asked
        """Return whether the person agrees to QUESTION; True if there is nobody to ask."""
        return True

    def close(self) -> None:
        """Restore the terminal."""

    def _stage_began(self, name: str) -> None:
        if self._workflow:
            name = name.replace("%", "%25")  # the runner unescapes the text after a command's colons
        self._write(self._stderr, f"::group::{self._line(name)}" if self._workflow else f"{self._line(name)} ...")

    def _stage_ended(self, name: str, seconds: float, *, ok: bool) -> None:
        took = f"{self._line(name)}: {'' if ok else 'failed after '}{seconds:.1f} s"
        self._write(self._stderr, took, *(["::endgroup::"] if self._workflow else []))

    def _noted(self, text: str) -> None:
        self._write(self._stderr, f"{'  ' if self._running else ''}{self._line(text)}")

    def _line(self, text: str) -> str:
        """Return TEXT as one line without control characters, and without commands for a runner."""
        line = visible(text).encode(self._charset, "backslashreplace").decode(self._charset)
        return defused(line) if self._workflow else line

    def _lines(self, text: str) -> list[str]:
        return [self._line(line.expandtabs()) for line in text.replace("\r\n", "\n").rstrip("\n").split("\n")]

    def _write(self, stream: TextIO, *lines: str) -> None:
        with self._mutex:
            try:
                stream.write("".join(f"{line}\n" for line in lines))
                stream.flush()
            except OSError as exc:
                if exc.errno not in GONE:
                    raise
                # Python flushes the buffer once more at exit: to nowhere.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


class JsonLines(Console):
    """Events for a program, one JSON object per line of standard output; standard error has the error only."""

    def __init__(
        self, stdout: TextIO, stderr: TextIO, *, command: str, quiet: bool = False, workflow: bool = False
    ) -> None:
        """Write to STDOUT and STDERR; COMMAND is the command's name as typed."""
        super().__init__(stdout, stderr, quiet=quiet, workflow=workflow)
        self._command = command

    def result(
        self,
        text: str,
        data: Mapping[str, object] | Sequence[object] | None = None,
        colours: Mapping[str, str] | None = None,  # noqa: ARG002 -- for terminals
    ) -> None:
        """Show DATA: an object's keys are the event's own, a list is its `items`. Without DATA, show TEXT.

        `command` is the command's name; `changed` lists the changed stages, environments and files.
        """
        told = data if isinstance(data, Mapping) else {"text": text} if data is None else {"items": list(data)}
        self._event("result", {**told, "command": self._command, "changed": list(self._changed)})

    def error(self, message: str, hint: str, code: int) -> None:
        """Show the error to the program and to the person."""
        self._event("error", {"message": message, "hint": hint, "exit": code, "command": self._command})
        super().error(message, hint, code)

    def _stage_began(self, name: str) -> None:
        self._event("stage", {"name": name})

    def _stage_ended(self, name: str, seconds: float, *, ok: bool) -> None:
        self._event("stage-ended", {"name": name, "seconds": round(seconds, 3), "ok": ok})

    def _noted(self, text: str) -> None:
        self._event("note", {"stage": self._running or None, "text": text})

    def _event(self, event: str, told: Mapping[str, object]) -> None:
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        own: dict[str, object] = {"event": event, "schema": SCHEMA, "at": at}
        line = encoding.dumps(own | dict(told) | own, default=str)
        self._write(self._stdout, line.replace("##[", "##\\u005b"))  # inside a JSON string, the escape keeps its value


class Terminal(Console):
    """A live line for the running stage, and a permanent line for each finished stage."""

    beats = False

    def __init__(self, stdout: TextIO, stderr: TextIO, *, colour: bool) -> None:
        """Draw on STDERR, with COLOUR or without."""
        from rich.console import Console as Screen  # noqa: PLC0415 -- start-up is a feature

        super().__init__(stdout, stderr)
        self._screen = Screen(
            file=stderr,
            force_terminal=True,
            force_interactive=True,
            color_system="auto" if colour else None,
            soft_wrap=True,
        )
        self._colour = colour
        self._plain = not self._charset.lower().startswith("utf")
        self._live: Live | None = None
        self._began, self._last = 0.0, ""

    def result(
        self,
        text: str,
        data: Mapping[str, object] | Sequence[object] | None = None,
        colours: Mapping[str, str] | None = None,
    ) -> None:
        """Show TEXT, with its words in COLOURS if standard output is the terminal, too."""
        if not (text and colours and self._colour and self._stdout.isatty()):
            super().result(text, data)
            return
        lines = [COLUMNS.sub(lambda found: _painted(found, colours), line) for line in self._lines(text)]
        self._write(self._stdout, *lines)

    def again(self) -> None:
        """Wait, then clear the screen."""
        super().again()
        if self._stdout.isatty():
            self._stdout.write("\x1b[H\x1b[2J")

    @property
    def asks(self) -> bool:
        """True if standard input is the terminal, too."""
        return sys.stdin.isatty()

    def error(self, message: str, hint: str, code: int) -> None:  # noqa: ARG002 -- CODE is for programs
        """Show the error, with a red word to find it by."""
        lines = "\n".join(self._lines(message))
        self._print(("error:", "red"), f" {lines}")
        if hint:
            self._print("\n".join(self._lines(f"hint: {hint}")))

    def agrees(self, question: str) -> bool:
        """Ask QUESTION, if somebody can answer; any answer but yes is a no."""
        if not self.asks:
            return True
        self._stderr.write("\n".join(self._lines(f"{question} [y/N]")) + " ")
        self._stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def close(self) -> None:
        """Restore the cursor after any interruption."""
        if self._live is not None:
            self._live.stop()
        self._screen.show_cursor()

    def _stage_began(self, name: str) -> None:
        from rich.live import Live  # noqa: PLC0415 -- start-up is a feature

        self._began, self._last = time.monotonic(), ""
        self._live = Live(
            console=self._screen,
            get_renderable=lambda: self._under_way(name),
            refresh_per_second=FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _stage_ended(self, name: str, seconds: float, *, ok: bool) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        mark = MARKS[ok][self._plain], "green" if ok else "red"
        self._screen.print(self._row(mark, name, seconds, self._last if ok else ""))

    def _noted(self, text: str) -> None:
        if self._live is None:
            self._print(self._line(text))
        else:
            self._last, self._describe = self._line(text), None

    def _under_way(self, name: str) -> "Text":
        seconds = time.monotonic() - self._began
        frames = FRAMES[self._plain]
        frame = frames[int(seconds * FRAMES_PER_SECOND) % len(frames)]
        return self._row((frame, "cyan"), name, seconds, self._line(self._describe()) if self._describe else self._last)

    def _row(self, mark: tuple[str, str], name: str, seconds: float, note: str) -> "Text":
        """Return a stage's line, cut to the terminal's present width less one column: some terminals wrap there."""
        from rich.text import Text  # noqa: PLC0415 -- start-up is a feature

        columns = os.get_terminal_size(self._stderr.fileno()).columns or self._screen.width
        named, took = self._line(name), f"{seconds:.1f} s"
        if columns > NARROW:
            named, took = f"{named:<9}", f"{took:>7}"
        line = Text.assemble(mark, f" {named}  {took}", (f"  {note}", "dim"))
        line.truncate(max(1, columns - 1), overflow="crop" if self._plain else "ellipsis")
        return line

    def _print(self, *parts: str | tuple[str, str]) -> None:
        """Write PARTS, each a text, or a text and its style; markup is not read, and the terminal breaks the lines."""
        from rich.text import Text  # noqa: PLC0415 -- start-up is a feature

        self._screen.print(Text.assemble(*parts))


def choose(
    *,
    command: str = "",
    json: bool = False,
    quiet: bool = False,
    environment: Mapping[str, str] = os.environ,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> Console:
    """Return the console for COMMAND: events if JSON is set, else the one that fits ENVIRONMENT and the streams."""
    stdout, stderr = stdout or sys.stdout, stderr or sys.stderr
    workflow = any(environment.get(name) == "true" for name in WORKFLOWS)
    if json:
        return JsonLines(stdout, stderr, command=command, quiet=quiet, workflow=workflow)
    dumb = environment.get("TERM", "") in {"", "dumb"}
    if quiet or workflow or environment.get("CI") or dumb or not stderr.isatty():
        return Console(stdout, stderr, quiet=quiet, workflow=workflow)
    return Terminal(stdout, stderr, colour=not environment.get("NO_COLOR"))
