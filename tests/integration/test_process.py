"""Running a command to its end, and not to that of what it leaves behind."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from selfdeploy import errors, process


def test_what_left_its_group_and_kept_its_output_is_not_waited_for() -> None:
    began = time.monotonic()

    told = process.run(["sh", "-c", "setsid sleep 30 & echo hi; echo $! >&2"], timeout=2)

    took = time.monotonic() - began
    os.kill(int(told.stderr), signal.SIGTERM)
    assert told.text == "hi"
    assert took < 15


def test_all_that_was_written_is_read_whatever_was_given() -> None:
    given = b"x" * 300_000

    told = process.run(["sh", "-c", "tee /dev/fd/2"], timeout=20, stdin=given)

    assert (told.stdout, told.stderr) == (given, given)


def test_an_interrupt_while_something_is_given_ends_the_command_at_once() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            process.feed(["sleep", "60"], lambda pipe: pipe.write(b"x" * 10_000_000), timeout=50)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert time.monotonic() - began < 20


def test_an_error_while_feeding_is_raised_and_the_command_never_sees_the_end(tmp_path: Path) -> None:
    def give(pipe: IO[bytes]) -> None:
        pipe.write(b"half")
        pipe.flush()
        raise OSError("the disk is gone")

    code = "import pathlib, sys; sys.stdin.read(); pathlib.Path(sys.argv[1]).touch()"
    with pytest.raises(OSError, match="the disk is gone"):
        process.feed([sys.executable, "-c", code, str(tmp_path / "took")], give, timeout=50)

    assert not (tmp_path / "took").exists()


UNAWARE = """#!{python}
import os, signal, sys, time
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
if not os.fork():
    os.execvp(sys.argv[3], sys.argv[3:])
time.sleep(60)
"""
"""A `timeout` that is asked to end just before it knows whom to pass that on to, as coreutils' may be."""


def test_a_deadline_that_is_ended_before_it_knows_its_command_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "timeout").write_text(UNAWARE.format(python=sys.executable))
    (tmp_path / "timeout").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with process.start(["sh", "-c", "echo begun; sleep 20; echo ended"], timeout=50) as child:
        assert child.stdout
        begun = child.stdout.readline()

        process.end(child)

        assert (begun, child.stdout.read()) == (b"begun\n", b"")


@pytest.mark.parametrize(
    ("argv", "env"), [(["true", "a\0b"], None), (["true", "\ud800"], None), (["true"], {"TOKEN": "s3cret\0"})]
)
def test_what_no_process_can_be_given_is_an_error_that_tells_no_value(
    argv: list[str], env: dict[str, str] | None
) -> None:
    with pytest.raises(errors.CommandFailed, match="^true: ") as refused:
        process.run(argv, env=env, timeout=10)

    assert "s3cret" not in f"{refused.value.message}{refused.value.hint}"
