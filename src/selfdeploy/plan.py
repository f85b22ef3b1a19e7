"""Stages, which find or make their results, and two ways to run them: look and converge; pure."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from selfdeploy import errors


@dataclass(frozen=True, kw_only=True)
class Found:
    """The stage's result exists."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The stage's result is missing; DIFF is the change it would bring, if known.

    BLOCKED is the error that would refuse it now.
    """

    why: str
    diff: str = ""
    blocked: errors.SelfdeployError | None = None


class Lookup(Protocol):
    """A step of a release with a result to look for."""

    @property
    def name(self) -> str:
        """The stage's name, as people see it."""

    def find(self) -> Found | Missing:
        """Look for the result itself, in reality."""


class Stage(Lookup, Protocol):
    """A step of a release with a result to look for and to make."""

    def make(self) -> None:
        """Make the result."""


class Reporter(Protocol):
    """A receiver of progress."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Show the stage NAME as under way until the block ends."""

    def note(self, text: str) -> None:
        """Show the line TEXT."""

    def did(self, what: str) -> None:
        """Remember the stage WHAT as made."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the plan: a stage, whether its result exists, and why.

    Below it come the new COMMITS, WARNINGS, and the change as a DIFF.
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
        """`done`, `to do`, or `blocked` if a release would be refused now."""
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
        """Return it as JSON data; `exit` is the blocking error's exit code, 0 without one."""
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
"""The exit code of `inv plan --exit-code` if a stage is to do and none is blocked."""


def exit_code(lines: Iterable[Line]) -> int:
    """Return the first blocking error's exit code, 0 if all LINES are done, else `TO_DO`."""
    lines = list(lines)
    blocked = [line.blocked.exit_code for line in lines if line.blocked]
    return blocked[0] if blocked else 0 if all(line.found for line in lines) else TO_DO


def look(stages: Iterable[Lookup]) -> list[Line]:
    """Return one line per stage; stages after a missing one are looked for too."""
    return [_line(stage.name, stage.find()) for stage in stages]


def _line(name: str, result: Found | Missing) -> Line:
    if isinstance(result, Found):
        return Line(stage=name, found=True, why=result.why)
    return Line(stage=name, found=False, why=result.why, diff=result.diff, blocked=result.blocked)


def converge(stages: Iterable[Stage], reporter: Reporter) -> None:
    """Make the missing stages in order, and look for each result again.

    Raises:
        errors.NotConverged: a stage was made, but its result is still missing.
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
