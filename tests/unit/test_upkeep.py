"""What an environment is told of while somebody holds it, and what is taken down where nothing runs."""

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from lab.values import HOLDER, a_project, a_proven
from selfdeploy import environments, upkeep
from selfdeploy.environments import record
from selfdeploy.environments.compose import Compose
from selfdeploy.environments.queue import Queue
from selfdeploy.provenance import Holder

PROJECT = a_project(root=Path("/nowhere"))
SINCE = replace(HOLDER, since="2024-01-01T00:00:01Z")
BEGUN = record.Record().begin(record.Attempt.of(a_proven(), SINCE, "2024-01-01T00:00:02Z"))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """One on which an attempt has begun, and nothing runs."""
    made: mock.Mock = mock.create_autospec(Compose, instance=True)
    made.name, made.url = "test", "http://127.0.0.1:4100"
    made.read.return_value, made.replicas.return_value = BEGUN, ()
    monkeypatch.setattr(environments, "connect", lambda *_: made)
    return made


@pytest.mark.parametrize(
    ("holder", "cut_off"),
    [
        (SINCE, False),
        (replace(SINCE, since="2024-01-01T00:00:03Z"), True),
        (replace(SINCE, who="somebody@else"), True),
        (None, True),
    ],
)
def test_an_attempt_is_cut_off_also_while_a_later_one_holds_the_environment(
    environment: mock.Mock,
    holder: Holder | None,
    cut_off: bool,  # noqa: FBT001
) -> None:
    environment.held_by.return_value = holder

    status, history = upkeep.read_status(PROJECT, "test"), upkeep.read_history(PROJECT, "test")

    assert [attempt.ending for attempt in history] == ["cut off" if cut_off else "under way"]
    assert ("cut off  " in str(status)) is cut_off
    assert bool(status.as_data()["cutOff"]) is cut_off
    assert (f"locked   by {holder}" in str(status)) is bool(holder)


@pytest.mark.parametrize(("known", "calls"), [(BEGUN, 1), (record.Record(), 0)])
def test_what_has_no_replica_left_is_taken_down_unless_nothing_was_ever_released(
    environment: mock.Mock, known: record.Record, calls: int
) -> None:
    environment.read.return_value = known
    environment.any_image.return_value = "image"

    upkeep.take_down(PROJECT, "test", Queue())

    assert environment.down.call_count == calls
