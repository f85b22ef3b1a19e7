"""Running a command to its end, and not to that of what it leaves behind."""

import os
import signal
import time

from selfdeploy import process


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
