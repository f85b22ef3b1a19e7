"""What is cut off, and stopped by somebody or on its way back, is not undone by whoever fails next."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import pytest

from lab.values import HOLDER, a_project, a_proven, an_attempt
from selfdeploy import environments
from selfdeploy.environments import record
from selfdeploy.environments.compose.environment import Compose
from selfdeploy.environments.queue import Queue
from selfdeploy.provenance import Holder
from selfdeploy.release import upkeep
from selfdeploy.rollout import settling

KNOWN = record.Record().prove(a_proven("r1"), "t1").prove(a_proven("r2"), "t2")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    made: mock.Mock = mock.create_autospec(Compose, instance=True)
    made.name = "prod"

    @contextlib.contextmanager
    def held(*_: object) -> Iterator[mock.Mock]:
        yield mock.sentinel.lock

    monkeypatch.setattr(environments, "connect", lambda *_: made)
    monkeypatch.setattr(upkeep, "held", held)
    monkeypatch.setattr(settling, "undo", lambda *_: "undone")
    return made


def test_what_was_cut_off_and_is_then_taken_down_is_nothing_to_go_on_with(environment: mock.Mock) -> None:
    environment.read.return_value = KNOWN.begin(an_attempt("r3"))

    upkeep.take_down(a_project(), "prod", Queue())

    environment.down.assert_called_once()
    written = environment.write.call_args.args[1]
    assert written.cut_off is None
    assert [attempt.ending for attempt in written.attempts] == [record.TAKEN_DOWN, record.CUT_OFF]
    assert written.choose("") == KNOWN.proven[0]


@pytest.mark.parametrize(
    ("release", "holder", "told"),
    [
        ("r3", HOLDER, "undone"),
        ("r3", Holder(who="w", since="a"), ""),  # an attempt of one's own
        ("r3", Holder(who="w", since="z"), "undone"),  # of the same person, before
        ("r1", HOLDER, ""),  # a way back
    ],
)
def test_what_a_killed_release_has_left_is_undone_by_whoever_fails_next(
    environment: mock.Mock, release: str, holder: Holder, told: str
) -> None:
    environment.read.return_value = KNOWN.begin(an_attempt(release))

    assert upkeep.undo(a_project(), "prod", holder, lambda _: None) == told
