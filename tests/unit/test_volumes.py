import pytest

from selfdeploy.engine import volumes
from selfdeploy.process import Outcome


@pytest.mark.parametrize(
    ("first", "runs"),
    [
        (Outcome(argv=(), code=0, stdout=b"told"), 1),
        (Outcome(argv=(), code=1), 1),
        (Outcome(argv=(), code=0), 2),  # its output was lost
        (Outcome(argv=(), code=volumes.NOT_STARTED), 2),  # it was swept away
    ],
)
def test_a_container_that_said_nothing_is_asked_once_more_and_one_that_failed_is_not(first: Outcome, runs: int) -> None:
    ended = [first, Outcome(argv=(), code=0, stdout=b"told")]
    waiting = iter(ended)

    told = volumes.insist(lambda: next(waiting))

    assert told is ended[runs - 1]
    assert len(list(waiting)) == 2 - runs
