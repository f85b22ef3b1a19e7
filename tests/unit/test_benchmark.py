import pytest

from benchmarks.report import Report, Run
from benchmarks.side import event
from benchmarks.signing import Costs
from lab import load


def run(gates: float, total: float, **more: float) -> Run:
    return Run(stages={**more, "gates": gates, "image": 2.0}, total=total, silence=1.0)


STARTS = {"version": [0.1], "list_": [0.1], "completion": [0.01]}


def report(*tool: Run, started: float = 0.1, completion: float = 0.01) -> Report:
    starts = {"version": [0.1], "list_": [started], "completion": [completion]}
    return Report(script=[run(20, 30)] * len(tool), tool=list(tool), **starts)


def test_a_benchmark_within_its_targets_misses_none() -> None:
    made = report(run(15, 31, preflight=0.5))

    assert made.missed == []
    assert "all targets met" in str(made)


@pytest.mark.parametrize(
    ("made", "missed"),
    [
        (report(run(20.1, 30)), ["gates"]),
        (report(run(15, 31.6)), ["total"]),
        (report(run(15, 30), started=0.14), ["inv --list"]),
        (report(run(15, 30), completion=0.026), ["completion"]),
    ],
)
def test_a_benchmark_names_each_target_that_is_missed(made: Report, missed: list[str]) -> None:
    assert made.missed == missed
    assert f"missed: {missed[0]}" in str(made)


def test_the_window_of_the_lock_is_told_where_it_was_measured() -> None:
    made = report(run(15, 31))
    assert "lock window" not in str(made)

    made.window = [1.0, 3.0, 2.0]

    assert "lock window" in str(made)
    assert "     2.000" in str(made)


def test_one_slow_pair_of_three_does_not_decide() -> None:
    assert report(run(15, 30), run(15, 90), run(15, 30)).missed == []


def test_a_pair_is_compared_within_itself() -> None:
    made = Report(script=[run(10, 20), run(30, 60)], tool=[run(9, 20), run(27, 60)], **STARTS)

    gates = made.releases()[0]

    assert gates.ratios == pytest.approx([0.9, 0.9])


def test_a_stage_that_the_script_lacks_has_no_ratio() -> None:
    row = next(row for row in report(run(15, 30, preflight=0.5)).releases() if row.name == "preflight")

    assert row.ratios == []
    assert not row.missed
    assert "0.500" in str(row)


@pytest.mark.parametrize("line", ["npm notice", "[1, 2]", '"stage"', "{", ""])
def test_a_line_that_is_no_event_is_passed_over(line: str) -> None:
    assert event(line) == {}


def test_a_line_of_either_side_is_an_event() -> None:
    assert event('{"event": "stage-ended", "name": "gates", "seconds": 1.250, "ok": true}\n')["seconds"] == 1.25


def test_what_is_answered_after_the_load_has_ended_is_no_silence() -> None:
    answers = [load.Answer(sent=0, done=done, revision="r") for done in (0.0, 0.1, 0.3, 2.0)]

    assert load.Load(1, answers=answers, ended=0.4).silence == pytest.approx(0.2)
    assert load.Load(1, answers=answers, ended=1.3).silence == pytest.approx(1.0)
    assert load.Load(1, ended=1.3).silence == float("inf")


@pytest.mark.parametrize(
    ("new", "done", "missed"),
    [
        ((100, 102.9), (5, 5.49), []),
        ((100, 103.1), (5, 5.49), ["new commit"]),
        ((100, 102.9), (5, 5.51), ["on record"]),
    ],
)
def test_what_signatures_cost_is_held_to_its_targets(
    new: tuple[float, float], done: tuple[float, float], missed: list[str]
) -> None:
    costs = Costs(new=[new], done=[done])

    assert costs.missed == missed
    assert str(costs).count("MISSED") == len(missed)
