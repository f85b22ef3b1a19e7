"""The progress of the gates on a revision, and the points to resume it from; pure but for its file."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from selfdeploy import config, source, tree
from selfdeploy.gates.room import Room

NEVER = -1
"""Listing number of a step that has not passed."""

ORDINALS = {2: "second", 3: "third"}


class Step(pydantic.BaseModel):
    """One gate: its command, the last listing before it began, the first after it passed, and the facts of that."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    command: tuple[str, ...]
    began: int
    ended: int = NEVER
    facts: dict[str, Any] = {}


class Progress(pydantic.BaseModel):
    """The attempts so far on one key: how many, the number of the latest listing, and a step for each gate begun."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    key: str
    attempt: int = 1
    latest: int = 0
    steps: dict[str, Step] = {}

    def write(self, place: Room) -> None:
        """Write it into PLACE."""
        tree.write_whole(place.progress, self.model_dump_json(indent=2).encode())

    def begin(self, name: str, gate: config.Gate) -> "Progress":
        """Return a copy with the gate NAME begun."""
        return self._with({name: Step(command=gate.command, began=self.latest)})

    def end(self, name: str, facts: Mapping[str, object]) -> "Progress":
        """Return a copy with the gate NAME passed, and the number of the next listing."""
        number = self.latest + 1
        ended = self.steps[name].model_copy(update={"ended": number, "facts": dict(facts)})
        return self._with({name: ended}).model_copy(update={"latest": number})

    def go_on(self, kept: Collection[str]) -> "Progress":
        """Return the next attempt, with the steps KEPT and the number of its first listing."""
        steps = {name: step for name, step in self.steps.items() if name in kept}
        return Progress(key=self.key, attempt=self.attempt + 1, latest=self.latest + 1, steps=steps)

    def _with(self, steps: Mapping[str, Step]) -> "Progress":
        return self.model_copy(update={"steps": {**self.steps, **steps}})

    @property
    def oldest(self) -> int:
        """The oldest listing still needed, apart from the first."""
        return min((step.began for step in self.steps.values() if step.ended == NEVER), default=self.latest)

    @property
    def name(self) -> str:
        """The attempt's name: `second attempt`."""
        return f"{ORDINALS.get(self.attempt, f'{self.attempt}th')} attempt"


@dataclass(frozen=True, kw_only=True)
class Start:
    """A point to resume from: the gates KEPT, in a room in the state of the listing SINCE.

    Later changes are undone; if EXACT, there must not be any.
    """

    kept: frozenset[str]
    since: int
    exact: bool


def key(project: config.Project, revision: source.Revision) -> str:
    """Return the hash that all attempts share, of the revision and the gates' surroundings."""
    parts = [revision.commit, revision.tree, project.gates.surroundings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read(place: Room) -> Progress | None:
    """Return the progress in PLACE; None if it is missing or damaged."""
    try:
        return Progress.model_validate_json(place.progress.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def starts(progress: Progress, gates: Mapping[str, config.Gate], proven: Collection[str]) -> Iterator[Start]:
    """Yield the points from which an attempt on GATES can resume PROGRESS, best first.

    PROVEN are the gates with a log that proves success. A gate may have passed while another one wrote and then failed.
    It is kept if their changes can be told apart: nothing has changed at all, or only one of them builds
    (`only_checks`).
    """
    passed = _passed(progress, gates, proven)
    broken = {name: step for name, step in progress.steps.items() if name not in passed}
    if not passed:
        return
    if not broken:
        yield Start(kept=frozenset(passed), since=progress.latest, exact=True)
        return
    first = min(step.began for step in broken.values())
    yield Start(kept=frozenset(passed), since=first, exact=True)
    builders = {name for name in progress.steps if name not in gates or not gates[name].only_checks}
    again = set(broken)
    if not builders & again:
        since = max(first, *(step.ended for step in passed.values()))
        yield Start(kept=frozenset(passed), since=since, exact=False)
        return
    while True:
        since = min(progress.steps[name].began for name in builders & again)
        beside = {name for name, step in passed.items() if name in builders and step.ended > since}
        waiting = {name for name in passed if again.intersection(gates[name].needs)}
        if beside | waiting <= again:
            break
        again |= beside | waiting
    if kept := frozenset(passed) - again:
        yield Start(kept=kept, since=since, exact=False)


def _passed(progress: Progress, gates: Mapping[str, config.Gate], proven: Collection[str]) -> dict[str, Step]:
    """Return the steps of the gates that passed with their command in GATES, if all their needs did too."""
    passed = dict[str, Step]()
    while more := {
        name: step
        for name, step in progress.steps.items()
        if name in gates.keys() - passed.keys()
        and name in proven
        and step.ended != NEVER
        and step.command == gates[name].command
        and passed.keys() >= set(gates[name].needs)
    }:
        passed |= more
    return passed
