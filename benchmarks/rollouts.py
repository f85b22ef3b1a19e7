"""The comparison of rollouts in a cluster as a table and a verdict; pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

TOOL, KUBECTL, HELM = SIDES = ("tool", "kubectl", "helm")

LATE = 1.0
"""Seconds after `kubectl rollout status` would have returned until the tool returns, at most."""

BAD = 10.0
"""Seconds until a release that does not start, or has no image, is refused, put back and proven, at most."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One rollout under steady requests: its seconds, the answers of the old build after it had returned, and failures.

    LATE is how many seconds after `kubectl rollout status` it returned, where that was watched beside it.
    """

    seconds: float
    stale: int
    failed: int
    late: float | None = None


@dataclass(kw_only=True)
class Side:
    """What one way did: rollouts, seconds until a bad release was refused, and whether it converged after each kill.

    A bad release is one whose server ends at once (BAD), or whose image is nowhere to be pulled from (GONE).
    """

    rollouts: list[Rollout] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)
    converged: list[bool] = field(default_factory=list)


@dataclass(kw_only=True)
class Comparison:
    """All that was measured in the cluster, by side."""

    sides: dict[str, Side] = field(default_factory=lambda: {name: Side() for name in SIDES})

    def _late(self) -> list[float]:
        return [one.late for one in self.sides[TOOL].rollouts if one.late is not None]

    @property
    def missed(self) -> list[str]:
        """The names of the targets that the tool misses."""
        tool = self.sides[TOOL]
        targets = {
            "old answers": sum(one.stale for one in tool.rollouts) == 0,
            "after status": bool(self._late()) and median(self._late()) <= LATE,
            "bad release": max(tool.bad) <= BAD,
            "bad image": max(tool.gone) <= BAD,
            "killed": all(tool.converged),
        }
        return [name for name, met in targets.items() if not met]

    def _row(self, name: str, tell: Callable[[Side], str], target: str = "") -> str:
        cells = "".join(f"{tell(self.sides[side]):>10}" for side in SIDES)
        verdict = f"  {target}: {'MISSED' if name in self.missed else 'met'}" if target else ""
        return f"{name:<14}{cells}{verdict}"

    def _ratios(self) -> str:
        told = []
        for name in (KUBECTL, HELM):
            pairs = zip(self.sides[TOOL].rollouts, self.sides[name].rollouts, strict=True)
            told.append(f"{median(ours.seconds / theirs.seconds for ours, theirs in pairs):.2f} times {name}'s")
        return f"a rollout by the tool takes {' and '.join(told)}, old answers and proof included"

    def __str__(self) -> str:
        """Return the table: medians in seconds, and counts over all rollouts."""
        rows = [
            f"{'in a cluster':<14}{''.join(f'{name:>10}' for name in SIDES)}",
            self._row("rollout", lambda side: _median([one.seconds for one in side.rollouts])),
            self._row(
                "after status", lambda side: _median([r.late for r in side.rollouts if r.late]), f"at most {LATE:g}"
            ),
            self._row("old answers", lambda side: str(sum(one.stale for one in side.rollouts)), "none"),
            self._row("unanswered", lambda side: str(sum(one.failed for one in side.rollouts))),
            self._row("bad release", lambda side: _median(side.bad), f"at most {BAD:g}"),
            self._row("bad image", lambda side: _median(side.gone), f"at most {BAD:g}"),
            self._row("killed", lambda side: _share(side.converged), "all converge"),
        ]
        verdict = f"missed: {', '.join(self.missed)}" if self.missed else "all targets met"
        count = len(self.sides[TOOL].rollouts)
        return "\n".join([*rows, "", self._ratios(), f"{count} rollouts of each, medians in seconds; {verdict}"])


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.2f}" if values else "-"


def _share(converged: Sequence[bool]) -> str:
    return f"{sum(converged)} of {len(converged)}" if converged else "-"
