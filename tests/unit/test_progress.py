from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from selfdeploy.config import REQUIRED, Gate
from selfdeploy.gates import progress
from selfdeploy.gates.progress import NEVER, Progress, Start, Step
from selfdeploy.gates.room import Room


def after(steps: Mapping[str, tuple[int, int]], *, commands: Mapping[str, tuple[str, ...]] | None = None) -> Progress:
    """Return the progress after STEPS, each with the listings around it."""
    commands = {name: gate.command for name, gate in REQUIRED.items()} | dict(commands or {})
    return Progress(
        key="k",
        latest=max(max(pair) for pair in steps.values()),
        steps={name: Step(command=commands[name], began=began, ended=ended) for name, (began, ended) in steps.items()},
    )


def starts(state: Progress, gates: Mapping[str, Gate] = REQUIRED, proven: Collection[str] | None = None) -> list[Start]:
    return list(progress.starts(state, gates, state.steps if proven is None else proven))


def a_start(kept: str, since: int, *, exact: bool = False) -> Start:
    return Start(kept=frozenset(kept.split()), since=since, exact=exact)


def test_what_passed_before_the_gate_that_failed_began_is_kept() -> None:
    state = after({"npm-ci": (0, 1), "web-npm-ci": (0, 2), "build-core": (2, 3), "build-web-host": (3, NEVER)})

    assert starts(state) == [
        a_start("npm-ci web-npm-ci build-core", 3, exact=True),
        a_start("npm-ci web-npm-ci build-core", 3),
    ]


def test_when_all_have_passed_nothing_may_have_changed_since() -> None:
    state = after({"npm-ci": (0, 1), "web-npm-ci": (0, 2)})

    assert starts(state) == [a_start("npm-ci web-npm-ci", 2, exact=True)]


@pytest.mark.parametrize("steps", [{"npm-ci": (0, NEVER)}, {"npm-ci": (0, NEVER), "web-npm-ci": (0, NEVER)}])
def test_when_nothing_has_passed_there_is_nothing_to_go_on_from(steps: Mapping[str, tuple[int, int]]) -> None:
    assert starts(after(steps)) == []


def test_a_build_beside_a_failed_one_is_kept_only_if_nothing_changed() -> None:
    state = after({"npm-ci": (0, NEVER), "web-npm-ci": (0, 1)})

    assert starts(state) == [a_start("web-npm-ci", 0, exact=True)]


def test_a_build_beside_a_check_that_failed_is_kept_and_what_came_after_it_undone() -> None:
    before = {"npm-ci": (0, 2), "web-npm-ci": (0, 1), "build-core": (2, 3)}
    state = after({**before, "test-unit": (3, NEVER), "build-web-host": (3, 4)})

    assert starts(state)[-1] == a_start("npm-ci web-npm-ci build-core build-web-host", 4)


def test_a_check_that_failed_after_all_else_is_undone_alone() -> None:
    state = after({"npm-ci": (0, 1), "build-core": (1, 2), "test-unit": (4, NEVER)})

    assert starts(state)[-1] == a_start("npm-ci build-core", 4)


def test_a_check_beside_a_build_that_failed_is_kept() -> None:
    state = after({"npm-ci": (0, 1), "build-core": (1, 2), "build-web-host": (2, NEVER), "test-unit": (2, 3)})

    assert starts(state)[-1] == a_start("npm-ci build-core test-unit", 2)


def test_what_needs_a_gate_that_runs_again_runs_again() -> None:
    needy = {**REQUIRED, "check": Gate(command=("c",), needs=("build-core",), only_checks=True)}
    steps = {"npm-ci": (0, 1), "web-npm-ci": (1, NEVER), "build-core": (1, 2), "check": (2, 3)}
    state = after(steps, commands={"check": ("c",)})

    assert starts(state, needy) == [a_start("npm-ci build-core check", 1, exact=True), a_start("npm-ci", 1)]


def test_a_gate_is_kept_only_with_its_command_its_log_and_all_that_it_needs() -> None:
    state = after({"npm-ci": (0, 1), "web-npm-ci": (1, 2), "build-core": (2, 3)})
    other = {**REQUIRED, "npm-ci": Gate(command=("npm", "install"))}

    assert all(start.kept == {"web-npm-ci"} for start in starts(state, other))
    assert all(start.kept == {"web-npm-ci"} for start in starts(state, proven={"web-npm-ci", "build-core"}))


def test_a_limit_is_no_other_gate() -> None:
    state = after({"npm-ci": (0, 1)})
    slower = {**REQUIRED, "npm-ci": REQUIRED["npm-ci"].model_copy(update={"timeout": 5.0})}

    assert starts(state, slower) == [a_start("npm-ci", 1, exact=True)]


def test_a_gate_that_is_none_any_more_counts_as_a_build() -> None:
    state = after({"npm-ci": (0, 1), "lint": (0, 2)}, commands={"lint": ("l",)})

    assert starts(state) == [a_start("npm-ci", 0, exact=True)]


def test_listings_that_a_gate_under_way_may_need_are_old_enough() -> None:
    state = after({"npm-ci": (0, 1), "web-npm-ci": (1, 2)})

    assert state.oldest == 2
    assert state.begin("build-core", REQUIRED["build-core"]).oldest == 2
    assert state.begin("build-core", REQUIRED["build-core"]).end("build-core", {}).oldest == 3


@pytest.mark.parametrize(("attempt", "name"), [(2, "second attempt"), (3, "third attempt"), (4, "4th attempt")])
def test_an_attempt_has_a_name(attempt: int, name: str) -> None:
    assert Progress(key="k", attempt=attempt).name == name


def test_progress_is_read_as_it_was_written(tmp_path: Path) -> None:
    place, state = Room(folder=tmp_path), after({"npm-ci": (0, 1), "web-npm-ci": (0, NEVER)})
    state.write(place)

    assert progress.read(place) == state
    assert progress.read(Room(folder=tmp_path / "other")) is None
