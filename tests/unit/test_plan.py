import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest import mock

import pytest

from selfdeploy import errors, plan
from selfdeploy.environments.compose.environment import Compose
from selfdeploy.release import stages


@dataclass
class Site:
    """Where stages leave their results, and what was done there in which order."""

    there: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.log.append(f"begin {name}")
        yield
        self.log.append(f"end {name}")

    def note(self, text: str) -> None:
        self.log.append(f"note {text}")

    def did(self, what: str) -> None:
        self.log.append(f"did {what}")


@dataclass(frozen=True)
class Stage:
    name: str
    site: Site
    works: bool = True

    def find(self) -> plan.Found | plan.Missing:
        if self.name in self.site.there:
            return plan.Found(why=f"{self.name} is there")
        return plan.Missing(why=f"no {self.name}", diff=f"+ {self.name}")

    def make(self) -> None:
        self.site.log.append(f"make {self.name}")
        if self.works:
            self.site.there.add(self.name)


def test_what_is_missing_is_made_in_order_and_found_again() -> None:
    site = Site()

    plan.converge([Stage("image", site), Stage("test", site)], site)

    assert site.there == {"image", "test"}
    assert site.log == [
        "begin image",
        "note no image",
        "make image",
        "did image",
        "note image is there",
        "end image",
        "begin test",
        "note no test",
        "make test",
        "did test",
        "note test is there",
        "end test",
    ]


def test_what_is_found_is_never_made() -> None:
    site = Site(there={"image", "test"})

    plan.converge([Stage("image", site), Stage("test", site)], site)

    assert [did for did in site.log if did.startswith("make")] == []


def test_what_was_killed_goes_on_from_what_is_there() -> None:
    site = Site(there={"image"})

    plan.converge([Stage("image", site), Stage("test", site)], site)

    assert [did for did in site.log if did.startswith("make")] == ["make test"]


def test_what_is_made_and_still_missing_is_an_error_and_nothing_after_it_is_made() -> None:
    site = Site()
    stages = [Stage("image", site, works=False), Stage("test", site)]

    with pytest.raises(errors.NotConverged, match="^image: made, and still missing: no image$"):
        plan.converge(stages, site)

    assert [did for did in site.log if did.startswith("make")] == ["make image"]


def test_looking_tells_of_every_stage_and_makes_nothing() -> None:
    site = Site(there={"test"})

    lines = plan.look([Stage("image", site), Stage("test", site)])

    assert [(line.stage, line.found, line.why, line.diff) for line in lines] == [
        ("image", False, "no image", "+ image"),
        ("test", True, "test is there", ""),
    ]
    assert site.log == []


def test_a_line_reads_as_a_column_each() -> None:
    assert str(plan.Line(stage="test", found=True, why="it is")) == "test       done     it is"
    assert str(plan.Line(stage="prod", found=False, why="not yet")) == "prod       to do    not yet"


def test_what_would_change_stands_below_its_line() -> None:
    line = plan.Line(stage="prod", found=False, why="last proved abc", diff="--- a\n+++ b")

    assert str(line).splitlines()[1:] == ["    --- a", "    +++ b"]


def test_warnings_stand_below_their_line_before_what_would_change() -> None:
    line = plan.Line(stage="prod", found=False, why="last proved abc", diff="+ b", warnings=("test-unit ran 1 tests",))

    assert str(line).splitlines()[1:] == ["    warning: test-unit ran 1 tests", "    + b"]


def test_a_plan_before_any_release_names_the_rollout_s_effect_on_users() -> None:
    environment = mock.create_autospec(Compose, instance=True)
    environment.continuity = "a moment without an answer"

    found = stages.Glance(environment=environment, release=None).find()

    assert isinstance(found, plan.Missing)
    assert found.why == "there is no release to run yet; a moment without an answer"


def test_what_blocks_a_line_comes_first_with_its_hint_and_what_there_is_to_do_below() -> None:
    held = errors.LockHeld("prod: held by a person\nsince today", "wait")
    line = plan.Line(stage="prod", found=False, why="last proved abc", blocked=held, commits=("from a to b: 1 commit",))

    assert str(line).splitlines() == [
        "prod       blocked  prod: held by a person",
        "    since today",
        "    hint: wait",
        "    to do: last proved abc",
        "    from a to b: 1 commit",
    ]
    assert (line.as_data()["state"], line.as_data()["exit"]) == ("blocked", 43)


def test_a_plan_s_exit_code_says_whether_there_is_something_to_do() -> None:
    done = plan.Line(stage="image", found=True, why="there")
    to_do = plan.Line(stage="test", found=False, why="not yet")
    blocked = plan.Line(stage="prod", found=False, why="", blocked=errors.PortTaken("taken"))

    assert plan.exit_code([done, done]) == 0
    assert plan.exit_code([done, to_do]) == plan.TO_DO == 2
    assert plan.exit_code([done, to_do, blocked]) == errors.PortTaken.exit_code
