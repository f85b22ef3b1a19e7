"""An attempt whose CI run is cancelled, and one that a person interrupts."""

import dataclasses
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from lab.values import HOLDER, a_manifest, a_project
from selfdeploy import ages, errors, interrupts, tree
from selfdeploy.environments import Lock, record
from selfdeploy.environments.compose.environment import Compose
from selfdeploy.rollout import cancellation, proving


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process was told to end."""
    monkeypatch.setattr(interrupts, "was_told", lambda: True)
    monkeypatch.setattr(proving, "prove", lambda *_: mock.sentinel.proof)


@pytest.fixture
def environment(tmp_path: Path) -> mock.Mock:
    """One that has proven a release, and in which HOLDER has begun another."""
    made: mock.Mock = mock.create_autospec(Compose, instance=True)
    made.name, made.project = "test", a_project(root=tmp_path)
    known = record.Record().prove(record.Proven.of(a_manifest(), "as before"), "t")
    attempt = record.Attempt.of(record.Proven.of(a_manifest(), "as it is now"), HOLDER, ages.now())
    made.read.return_value = known.begin(attempt)
    return made


def interrupt(environment: mock.Mock, holder: object = HOLDER) -> None:
    lock = mock.create_autospec(Lock, instance=True)
    with cancellation.ending(environment, lock, holder):  # type: ignore[arg-type]
        raise KeyboardInterrupt


def written(environment: mock.Mock) -> record.Attempt:
    last: record.Attempt = environment.write.call_args.args[1].attempts[0]
    return last


def test_a_cancelled_run_ends_with_what_was_proven_and_says_so_on_record(environment: mock.Mock) -> None:
    with pytest.raises(errors.PutBack, match="test: the run was cancelled while it rolled out aaaaaaaaaaaa") as ended:
        interrupt(environment)

    assert written(environment).ending == "cancelled, put back, proven"
    assert written(environment).has_settled
    assert ended.value.hint.startswith("run it again")
    assert environment.apply.call_args.args[2] == "as before"
    with pytest.raises(FileNotFoundError):
        tree.hide(environment.project.work)
    assert not environment.project.work.exists()


def test_a_cancelled_first_release_goes_down(environment: mock.Mock) -> None:
    known = environment.read.return_value
    environment.read.return_value = known.model_copy(update={"proven": ()})

    with pytest.raises(errors.WentDown):
        interrupt(environment)

    assert written(environment).ending == "cancelled, down"


def test_what_a_person_interrupts_stays_as_it_is_and_has_its_real_time(environment: mock.Mock) -> None:
    person = dataclasses.replace(HOLDER, run="", took=lambda: {"gates": 1.0, "test": 41.26})
    known = environment.read.return_value
    theirs = known.attempts[0].model_copy(update={"run": ""})
    environment.read.return_value = known.model_copy(update={"attempts": (theirs,)})

    with pytest.raises(KeyboardInterrupt):
        interrupt(environment, person)

    environment.apply.assert_not_called()
    left = written(environment)
    assert left.model_copy(update={"ended": "", "seconds": theirs.seconds}) == theirs
    assert left.seconds == {"gates": 1.0, "test": 41.3}
    assert left.ended


def test_what_cannot_be_told_of_an_interrupt_is_not_told(environment: mock.Mock) -> None:
    environment.read.side_effect = errors.EngineUnreachable("away", "start it")

    with pytest.raises(KeyboardInterrupt):
        interrupt(environment, dataclasses.replace(HOLDER, run=""))


@pytest.mark.parametrize("whose", ["somebody@else", ""])
def test_an_attempt_of_another_s_is_not_ended(environment: mock.Mock, whose: str) -> None:
    known = environment.read.return_value
    other = known.attempts[0].model_copy(update={"who": whose})
    environment.read.return_value = known.model_copy(update={"attempts": (other,) if whose else ()})

    with pytest.raises(KeyboardInterrupt):
        interrupt(environment)

    environment.write.assert_not_called()


@pytest.fixture
def listening() -> Iterator[None]:
    """This process listens to signals as a command does."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, *interrupts.ENDINGS, signal.SIGALRM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("listening")
def test_an_attempt_that_does_not_end_in_time_is_left_to_the_next_release(
    environment: mock.Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "LIMIT", 0.05)
    environment.apply.side_effect = lambda *_, **__: time.sleep(30)

    with pytest.raises(KeyboardInterrupt):
        interrupt(environment)

    environment.write.assert_not_called()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_next_release_is_told_that_the_last_attempt_was_cancelled(environment: mock.Mock) -> None:
    known = environment.read.return_value
    cancelled = known.end("cancelled, put back, proven", "later")

    assert cancelled.describe_cancelled().startswith("; the attempt at aaaaaaaaaaaa, begun ")
    assert cancelled.describe_cancelled().endswith(f"({HOLDER.run}), was cancelled, put back, proven")
    assert known.describe_cancelled() == record.Record().describe_cancelled() == ""
