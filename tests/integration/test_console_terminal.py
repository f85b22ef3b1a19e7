"""The console on a real pseudo-terminal and on real pipes, and the picture that is made of one."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab import children, picture
from lab.children import LabError
from lab.terminal import Terminal, opened

PERSON = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
COLOUR = re.compile(rb"\x1b\[[\d;]*m")

BEGIN = """\
import signal
from selfdeploy import console
signal.signal(signal.SIGTERM, signal.default_int_handler)
shown = console.choose()
"""
WAIT = """
with shown.stage("gates"):
    shown.note("gate build-core passed in 3.1 s")
    input()
shown.result("done")
"""
FAIL = """
try:
    with shown.stage("gates"):
        input()
        raise LookupError
except (LookupError, KeyboardInterrupt):
    shown.error("[bold]no[/bold]", "look", 9)
finally:
    shown.close()
"""


def program(body: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", BEGIN + body]


def cursor_is_back(terminal: Terminal) -> bool:
    return terminal.written.rindex(SHOW) > terminal.written.rindex(HIDE)


def lines(terminal: Terminal) -> list[str]:
    """Return what is on the screen, without the empty lines, the seconds and the width of columns."""
    return [re.sub(r"(?<=\S) {2,}", "  ", re.sub(r"\d+\.\d s", "N s", line)) for line in terminal.lines if line]


def test_a_running_stage_has_a_live_line_and_an_ended_one_a_permanent_line() -> None:
    with opened(program(WAIT), environment=PERSON) as terminal:
        terminal.wait_for("gate build-core passed in 3.1 s")
        live = lines(terminal)
        terminal.wait_for("0.3 s")
        terminal.type(b"\n")
        code = terminal.wait()

        assert len(live) == 1
        assert re.fullmatch(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] gates  N s  gate build-core passed in N s", live[0])
        assert code == 0
        assert "✓ gates  N s  gate build-core passed in N s" in lines(terminal)
        assert lines(terminal)[-1] == "done"
        assert COLOUR.search(terminal.written)
        assert cursor_is_back(terminal)


def test_without_colours_the_line_still_lives() -> None:
    with opened(program(WAIT), environment=PERSON | {"NO_COLOR": "1"}) as terminal:
        terminal.wait_for("0.3 s")
        terminal.type(b"\n")
        terminal.wait()

        assert HIDE in terminal.written
        assert not COLOUR.search(terminal.written)


@pytest.mark.parametrize(
    "environment", [{"CI": "true"}, {"CI": "1"}, {"GITHUB_ACTIONS": "true"}, {"TERM": "dumb"}, {"TERM": ""}]
)
def test_a_ci_log_and_a_dumb_terminal_get_no_escape_at_all(environment: dict[str, str]) -> None:
    with opened(program(WAIT), environment=PERSON | environment) as terminal:
        terminal.wait_for("gate build-core")
        terminal.type(b"\n")
        terminal.wait()

        assert b"\x1b" not in terminal.written
        assert "  gate build-core passed in N s" in lines(terminal)


@pytest.mark.parametrize("keys", [b"\n", b"\x03"])
def test_the_cursor_is_back_after_an_error_and_after_ctrl_c(keys: bytes) -> None:
    with opened(program(FAIL), environment=PERSON) as terminal:
        terminal.wait_for("gates")
        terminal.type(keys)
        terminal.wait()

        assert lines(terminal)[-3:] == ["✗ gates  N s", "error: [bold]no[/bold]", "hint: look"]
        assert cursor_is_back(terminal)
        assert b"\x1b[31merror:\x1b[0m" in terminal.written


def test_the_cursor_is_back_after_sigterm() -> None:
    with opened(program(FAIL), environment=PERSON) as terminal:
        terminal.wait_for("gates")
        terminal.child.send_signal(signal.SIGTERM)
        terminal.wait()

        assert lines(terminal)[-3:] == ["✗ gates  N s", "error: [bold]no[/bold]", "hint: look"]
        assert cursor_is_back(terminal)


@pytest.mark.parametrize("told", [{}, {"COLUMNS": "300"}])
def test_a_narrow_terminal_keeps_one_line(told: dict[str, str]) -> None:
    body = WAIT.replace("gate build-core passed", "漢字" * 30)

    with opened(program(body), environment=PERSON | told, columns=20, rows=6) as terminal:
        terminal.wait_for("0.3 s")
        live = lines(terminal)
        terminal.type(b"\n")
        terminal.wait()

        assert len(live) == 1
        assert live[0].endswith("…")
        assert [line[:12] for line in lines(terminal)] == ["✓ gates  N s", "done"]


def test_hostile_text_is_text_on_a_terminal() -> None:
    hostile = r"[red]x[/red] :smile: \x1b]0;owned\x07\x1b[2J\r\u202e"
    body = f"""
text = "{hostile}"
with shown.stage(text):
    shown.note("live " + text)
    input()
