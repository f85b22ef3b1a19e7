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
    """Reality lacks the stage's result; DIFF is what making it would change, where that can be told.

    BLOCKED is why making it would be refused now.
    """

    why: str
    diff: str = ""
    blocked: errors.SelfdeployError | None = None


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

    def did(self, what: str) -> None:
        """Remember that the stage WHAT was made."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the plan: a stage, whether reality already has its result, and why.

    Below it stand the commits that it would bring, warnings, and the difference that it would make.
    """

    stage: str
    found: bool
    why: str
    diff: str = ""
    warnings: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    blocked: errors.SelfdeployError | None = None

    @property
    def state(self) -> str:
        """`done`, `to do`, or `blocked` where a release would be refused now."""
        return "blocked" if self.blocked else "done" if self.found else "to do"

    def __str__(self) -> str:
        """Return the line as `inv plan` prints it."""
        why, below = [self.why], list[str]()
        if self.blocked:
            why = self.blocked.message.splitlines()
            below = [*why[1:], *([f"hint: {self.blocked.hint}"] if self.blocked.hint else [])]
            below += [f"to do: {self.why}"] if self.why != self.blocked.message else []
        below += [*self.commits, *(f"warning: {warning}" for warning in self.warnings), *self.diff.splitlines()]
        return "\n".join([f"{self.stage:<10} {self.state:<8} {why[0]}", *(f"    {line}" for line in below)])

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data; `exit` is the code that a release would end with now, 0 where nothing blocks it."""
        return {
            "stage": self.stage,
            "state": self.state,
            "found": self.found,
            "why": self.blocked.message if self.blocked else self.why,
            "diff": self.diff,
            "warnings": list(self.warnings),
            "commits": list(self.commits),
            "exit": self.blocked.exit_code if self.blocked else 0,
        }


TO_DO = 2
"""The exit code of `inv plan --exit-code` when there is something to do and nothing blocks it."""


def exit_code(lines: Iterable[Line]) -> int:
    """Return 0 when all of LINES is done, the code of the first error that blocks one, else `TO_DO`."""
    lines = list(lines)
    blocked = [line.blocked.exit_code for line in lines if line.blocked]
    return blocked[0] if blocked else 0 if all(line.found for line in lines) else TO_DO


def look(stages: Iterable[Lookup]) -> list[Line]:
    """Return a line a stage: what reality has of it. What comes after a missing stage is still looked for."""
    return [_line(stage.name, stage.find()) for stage in stages]


def _line(name: str, result: Found | Missing) -> Line:
    if isinstance(result, Found):
        return Line(stage=name, found=True, why=result.why)
    return Line(stage=name, found=False, why=result.why, diff=result.diff, blocked=result.blocked)


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
                reporter.did(stage.name)
                result = stage.find()
                if isinstance(result, Missing):
                    raise errors.NotConverged(f"{stage.name}: made, and still missing: {result.why}", "inv plan")
            reporter.note(result.why)
