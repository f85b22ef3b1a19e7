"""Warnings about gates that ran far fewer tests than for the last proven release of an environment."""

from collections.abc import Mapping
from typing import Any

from selfdeploy import errors
from selfdeploy.build.assembly import Assembly
from selfdeploy.environments import Environment
from selfdeploy.gates.count import Count
from selfdeploy.gates.receipt import GatedTree

SHARE = 0.8
"""Least expected share of the last proven release's tests."""


def warn(assembly: Assembly, environment: Environment) -> tuple[str, ...]:
    """Return a warning for each gate with far fewer tests on this revision than on ENVIRONMENT's last proven one.

    Empty if the gates have not run yet, or if there is no record to compare with.
    """
    try:
        present = _present(assembly)
        proven = environment.read().proven
        before = assembly.recorded(proven[0].digest) if present and proven else None
    except errors.SelfdeployError:
        return ()
    if before is None:
        return ()
    return compare(present, before.evidence.get("gates"), f"{proven[0].revision[:12]}, proven here last")


def _present(assembly: Assembly) -> Mapping[str, Any]:
    """Return the recorded gates of the revision at hand; empty if they have not passed."""
    if release := assembly.recorded_here():
        known = release.evidence.get("gates")
        return known if isinstance(known, dict) else {}
    gated = assembly.find_gated()
    return gated.receipt.gates if isinstance(gated, GatedTree) else {}


def compare(present: Mapping[str, Any], before: object, name: str) -> tuple[str, ...]:
    """Return a warning for each gate that ran less than `SHARE` of its tests BEFORE, for the release called NAME."""
    counted = before if isinstance(before, dict) else {}
    warnings = []
    for gate, facts in counted.items():
        earlier, now = _count(facts), _count(present.get(gate))
        if earlier.ran and now.ran < SHARE * earlier.ran:
            warnings.append(f"{gate} ran {now.ran} tests, and {earlier.ran} for {name}")
    return tuple(warnings)


def _count(facts: object) -> Count:
    return (Count.read(facts.get("tests")) if isinstance(facts, dict) else None) or Count()
