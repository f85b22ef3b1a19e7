"""What users notice of rollouts on a Docker engine, side by side, as a table and a verdict; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

TOOL, RECREATE, COMPOSE, SCALED = WAYS = ("rolling", "recreate", "compose up", "scaled")
"""`inv rollout` with either strategy, `docker compose up`, and scaling to two and back."""

SILENCE = 0.05
"""Seconds that the longest silence may be longer than without a rollout."""

AGAINST = {RECREATE: 1.15, SCALED: 1.5}
"""The most that a rollout with `rolling` may take, as a multiple of another way's."""

MEMORY = 30.0
"""MiB that a front may take."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One rollout under load: its seconds, its requests, those that failed, answers of a bad build, longest silence.

    REFUSED says whether the release was.
    """

    seconds: float
    requests: int
    failed: int
    wrong: int
    silence: float
    refused: bool = False


@dataclass(kw_only=True)
class Way:
    """The rollouts of one way: of good releases, and of bad ones."""

    good: list[Phase] = field(default_factory=list)
    bad: list[Phase] = field(default_factory=list)


@dataclass(kw_only=True)
class Gaps:
    """All that was measured; QUIET is the longest silence without a rollout (seconds), MEMORY is the front's (MiB)."""

    ways: dict[str, Way] = field(default_factory=lambda: {name: Way() for name in WAYS})
    quiet: float = 0.0
    memory: float = 0.0

    def ratio(self, other: str) -> float:
        """Return the median seconds of a rolling rollout as a multiple of OTHER's."""
        return median(p.seconds for p in self.ways[TOOL].good) / median(p.seconds for p in self.ways[other].good)

    @property
    def missed(self) -> list[str]:
        """The names of the targets that the tool misses."""
        tool = self.ways[TOOL]
        targets = {
            "failed": sum(phase.failed for phase in tool.good) == 0,
            "by a bad one": sum(phase.wrong for phase in tool.bad) == 0,
            "silence": max(phase.silence for phase in tool.good) <= self.quiet + SILENCE,
            **{f"against {other}": self.ratio(other) <= most for other, most in AGAINST.items()},
            "memory": self.memory <= MEMORY,
        }
        return [name for name, met in targets.items() if not met]

    def __str__(self) -> str:
        """Return the table: medians in seconds, and sums over all rollouts."""

        def row(name: str, cells: Sequence[str]) -> str:
            return f"{name:<22}{''.join(f'{cell:>12}' for cell in cells)}"

        ways = [self.ways[name] for name in WAYS]
        lines = [
            row("on a Docker engine", WAYS),
            row("rollout, seconds", [f"{median(p.seconds for p in way.good):.2f}" for way in ways]),
            row("requests", [str(sum(phase.requests for phase in way.good)) for way in ways]),
            row("failed", [str(sum(phase.failed for phase in way.good)) for way in ways]),
            row("longest silence, s", [f"{max(phase.silence for phase in way.good):.3f}" for way in ways]),
            row("bad ones refused", [f"{sum(phase.refused for phase in way.bad)} of {len(way.bad)}" for way in ways]),
            row("bad release, seconds", [f"{median(p.seconds for p in way.bad):.2f}" for way in ways]),
            row("  answers by it", [str(sum(phase.wrong for phase in way.bad)) for way in ways]),
            row("  failed meanwhile", [str(sum(phase.failed for phase in way.bad)) for way in ways]),
        ]
        ratios = ", ".join(f"{self.ratio(other):.2f} x {other} (at most {most})" for other, most in AGAINST.items())
        verdict = f"missed: {', '.join(self.missed)}" if self.missed else "all targets met"
        return "\n".join(
            [
                *lines,
                "",
                f"without a rollout: {self.quiet:.3f} s of silence; the front takes {self.memory:.1f} MiB (at most 30)",
                f"a rolling rollout takes {ratios}",
                f"{len(self.ways[TOOL].good)} good and {len(self.ways[TOOL].bad)} bad releases of each; {verdict}",
            ]
        )
