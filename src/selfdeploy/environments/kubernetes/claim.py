"""The size of a PersistentVolumeClaim: it may grow, and never shrinks. Pure comparisons."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Object = dict[str, Any]

QUANTITY = re.compile(
    r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)"
)
"""A Kubernetes quantity: a number with an optional exponent or unit."""

UNITS = {
    "": Decimal(1),
    **{unit: Decimal(10) ** exponent for unit, exponent in {"n": -9, "u": -6, "m": -3}.items()},
    **{unit: Decimal(1000) ** step for step, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** step for step, unit in enumerate("KMGTPE", start=1)},
}


def amount(quantity: str) -> Decimal:
    """Return the value of QUANTITY, such as `5Gi`.

    Raises:
        ValueError: it is not a Kubernetes quantity.
    """
    found = QUANTITY.fullmatch(quantity)
    if not found:
        raise ValueError(f"{quantity!r} is no quantity")
    number, exponent, unit = found.groups()
    return Decimal(f"{number}e{exponent}") if exponent else Decimal(number) * UNITS[unit or ""]


def unshrunk(wanted: Object, live: Object | None) -> Object:
    """Return WANTED, enlarged to the size of LIVE, the existing claim, if LIVE is larger.

    A release recorded before the volume grew is rolled back with the present size: the cluster would refuse to shrink
    it.
    """
    if wanted.get("kind") != "PersistentVolumeClaim" or live is None:
        return wanted
    ours, theirs = _requested(wanted), _requested(live)
    try:
        if amount(theirs) <= amount(ours):
            return wanted
    except ValueError:
        return wanted  # the API server reports the error
    spec = wanted["spec"]
    requests = {**spec["resources"]["requests"], "storage": theirs}
    return {**wanted, "spec": {**spec, "resources": {**spec["resources"], "requests": requests}}}


def _requested(claim: Mapping[str, Any]) -> str:
    """Return the storage that CLAIM requests; empty if it does not say."""
    told: object = claim
    for key in ("spec", "resources", "requests", "storage"):
        told = told.get(key) if isinstance(told, Mapping) else None
    return str(told or "")
