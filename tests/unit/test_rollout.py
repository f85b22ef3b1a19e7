"""How a rollout that fails ends, whatever else fails with it."""

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from lab.values import HOLDER, a_manifest, a_project, an_attempt
from selfdeploy import errors
from selfdeploy.build import assembly
from selfdeploy.environments import Lock, record
from selfdeploy.environments.compose.environment import Compose
from selfdeploy.rollout import admission, proving, settling

FULL = errors.CommandFailed("test: the record was not written", "no space left on device")

AWAY = errors.ClusterUnreachable("test: the Kubernetes API server does not answer")
GONE = errors.EngineUnreachable("test: the Docker engine does not answer")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """One that has proven a release; the next one does not prove itself."""
    made: mock.Mock = mock.create_autospec(Compose, instance=True)
    made.name, made.project = "test", a_project(root=tmp_path)
    made.read.return_value = record.Record().prove(record.Proven.of(a_manifest(), "as before"), "t")
    made.render.return_value = "as it is now"
    made.logs.return_value = ""
    made.apply.side_effect = [errors.NotProven("answers as another", ""), None]
    monkeypatch.setattr(admission, "admit", lambda *_, **__: None)
    monkeypatch.setattr(proving, "prove", lambda *_: mock.sentinel.proof)
    return made


@pytest.fixture
def settle(environment: mock.Mock) -> Callable[[], proving.Proof]:
    release = assembly.Release(manifest=a_manifest(), evidence={})
    lock = mock.create_autospec(Lock, instance=True)
    return lambda: settling.settle(environment, lock, release, (), HOLDER)


@pytest.mark.parametrize("kept", [FULL, AWAY, GONE])
def test_what_was_proven_before_is_put_back_also_when_nothing_can_be_written_down(
    environment: mock.Mock, settle: Callable[[], proving.Proof], kept: errors.SelfdeployError
) -> None:
    environment.write.side_effect = [None, kept, kept, kept]

    with pytest.raises(errors.PutBack, match="answers as another") as told:
        settle()

    assert kept.message in told.value.message
    assert [call.args[2] for call in environment.apply.call_args_list] == ["as it is now", "as before"]


def test_an_environment_that_cannot_be_taken_down_says_why_it_should_be(
    environment: mock.Mock, settle: Callable[[], proving.Proof]
) -> None:
    environment.read.return_value = record.Record()
    environment.down.side_effect = errors.CommandTimedOut("docker compose down: no end after 120 s", "")

    with pytest.raises(errors.PutBackUnproven, match="answers as another") as told:
        settle()

    assert "test is not down: docker compose down: no end after 120 s" in told.value.message


def test_a_lock_that_is_lost_is_no_trouble_with_the_record_alone(
    environment: mock.Mock, settle: Callable[[], proving.Proof]
) -> None:
    environment.write.side_effect = [None, errors.LockLost("test: the lock went away")]

    with pytest.raises(errors.LockLost):
        settle()


def test_undoing_an_attempt_that_was_cut_off_is_an_attempt_of_its_own(
    environment: mock.Mock, settle: Callable[[], proving.Proof], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = an_attempt("of the one that was killed").model_copy(update={"seconds": {"gates": 3.0}})
    known = environment.read.return_value.begin(killed)
    environment.read.return_value, environment.write.side_effect, environment.apply.side_effect = known, None, None
    monkeypatch.setattr(admission, "admit", mock.Mock(side_effect=errors.OnHold("on hold")))

    with pytest.raises(errors.OnHold):
        settle()

    undoing, cut = environment.write.call_args.args[1].attempts
    assert cut == killed.model_copy(update={"ending": "cut off"})
    assert (undoing.release, undoing.who, undoing.run) == (known.proven[0].release, HOLDER.who, HOLDER.run)
    assert undoing.ending == "put back, proven"


def test_what_keeps_a_rollout_from_getting_done_leaves_no_hold(
    environment: mock.Mock, settle: Callable[[], proving.Proof]
) -> None:
    environment.read.return_value = record.Record()
    environment.apply.side_effect = errors.CommandFailed("docker compose up: exit code 1", "no space left on device")

    with pytest.raises(errors.WentDown, match="no space left on device"):
        settle()

    assert environment.write.call_args.args[1].holds == {}
    assert environment.write.call_args.args[1].attempts[0].ending == "down"


def test_a_release_signed_since_has_its_signature_in_the_environment_s_record(environment: mock.Mock) -> None:
    environment.render.return_value = "as before"
    environment.is_applied.return_value = True
    lock = mock.create_autospec(Lock, instance=True)

    proof = settling.find(environment, lock, a_manifest(), "signed")
    environment.read.return_value = environment.write.call_args.args[1]
    again = settling.find(environment, lock, a_manifest(), "signed")
    unsigned = settling.find(environment, lock, a_manifest())

    assert [proof, again, unsigned] == [mock.sentinel.proof] * 3
    assert environment.write.call_count == 1
    assert environment.read.return_value.proven[0].envelope == "signed"
