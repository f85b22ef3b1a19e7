"""The list of stages, each of which finds its result in reality or makes it: look, or converge; pure."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from selfdeploy import errors


@dataclass(frozen=True, kw_only=True)
class Found:
    """Reality has the stage's result."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Reality lacks the stage's result; DIFF is what making it would change, where that can be told."""

    why: str
    diff: str = ""


class Lookup(Protocol):
    """One step of a release that can be looked for."""

    @property
    def name(self) -> str:
        """What people call it."""

    def find(self) -> Found | Missing:
        """Look for the result; in reality only."""


class Stage(Lookup, Protocol):
    """One step of a release that can be made, too."""

    def make(self) -> None:
        """Make the result."""


class Reporter(Protocol):
    """Whom to tell how it goes."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Tell that the stage NAME is under way, until the block ends."""

    def note(self, text: str) -> None:
        """Tell a line."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the plan: a stage, whether reality already has its result, and why; below it, what would change."""

    stage: str
    found: bool
    why: str
    diff: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the line as `inv plan` prints it."""
        told = f"{self.stage:<10} {'found' if self.found else 'missing':<8} {self.why}"
        below = [*(f"warning: {warning}" for warning in self.warnings), *self.diff.splitlines()]
        return "\n".join([told, *(f"    {line}" for line in below)])


def look(stages: Iterable[Lookup]) -> list[Line]:
    """Return a line a stage: what reality has of it. What comes after a missing stage is still looked for."""
    return [_line(stage.name, stage.find()) for stage in stages]


def _line(name: str, result: Found | Missing) -> Line:
    if isinstance(result, Found):
        return Line(stage=name, found=True, why=result.why)
    return Line(stage=name, found=False, why=result.why, diff=result.diff)


def converge(stages: Iterable[Stage], reporter: Reporter) -> None:
    """Make what is missing, one stage after the other, and look again.

    Raises:
        errors.NotConverged: a stage was made, and its result is still not there.
    """
    for stage in stages:
        with reporter.stage(stage.name):
            result = stage.find()
            if isinstance(result, Missing):
                reporter.note(result.why)
                stage.make()
                result = stage.find()
                if isinstance(result, Missing):
                    raise errors.NotConverged(f"{stage.name}: made, and still missing: {result.why}", "inv plan")
            reporter.note(result.why)
