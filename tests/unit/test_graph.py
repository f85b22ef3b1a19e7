import pytest

from selfdeploy import errors
from selfdeploy.config import REQUIRED, Gate
from selfdeploy.gates import graph


def a_gate(*needs: str) -> Gate:
    return Gate(command=("x",), needs=needs)


def test_a_gate_is_selected_with_all_it_needs_in_the_gates_order() -> None:
    assert list(graph.select(REQUIRED, ["typecheck"])) == ["npm-ci", "build-core", "typecheck"]
    assert list(graph.select(REQUIRED, ["test-unit", "web-npm-ci", "typecheck"])) == [
        "npm-ci",
        "web-npm-ci",
        "build-core",
        "typecheck",
        "test-unit",
    ]


def test_all_gates_are_selected_when_none_is_named() -> None:
    assert dict(graph.select(REQUIRED, [])) == dict(REQUIRED)


def test_a_gate_that_is_not_there_is_answered_with_those_there_are() -> None:
    with pytest.raises(errors.ConfigInvalid, match="no gate named 'tset-unit'") as refused:
        graph.select(REQUIRED, ["npm-ci", "tset-unit"])

    assert "test-unit" in refused.value.hint


def test_nothing_is_ready_before_what_it_needs_has_passed() -> None:
    left = {name: gate for name, gate in REQUIRED.items() if name not in {"npm-ci", "web-npm-ci"}}

    assert graph.ready(left, {"web-npm-ci"}) == []
    assert graph.ready(left, {"npm-ci"}) == ["build-core"]


def test_what_most_others_wait_for_is_ready_first() -> None:
    gates = {
        "short": a_gate(),
        "middle": a_gate(),
        "long": a_gate(),
        "middle-2": a_gate("middle"),
        "long-2": a_gate("long"),
        "long-3": a_gate("long-2"),
    }

    assert graph.ready(gates, ()) == ["long", "middle", "short"]


def test_the_contract_s_gates_begin_with_the_one_that_holds_up_the_most() -> None:
    backwards = dict(reversed(list(REQUIRED.items())))

    assert graph.ready(backwards, ()) == ["npm-ci", "web-npm-ci"]


def test_every_gate_has_its_turn_once() -> None:
    left, passed = dict(REQUIRED), list[str]()

    while ready := graph.ready(left, passed):
        left.pop(ready[0])
        passed.append(ready[0])

    assert not left
    assert sorted(passed) == sorted(REQUIRED)


TIMES = {
    "npm-ci": 60.0,
    "web-npm-ci": 20.0,
    "build-core": 30.0,
    "build-web-host": 90.0,
    "typecheck": 15.0,
    "test-unit": 1600.0,
}


def test_of_what_can_start_at_once_the_longest_chain_starts_first() -> None:
    order = graph.rank(REQUIRED, TIMES, 2)

    assert order[:3] == ["npm-ci", "build-core", "test-unit"]
    ready = graph.ready({name: REQUIRED[name] for name in TIMES if name.startswith(("build-web", "t"))}, TIMES, order)
    assert ready == ["test-unit", "build-web-host", "typecheck"]


def test_without_times_the_most_waited_for_starts_first() -> None:
    assert graph.rank(REQUIRED, {}, 2)[:3] == ["npm-ci", "web-npm-ci", "build-core"]


def test_longest_first_is_not_taken_where_it_would_take_longer() -> None:
    gates = {name: a_gate() for name in "abc"} | {"d": a_gate("a", "b"), "e": a_gate("d")}
    times = {"a": 3.0, "b": 3.0, "c": 9.0, "d": 1.0, "e": 1.0}

    best = graph.makespan(gates, times, 2, graph.rank(gates, times, 2))

    assert best <= graph.makespan(gates, times, 2, ["a", "b", "c", "d", "e"])
    assert best <= graph.makespan(gates, times, 2, ["c", "a", "b", "d", "e"])


def test_a_gate_whose_time_is_not_known_takes_what_half_of_the_others_do() -> None:
    gates = {"new": a_gate(), "short": a_gate(), "long": a_gate(), "usual": a_gate()}

    assert graph.rank(gates, {"short": 1.0, "usual": 10.0, "long": 100.0}, 1)[0] == "long"


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 1815.0), (2, 1690.0), (6, 1690.0)])
def test_the_gates_take_as_long_as_their_longest_chain_or_all_their_work(jobs: int, seconds: float) -> None:
    assert graph.makespan(REQUIRED, TIMES, jobs, graph.rank(REQUIRED, TIMES, jobs)) == seconds
