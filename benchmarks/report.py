"""The comparison as a table and a verdict; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

TOTAL = "total"
ENVIRONMENTS = ("test", "prod")
TARGETS = {"gates": 1.0, TOTAL: 1.05}
"""The most that a stage of the tool's may take, as a multiple of the script's."""

START_UP = 1.3
"""The most that `inv --list` may take, as a multiple of `inv --version`."""


COMPLETION = 0.25
"""The most that a completion may take, the start of a shell included, as a multiple of `inv --list`."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One release: the seconds of each stage and of the whole, and the longest that prod was silent."""

    stages: Mapping[str, float]
    total: float
    silence: float

    def seconds(self, stage: str) -> float | None:
        """Return what STAGE took; None where this side has no such stage."""
        return self.total if stage == TOTAL else self.stages.get(stage)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Something that was measured on both sides, pair by pair, in seconds; TARGET bounds the ratio."""

    name: str
    base: Sequence[float]
    ours: Sequence[float]
    target: float | None = None

    @property
    def ratios(self) -> list[float]:
        """Ours as a multiple of the base, pair by pair: what drifts in between drifts in both."""
        return [ours / base for base, ours in zip(self.base, self.ours, strict=True)] if self.base else []

    @property
    def missed(self) -> bool:
        """Whether the median of the ratios is above the target."""
        return self.target is not None and median(self.ratios) > self.target

    def __str__(self) -> str:
        """Return the line of the table."""
        base = f"{median(self.base):.3f}" if self.base else "-"
        line = f"{self.name:<14}{base:>10}{median(self.ours):>10.3f}"
        if not self.ratios:
            return line
        line += f"{median(self.ratios):>8.2f}  {min(self.ratios):.2f}-{max(self.ratios):.2f}"
        if self.target is None:
            return line
        return f"{line}  at most {self.target:g}: {'MISSED' if self.missed else 'met'}"


@dataclass(kw_only=True)
class Report:
    """All that was measured: the releases of both sides, pair by pair, and the start-ups."""

    script: list[Run] = field(default_factory=list)
    tool: list[Run] = field(default_factory=list)
    version: list[float] = field(default_factory=list)
    list_: list[float] = field(default_factory=list)
    completion: list[float] = field(default_factory=list)
    window: list[float] = field(default_factory=list)

    def releases(self) -> list[Row]:
        """Return a row a stage, the whole last."""
        names = [*self.tool[0].stages, TOTAL] if self.tool else []
        return [
            Row(
                name=name,
                base=[seconds for run in self.script if (seconds := run.seconds(name)) is not None],
                ours=[seconds for run in self.tool if (seconds := run.seconds(name)) is not None],
                target=TARGETS.get(name),
            )
            for name in names
        ]

    def silences(self) -> Row:
        """Return the row of the seconds that prod was silent while it was replaced."""
        return Row(
            name="prod silent",
            base=[run.silence for run in self.script],
            ours=[run.silence for run in self.tool],
        )

    def start_up(self) -> Row:
        """Return the row of `inv --list` against `inv --version`."""
        return Row(name="inv --list", base=self.version, ours=self.list_, target=START_UP)

    def completions(self) -> Row:
        """Return the row of a completion in bash against `inv --list`."""
        return Row(name="completion", base=self.list_, ours=self.completion, target=COMPLETION)

    @property
    def missed(self) -> list[str]:
        """The names of the rows whose targets are missed."""
        return [row.name for row in (*self.releases(), self.start_up(), self.completions()) if row.missed]

    def __str__(self) -> str:
        """Return the tables: medians in seconds, and the median and the range of the pairs' ratios."""

        def head(what: str, base: str, ours: str) -> str:
            return f"{what:<14}{base:>10}{ours:>10}{'ratio':>8}  range"

        lines = [head("release", "script", "tool"), *map(str, self.releases()), str(self.silences())]
        if self.window:
            lines.append(str(Row(name="lock window", base=[], ours=self.window)))
        lines += ["", head("start-up", "base", "tool"), str(self.start_up()), str(self.completions())]
        verdict = f"missed: {', '.join(self.missed)}" if self.missed else "all targets met"
        return "\n".join([*lines, "", f"median of {len(self.tool)} pairs, in seconds; {verdict}"])
