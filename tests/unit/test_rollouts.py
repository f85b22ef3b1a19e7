import pytest

from benchmarks.rollouts import Comparison, Rollout, Side
from benchmarks.traffic import Answer, Traffic


def rollout(seconds: float = 3.0, stale: int = 0, late: float | None = None) -> Rollout:
    return Rollout(seconds=seconds, stale=stale, failed=0, late=late)


def comparison(
    *, stale: int = 0, late: float | None = 0.5, bad: float = 6.0, gone: float = 5.0, survived: bool = True
) -> Comparison:
    tool = Side(rollouts=[rollout(4.0, stale, late=late)], bad=[bad], gone=[gone], converged=[True, survived])
    other = Side(rollouts=[rollout(2.0, stale=9)], bad=[40.0], gone=[40.0])
    return Comparison(sides={"tool": tool, "kubectl": other, "helm": other})


def test_what_others_do_wrong_is_no_target_of_the_tools() -> None:
    made = comparison()

    assert made.missed == []
    assert "2.00 times kubectl's" in str(made)
    assert "all targets met" in str(made)


@pytest.mark.parametrize(
    ("made", "missed"),
    [
        (comparison(stale=1), "old answers"),
        (comparison(late=1.1), "after status"),
        (comparison(late=None), "after status"),
        (comparison(bad=10.1), "bad release"),
        (comparison(gone=10.1), "bad image"),
        (comparison(survived=False), "killed"),
    ],
)
def test_each_target_that_is_missed_is_named(made: Comparison, missed: str) -> None:
    assert made.missed == [missed]
    assert f"missed: {missed}" in str(made)
    assert str(made).count("MISSED") == 1


def test_an_answer_of_another_build_counts_from_when_it_was_asked_for() -> None:
    traffic = Traffic(port=1)
    traffic.answers += [Answer(at=1, revision="old"), Answer(at=3, revision="new"), Answer(at=3, revision="old")]
    traffic.answers += [Answer(at=3, revision="")]

    assert traffic.stale(2, "new") == 1
    assert traffic.failed == 1
