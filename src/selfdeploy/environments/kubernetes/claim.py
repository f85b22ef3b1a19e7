"""How much a PersistentVolumeClaim claims: it grows, and never shrinks; compared, and pure."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Object = dict[str, Any]

QUANTITY = re.compile(
    r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)"
)
"""A quantity as Kubernetes writes it: a number, and an exponent or a unit."""

UNITS = {
    "": Decimal(1),
    **{unit: Decimal(10) ** exponent for unit, exponent in {"n": -9, "u": -6, "m": -3}.items()},
    **{unit: Decimal(1000) ** step for step, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** step for step, unit in enumerate("KMGTPE", start=1)},
}


def amount(quantity: str) -> Decimal:
    """Return how much QUANTITY, such as `5Gi`, is.

    Raises:
        ValueError: it is none.
    """
    found = QUANTITY.fullmatch(quantity)
    if not found:
        raise ValueError(f"{quantity!r} is no quantity")
    number, exponent, unit = found.groups()
    return Decimal(f"{number}e{exponent}") if exponent else Decimal(number) * UNITS[unit or ""]


def unshrunk(wanted: Object, live: Object | None) -> Object:
    """Return WANTED; as large as LIVE, the claim that is in its place, where that one is larger.

    What was recorded before a volume grew is put back with the volume as it is: a cluster refuses all of it otherwise.
    """
    if wanted.get("kind") != "PersistentVolumeClaim" or live is None:
        return wanted
    ours, theirs = _requested(wanted), _requested(live)
    try:
        if amount(theirs) <= amount(ours):
            return wanted
    except ValueError:
        return wanted  # the API server says what is wrong with it
    spec = wanted["spec"]
    requests = {**spec["resources"]["requests"], "storage": theirs}
    return {**wanted, "spec": {**spec, "resources": {**spec["resources"], "requests": requests}}}


def _requested(claim: Mapping[str, Any]) -> str:
    """Return how much CLAIM claims; empty where it does not say."""
    told: object = claim
    for key in ("spec", "resources", "requests", "storage"):
        told = told.get(key) if isinstance(told, Mapping) else None
    return str(told or "")