shown.note("note " + text)
shown.result("result " + text)
shown.error(text, text, 9)
"""

    with opened(program(body), environment=PERSON) as terminal:
        terminal.wait_for("live")
        live = lines(terminal)
        terminal.type(b"\n")
        terminal.wait()

        assert live[0][1:].startswith(f" {hostile}  ")
        assert any(line.startswith(f"✓ {hostile}  N s") for line in lines(terminal))
        assert lines(terminal)[-4:] == [
            f"note {hostile}",
            f"result {hostile}",
            f"error: {hostile}",
            f"hint: {hostile}",
        ]
        assert terminal.screen.title == ""


def test_a_terminal_without_unicode_gets_ascii() -> None:
    with opened(program(WAIT), environment=PERSON | {"PYTHONIOENCODING": "ascii"}) as terminal:
        terminal.wait_for("0.3 s")
        terminal.type(b"\n")
        terminal.wait()

        assert "+ gates  N s  gate build-core passed in N s" in lines(terminal)
        assert terminal.written.isascii()


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.parametrize("json", [False, True])
def test_a_reader_that_goes_away_ends_nothing_and_causes_no_traceback(closed: str, json: bool, tmp_path: Path) -> None:  # noqa: FBT001 -- pytest's parameter
    body = f"""
shown = console.choose(json={json})
with shown.stage("gates"):
    input()
    for number in range(10_000):
        shown.note(str(number))
shown.result("done")
shown.error("no", "yes", 9)
open({str(tmp_path / "end")!r}, "w").close()
"""
    with subprocess.Popen(
        program(body), env=PERSON, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        pipes = {"stdout": child.stdout, "stderr": child.stderr}
        gone = pipes.pop(closed)
        assert gone is not None
        gone.close()
        setattr(child, closed, None)

        told = child.communicate(b"\n", timeout=30)

    assert child.returncode == 0
    assert (tmp_path / "end").exists()
    assert b"Traceback" not in b"".join(output or b"" for output in told)


def test_a_terminal_that_is_taken_away_ends_a_command_which_still_cleans_up(tmp_path: Path) -> None:
    end = tmp_path / "end"
    code = f"""
import os, pathlib, signal, sys, time
from selfdeploy import tasks
def work(show):
    with show.stage("test"):
        try:
            pathlib.Path({str(tmp_path / "begun")!r}).touch()
            time.sleep(60)
        finally:
            show.note("letting go")
            os.kill(os.getpid(), signal.SIGTERM)  # and told again, as a runner does
            time.sleep(0.2)
            pathlib.Path({str(end)!r}).touch()
work.__name__ = "work"
from invoke import Context
try:
    tasks.command(work)(Context())
except BaseException as exc:
    pathlib.Path({str(end)!r}).write_text(f"{{type(exc).__name__}} {{getattr(exc, 'code', '')}}")
"""
    master, slave = pty.openpty()
    # A hang-up is left alone where it was when the tests began, as below nohup.
    shell = ["env", "--default-signal=HUP", "setsid", "--ctty", sys.executable, "-c", code]
    child = subprocess.Popen(shell, stdin=slave, stdout=slave, stderr=slave, env=PERSON | {"CI": "true"})
    os.close(slave)
    children.wait_until((tmp_path / "begun").exists, "the command")

    os.close(master)
    child.wait(30)

    assert end.read_text() == "Exit 130"


@pytest.mark.parametrize("chosen", ["", "json=True", "quiet=True"])
def test_rich_is_loaded_for_a_terminal_only(chosen: str) -> None:
    code = f"import sys; from selfdeploy import console; console.choose({chosen}); print('rich' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], env=PERSON, capture_output=True, check=True, timeout=30)

    assert done.stdout == b"False\n"


def shell(script: str) -> Sequence[str]:
    return ["sh", "-c", script]


def texts(drawn: str) -> list[str]:
    """Return the texts of a picture, those of one line joined."""
    rows: dict[str, str] = {}
    for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text"):  # noqa: S314 -- made by ourselves
        rows[element.attrib["y"]] = rows.get(element.attrib["y"], "") + "".join(element.itertext())
    return [row.replace("\xa0", " ").rstrip() for row in rows.values()]


def test_a_picture_is_the_last_screen_of_a_real_command_under_its_prompt() -> None:
    script = r"printf 'working\r\033[2K'; printf '\033[32mdone\033[0m in <%s>\n' $CI$TERM"

    drawn = picture.record(shell(script), {**PERSON, "CI": "true"})

    assert texts(drawn)[0].startswith("$ sh -c 'printf")
    assert texts(drawn)[-1] == "done in <xterm-256color>"
    assert "working" not in "".join(texts(drawn)[1:])


def test_a_picture_loads_nothing_from_elsewhere() -> None:
    drawn = picture.record(shell("echo fine"), PERSON)

    assert "font-face" not in drawn
    assert re.findall(r"url\((?!#)", drawn) == []
    assert re.findall(r"\w+://[^\s\"]+", drawn) == ["http://www.w3.org/2000/svg"]


def test_a_picture_is_of_a_command_that_succeeded() -> None:
    with pytest.raises(LabError, match="exit code 3"):
        picture.record(shell("exit 3"), PERSON)


@pytest.mark.parametrize(
    "text", [str(Path.cwd()), f"x={Path.home()}/y", "https://packages.invalid/simple", socket.gethostname()]
)
def test_a_picture_that_says_where_it_was_made_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="not for everybody"):
        picture.record(["echo", text], PERSON)


def test_a_picture_may_name_this_machine_as_everybody_calls_it() -> None:
    drawn = picture.record(shell("echo test http://127.0.0.1:4101 proven"), PERSON)

    assert texts(drawn)[-1] == "test http://127.0.0.1:4101 proven"
