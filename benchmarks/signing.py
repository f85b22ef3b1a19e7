"""What signatures cost: releases of two copies of the bundled application, one with a key and one without, in turn."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.report import Row
from lab.children import LabError
from lab.site import Site
from selfdeploy.trust import keys

SHARE = 1.03
"""The most that a whole release with signatures may take, as a multiple of one without."""

EXTRA = 0.5
"""The most seconds that signatures may add to a release of which everything is on record."""


@dataclass(kw_only=True)
class Costs:
    """The seconds of releases without a signature and with one, in pairs: of new commits, and of what is on record."""

    new: list[tuple[float, float]] = field(default_factory=list)
    done: list[tuple[float, float]] = field(default_factory=list)

    @property
    def extra(self) -> float:
        """The median of the seconds that signatures add to a release of which everything is on record."""
        return median(signed - plain for plain, signed in self.done)

    def rows(self) -> tuple[Row, Row]:
        """Return the rows of the table."""
        (new, signed), (done, known) = zip(*self.new, strict=True), zip(*self.done, strict=True)
        return Row(name="new commit", base=new, ours=signed, target=SHARE), Row(name="on record", base=done, ours=known)

    @property
    def missed(self) -> list[str]:
        """The names of the rows whose targets are missed."""
        return [row.name for row in self.rows() if row.missed] + (["on record"] if self.extra > EXTRA else [])

    def __str__(self) -> str:
        """Return the table: medians in seconds, and the median and the range of the pairs' ratios."""
        new, done = self.rows()
        verdict = "MISSED" if self.extra > EXTRA else "met"
        return "\n".join(
            [
                f"{'release':<14}{'plain':>10}{'signed':>10}{'ratio':>8}  range",
                str(new),
                f"{done}  {self.extra:+.2f} s, at most {EXTRA:g}: {verdict}",
                "",
                f"median of {len(self.new)} and {len(self.done)} pairs, in seconds",
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Way:
    """One of the two: a site, and the variables of its releases."""

    site: Site
    variables: dict[str, str]

    def release(self) -> float:
        """Release HEAD, and return the seconds that it took.

        Raises:
            LabError: it failed.
        """
        began = time.monotonic()
        finished = self.site.inv("release", **self.variables)
        if finished.returncode:
            raise LabError(f"inv release: exit code {finished.returncode}: {finished.stderr}")
        return time.monotonic() - began


@contextmanager
def prepared(folder: Path) -> Iterator[tuple[Way, Way]]:
    """Give the way without a key and the way with one, each in a folder below FOLDER, after a first release."""
    ways = []
    try:
        for name in ("plain", "signed"):
            site = Site(folder=folder / name)
            site.folder.mkdir()
            site.lay_out()
            ways.append(Way(site=site, variables={}))
        signed = ways[1]
        made = keys.make(signed.site.folder / "ours", "")
        signed.site.configure(top='[trust]\nkeys = ["ours.pub"]', probes="")
        signed.variables[keys.FILE] = str(made[0])
        for way in ways:
            way.release()
        yield ways[0], signed
    finally:
        for way in ways:
            way.site.close()


def compare(folder: Path, pairs: int, looks: int, say: Callable[[str], None]) -> Costs:
    """Return what signatures cost PAIRS releases of a new commit, and LOOKS releases of what is on record."""
    costs = Costs()
    say("warming up: a release of each, not counted")
    with prepared(folder) as ways:

        def pair(turn: int) -> tuple[float, float]:
            order = ways if turn % 2 == 0 else ways[::-1]
            took = [way.release() for way in order]
            return (took[0], took[1]) if turn % 2 == 0 else (took[1], took[0])

        for turn in range(pairs):
            for way in ways:
                way.site.commit("another")
            costs.new.append(pair(turn))
            say(f"new commit {turn + 1} of {pairs}: {costs.new[-1][0]:.1f} and {costs.new[-1][1]:.1f} s")
        costs.done += [pair(turn) for turn in range(looks)]
    return costs
