import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest import mock

import pytest

from selfdeploy import errors, plan, stages
from selfdeploy.environments.compose import Compose


@dataclass
class Site:
    """Where stages leave their results, and what was done there in which order."""

    there: set[str] = field(default_factory=set)
    did: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.did.append(f"begin {name}")
        yield
        self.did.append(f"end {name}")

    def note(self, text: str) -> None:
        self.did.append(f"note {text}")


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
        self.site.did.append(f"make {self.name}")
        if self.works:
            self.site.there.add(self.name)


def test_what_is_missing_is_made_in_order_and_found_again() -> None:
    site = Site()

    plan.converge([Stage("image", site), Stage("test", site)], site)

    assert site.there == {"image", "test"}
    assert site.did == [
        "begin image",
        "note no image",
        "make image",
        "note image is there",
        "end image",
        "begin test",
        "note no test",
        "make test",
        "note test is there",
        "end test",
    ]


def test_what_is_found_is_never_made() -> None:
    site = Site(there={"image", "test"})

    plan.converge([Stage("image", site), Stage("test", site)], site)

    assert [did for did in site.did if did.startswith("make")] == []


def test_what_was_killed_goes_on_from_what_is_there() -> None:
    site = Site(there={"image"})

    plan.converge([Stage("image", site), Stage("test", site)], site)

    assert [did for did in site.did if did.startswith("make")] == ["make test"]


def test_what_is_made_and_still_missing_is_an_error_and_nothing_after_it_is_made() -> None:
    site = Site()
    stages = [Stage("image", site, works=False), Stage("test", site)]

    with pytest.raises(errors.NotConverged, match="^image: made, and still missing: no image$"):
        plan.converge(stages, site)

    assert [did for did in site.did if did.startswith("make")] == ["make image"]


def test_looking_tells_of_every_stage_and_makes_nothing() -> None:
    site = Site(there={"test"})

    lines = plan.look([Stage("image", site), Stage("test", site)])

    assert [(line.stage, line.found, line.why, line.diff) for line in lines] == [
        ("image", False, "no image", "+ image"),
        ("test", True, "test is there", ""),
    ]
    assert site.did == []


def test_a_line_reads_as_a_column_each() -> None:
    assert str(plan.Line(stage="test", found=True, why="it is")) == "test       found    it is"
    assert str(plan.Line(stage="prod", found=False, why="not yet")) == "prod       missing  not yet"


def test_what_would_change_stands_below_its_line() -> None:
    line = plan.Line(stage="prod", found=False, why="last proved abc", diff="--- a\n+++ b")

    assert str(line).splitlines()[1:] == ["    --- a", "    +++ b"]


def test_warnings_stand_below_their_line_before_what_would_change() -> None:
    line = plan.Line(stage="prod", found=False, why="last proved abc", diff="+ b", warnings=("test-unit ran 1 tests",))

    assert str(line).splitlines()[1:] == ["    warning: test-unit ran 1 tests", "    + b"]


def test_before_there_is_a_release_a_plan_says_what_a_rollout_would_mean_for_who_uses_it() -> None:
    environment = mock.create_autospec(Compose, instance=True)
    environment.continuity = "a moment without an answer"

    found = stages.Glance(environment=environment, release=None).find()

    assert isinstance(found, plan.Missing)
    assert found.why == "there is no release to run yet; a moment without an answer"
