from dataclasses import replace

import pytest

from lab.values import HOLDER, a_proven, an_attempt
from selfdeploy.environments import record
from selfdeploy.release import history

ONE, TWO = "1" * 40, "2" * 40


def an_entry(ending: str, back: str = "", **told: object) -> history.Entry:
    attempt = an_attempt().model_copy(update={"ending": ending, "revision": TWO, **told})
    return history.Entry(environment="prod", attempt=attempt, back=back, subject="fix the footer")


@pytest.mark.parametrize(
    ("ending", "back", "told"),
    [
        ("proven", "", "proven"),
        ("rolled back, proven", "", "rolled back, proven"),
        ("put back, proven", ONE, f"failed; {ONE[:12]} put back"),
        ("put back, not proven", ONE, f"failed; {ONE[:12]} put back, not proven"),
        ("put back, proven", TWO, "put back"),
        ("not put back", "", "failed; not put back"),
        ("down", "", "failed; down"),
        ("cancelled, put back, proven", ONE, f"cancelled; {ONE[:12]} put back"),
        ("cancelled, down", "", "cancelled; down"),
        ("not proven", "", "failed"),
        (record.TAKEN_DOWN, "", "taken down"),
        (record.CUT_OFF, "", "cut off"),
    ],
)
def test_an_ending_says_what_failed_and_what_runs_in_its_place(ending: str, back: str, told: str) -> None:
    assert an_entry(ending, back).ending == told


def test_a_line_says_when_where_how_what_who_and_how_long() -> None:
    attempt = record.Attempt.of(a_proven(), replace(HOLDER, took=lambda: {"gates": 61.04, "test": 3.0}), "2024-01-01")
    entry = history.Entry(environment="prod", attempt=attempt, subject="fix the footer")

    assert [part.strip() for part in str(entry).split("  ") if part.strip()] == [
        *("2024-01-01", "prod", "under way", "a" * 12, "fix the footer", f"ci@builder {HOLDER.run}"),
        "64 s (gates 61 s, test 3 s)",
    ]
    assert entry.as_data()["total"] == 64.0


def test_without_stages_the_time_is_from_the_beginning_to_the_end() -> None:
    times = {"began": "2024-01-01T10:00:00Z", "ended": "2024-01-01T10:01:30Z"}

    assert an_entry("proven", **times).total == 90.0
    assert an_entry(record.CUT_OFF, began=times["began"]).total is None


def test_what_was_cut_off_has_the_time_that_its_process_lived_to_tell_and_no_other() -> None:
    seconds = {"gates": 61.0, "test": 0.3}

    killed, interrupted = (an_entry(record.CUT_OFF, ended=ended, seconds=seconds) for ended in ("", "2024-01-01"))

    assert killed.total is None
    assert "0.3 s" not in str(killed)
    assert interrupted.total == 61.3


def test_files_that_counted_and_were_not_committed_are_named() -> None:
    holder = replace(HOLDER, uncommitted=("deploy.toml",))

    entry = history.Entry(environment="prod", attempt=record.Attempt.of(a_proven(), holder, "2024-01-01"))

    assert str(entry).endswith("  with deploy.toml as not committed")
    assert entry.as_data()["uncommitted"] == ("deploy.toml",)
