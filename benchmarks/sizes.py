"""The comparison at the real application's size as a table and a verdict; pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

MB = 1e6
PEAK = 100 * MB
"""The most memory that the tool's own Python may take, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One commit, gated, built and pushed: seconds, bytes, and CPU seconds and memory of the tool's own Pythons."""

    gates: float
    build: float
    pushed: float
    cpu: float
    receipt: float
    peak: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of ours as a multiple of another's, round by round."""

    name: str
    base: Sequence[float]
    ours: Sequence[float]
    target: float | None = None

    @property
    def ratios(self) -> list[float]:
        """The ratios, round by round: what drifts in between drifts in both."""
        return [ours / base for base, ours in zip(self.base, self.ours, strict=True)]

    @property
    def missed(self) -> bool:
        """Whether the median of the ratios is above the target."""
        return self.target is not None and median(self.ratios) > self.target

    def __str__(self) -> str:
        """Return the line of the table."""
        line = f"{self.name:<34}{median(self.base):>9.1f}{median(self.ours):>9.1f}{median(self.ratios):>8.2f}"
        line += f"  {min(self.ratios):.2f}-{max(self.ratios):.2f}"
        verdict = "MISSED" if self.missed else "met"
        return line if self.target is None else f"{line}  at most {self.target:g}: {verdict}"


@dataclass(kw_only=True)
class Report:
    """All that was measured, round by round: the tool now and as it was at AGAINST, and the script's image stage."""

    against: str
    now: list[Turn] = field(default_factory=list)
    then: list[Turn] = field(default_factory=list)
    script: list[float] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        """Return the rows of the table."""

        def row(name: str, read: Callable[[Turn], float], target: float | None = None) -> Figure:
            return Figure(name=name, base=[*map(read, self.then)], ours=[*map(read, self.now)], target=target)

        builds = [turn.build for turn in self.now]
        return [
            row("gates, s", lambda turn: turn.gates),
            row("build and push, s", lambda turn: turn.build, 0.25),
            row("bytes pushed, MB", lambda turn: turn.pushed / MB, 0.35),
            row("the tool's own CPU, s", lambda turn: turn.cpu, 0.33),
            row("nox -s gates with a receipt, s", lambda turn: turn.receipt, 0.2),
            Figure(name="build and push / the script's, s", base=self.script, ours=builds, target=0.6),
        ]

    @property
    def peak(self) -> float:
        """The most memory that one of the tool's Pythons took, in bytes."""
        return max(turn.peak for turn in self.now)

    @property
    def missed(self) -> list[str]:
        """The names of the figures whose targets are missed."""
        return [row.name for row in self.figures() if row.missed] + (["peak memory"] if self.peak > PEAK else [])

    def __str__(self) -> str:
        """Return the table: medians, and the median and the range of the rounds' ratios."""
        head = f"{'at size':<34}{self.against[:8]:>9}{'now':>9}{'ratio':>8}  range"
        then = max(turn.peak for turn in self.then)
        memory = f"{'peak memory of the tool, MB':<34}{then / MB:>9.1f}{self.peak / MB:>9.1f}"
        verdict = f"missed: {', '.join(self.missed)}" if self.missed else "all targets met"
        lines = [head, *map(str, self.figures()), f"{memory}          at most {PEAK / MB:g}"]
        return "\n".join([*lines, "", f"median of {len(self.now)} rounds; {verdict}"])
