"""What became of each release that was killed: one JSON line each, which a later call goes on from."""

import collections
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chaos.instant import FAULTS, Instant


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One release that was to be killed; `killed` unless it ended before, `wrong` is all that did not hold after it."""

    runtime: str
    seed: int
    number: int
    instant: str
    stage: str
    how: str
    killed: bool
    wrong: list[str]
    seconds: float

    @classmethod
    def of(
        cls, runtime: str, seed: int, instants: Sequence[Instant], *, killed: bool, wrong: list[str], seconds: float
    ) -> Self:
        """Return what became of a release on RUNTIME that was struck at INSTANTS of SEED, one after the other."""
        last = instants[-1]
        return cls(
            runtime=runtime,
            seed=seed,
            number=last.number,
            instant=", ".join(map(str, instants)),
            stage=last.stage,
            how=last.how,
            killed=killed,
            wrong=wrong,
            seconds=round(seconds, 1),
        )

    @property
    def counts(self) -> bool:
        """Whether it is one of the kills that are counted: a fault is none."""
        return self.killed and self.how not in FAULTS


@dataclass(frozen=True)
class Tally:
    """The outcomes in FILE."""

    file: Path

    def read(self, runtime: str) -> list[Outcome]:
        """Return the outcomes of RUNTIME; a line that was cut off by a kill of the harness counts as none."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        found = []
        for line in lines:
            try:
                found.append(Outcome(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return [outcome for outcome in found if outcome.runtime == runtime]

    def add(self, outcome: Outcome) -> None:
        """Append OUTCOME."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(outcome)) + "\n")

    def describe(self, runtime: str) -> str:
        """Return what a person wants to know of RUNTIME: how many, at which stages, by which signals, what was red."""
        found = self.read(runtime)
        killed = [outcome for outcome in found if outcome.counts]
        faults, early = (sum(o.killed and not o.counts for o in found), sum(not o.killed for o in found))
        red = [outcome for outcome in found if outcome.wrong]
        lines = [f"{runtime}: {len(killed)} killed, {faults} met a fault, {early} ended before, {len(red)} red"]
        for what in ("stage", "how"):
            counted = collections.Counter(getattr(outcome, what) for outcome in killed)
            lines.append(f"  by {what}: " + ", ".join(f"{name} {count}" for name, count in counted.items()))
        lines += [f"  red {outcome.instant} (seed {outcome.seed}): {'; '.join(outcome.wrong)}" for outcome in red]
        return "\n".join(lines)
