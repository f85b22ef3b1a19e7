"""What an environment is told of while somebody holds it, what was cut off there, and what is taken down."""

import io
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from lab.values import HOLDER, REVISION, a_manifest, a_project, a_proven
from selfdeploy import environments, errors, proving, upkeep
from selfdeploy.console import Console
from selfdeploy.environments import record
from selfdeploy.environments.compose import Compose
from selfdeploy.environments.queue import Queue
from selfdeploy.provenance import Holder
from selfdeploy.release import Releasing

PROJECT = a_project(root=Path("/nowhere"))
SINCE = replace(HOLDER, since="2024-01-01T00:00:01Z")
BEGUN = record.Record().begin(record.Attempt.of(a_proven(), SINCE, "2024-01-01T00:00:02Z"))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """One on which an attempt has begun, and nothing runs."""
    made: mock.Mock = mock.create_autospec(Compose, instance=True)
    made.name, made.url = "test", "http://127.0.0.1:4100"
    made.read.return_value, made.replicas.return_value, made.held_by.return_value = BEGUN, (), None
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


@pytest.fixture
def releasing(environment: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> Releasing:
    """A release to a place where the last attempt was cut off, and what runs there proves itself."""
    proven = record.Proven.of(a_manifest(), "as before")
    environment.read.return_value = record.Record().prove(proven, "t").begin(BEGUN.attempts[0])
    monkeypatch.setattr(proving, "prove", lambda *_: mock.sentinel.proof)
    return Releasing(PROJECT, Console(io.StringIO(), io.StringIO()))


def test_a_release_that_fails_before_it_comes_to_where_one_was_cut_off_has_that_run_what_it_last_proved(
    environment: mock.Mock, releasing: Releasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Releasing, "_settle", mock.Mock(side_effect=errors.NotProven("test does not prove it", "h")))

    with pytest.raises(errors.NotProven) as failed:
        releasing.rollout("test", mock.sentinel.release)

    told = failed.value.message.splitlines()
    assert told[0] == "test does not prove it"
    assert told[1].startswith(f"test: the attempt at {REVISION[:12]}, begun 2024-01-01T00:00:02Z by {HOLDER.who}")
    assert told[2] == f"test runs {REVISION} again, proven"
    assert environment.apply.call_args.args[2] == "as before"
    assert [one.ending for one in environment.write.call_args.args[1].attempts] == ["put back, proven", "cut off"]


@pytest.mark.parametrize("why", [errors.LockHeld, errors.LockLost, errors.EngineUnreachable, KeyboardInterrupt])
def test_a_release_that_has_no_hold_on_what_it_does_undoes_nothing(
    environment: mock.Mock, releasing: Releasing, monkeypatch: pytest.MonkeyPatch, why: type[BaseException]
) -> None:
    monkeypatch.setattr(Releasing, "_settle", mock.Mock(side_effect=why("why")))

    with pytest.raises(why):
        releasing.rollout("test", mock.sentinel.release)

    assert environment.apply.call_args is None
    assert environment.write.call_args is None


def test_what_cannot_be_undone_is_told_beside_why_a_release_failed(
    environment: mock.Mock, releasing: Releasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Releasing, "_settle", mock.Mock(side_effect=errors.GateFailed("typecheck: exit code 1")))
    environment.read.side_effect = errors.RecordInvalid("test: record: damaged")

    with pytest.raises(errors.GateFailed) as failed:
        releasing.rollout("test", mock.sentinel.release)

    assert failed.value.message.splitlines() == [
        "typecheck: exit code 1",
        "test: nothing that may have been cut off there is undone: test: record: damaged",
    ]


@pytest.mark.parametrize(("known", "calls"), [(BEGUN, 1), (record.Record(), 0)])
def test_what_has_no_replica_left_is_taken_down_unless_nothing_was_ever_released(
    environment: mock.Mock, known: record.Record, calls: int
) -> None:
    environment.read.return_value = known
    environment.any_image.return_value = "image"

    upkeep.take_down(PROJECT, "test", Queue())

    assert environment.down.call_count == calls
