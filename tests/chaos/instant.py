"""When and how a release is killed: the same of the same seed and number, wherever it is tried again."""

import random
from dataclasses import dataclass
from typing import Literal

STAGES = ("preflight", "gates", "image", "manifest", "test", "prod")
Place = Literal["begin", "inside", "end"]
PLACES: tuple[Place, ...] = ("begin", "inside", "end")
HOWS = ("SIGKILL", "SIGTERM", "SIGKILL", "SIGINT")
"""SIGKILL goes to the whole process group, as does SIGINT; SIGTERM to the process alone, as from a CI runner."""

REGISTRY, ENGINE, API = "registry", "engine", "API server"
"""Not kills but faults: that part is stopped, and started again when the release has ended by itself."""

FAULTS = (REGISTRY, ENGINE, API)

FAULT = 7
"""One release in so many meets a fault, in a stage after preflight, which would start another registry."""

BAD_CHAIN = 2
BAD = 5
"""One release in so many is a bad one."""

USUAL = {"preflight": 1.0, "gates": 5.0, "image": 4.0, "manifest": 0.7, "test": 5.0, "prod": 5.0}
"""Seconds that a stage takes until it is known better."""


@dataclass(frozen=True, kw_only=True)
class Instant:
    """The moment in STAGE: at its begin, at its end, or a SHARE of its usual duration after it began."""

    number: int
    stage: str
    place: Place
    share: float
    how: str
    bad: bool = False

    def __str__(self) -> str:
        """Return it as a tally names it."""
        place = f"{self.share:.0%} into" if self.place == "inside" else f"the {self.place} of"
        return f"{self.number}: {self.how} at {place} {self.stage}{', of a bad release' if self.bad else ''}"


CHAINS: tuple[tuple[tuple[str, Place], ...], ...] = (
    (("preflight", "end"), ("image", "begin"), ("test", "inside")),
    (("gates", "inside"), ("manifest", "begin"), ("prod", "inside")),
    (("image", "inside"), ("test", "begin"), ("test", "inside")),
    (("gates", "end"), ("image", "end"), ("prod", "begin")),
)
"""A dozen in chains: the next release is killed as well, until one is let be; the third chain is of a bad one."""


def chain(seed: int, number: int) -> list["Instant"]:
    """Return the chain NUMBER of SEED."""
    drawn = random.Random(f"chain-{seed}-{number}")  # noqa: S311 -- to be repeated, and no secret
    drawings = [(stage, place, drawn.random(), drawn.choice(HOWS)) for stage, place in CHAINS[number]]
    bad = number == BAD_CHAIN
    return [
        Instant(number=number, stage=stage, place=place, share=share, how=how, bad=bad)
        for stage, place, share, how in drawings
    ]


def choose(seed: int, number: int, faults: tuple[str, ...] = (REGISTRY,)) -> Instant:
    """Return the instant NUMBER of SEED; the stages and places come in turn, all else is drawn, FAULTS as well."""
    drawn = random.Random(f"{seed}-{number}")  # noqa: S311 -- to be repeated, and no secret
    stage = STAGES[number % len(STAGES)]
    how = drawn.choice(HOWS)
    return Instant(
        number=number,
        stage=stage,
        place=PLACES[number // len(STAGES) % len(PLACES)],
        share=drawn.random(),
        how=drawn.choice(faults) if number % FAULT == FAULT - 1 and stage != STAGES[0] else how,
        bad=number % BAD == BAD - 1 and stage != STAGES[-1],  # which a bad one never sees
    )
