import copy
from decimal import Decimal
from typing import Any

import pytest

from selfdeploy.environments.kubernetes import claim


def a_claim(size: str, **metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "sf-home", **metadata},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }


def size(thing: dict[str, Any]) -> str:
    return str(thing["spec"]["resources"]["requests"]["storage"])


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("5", "5"),
        ("0", "0"),
        ("1.5", "1.5"),
        (".5k", "500"),
        ("5.", "5"),
        ("1n", "0.000000001"),
        ("1u", "0.000001"),
        ("250m", "0.25"),
        ("1k", "1000"),
        ("1M", "1000000"),
        ("1G", "1000000000"),
        ("1T", "1000000000000"),
        ("1P", "1000000000000000"),
        ("1E", "1000000000000000000"),
        ("1Ki", "1024"),
        ("1Mi", "1048576"),
        ("1.5Gi", "1610612736"),
        ("1Ti", "1099511627776"),
        ("1Pi", "1125899906842624"),
        ("1Ei", "1152921504606846976"),
        ("5e3", "5000"),
        ("5E+3", "5000"),
        ("5000e-3", "5"),
    ],
)
def test_a_quantity_is_as_much_as_kubernetes_takes_it_for(quantity: str, expected: str) -> None:
    assert claim.amount(quantity) == Decimal(expected)


@pytest.mark.parametrize(
    "quantity", ["", "Gi", "5 Gi", "5gi", "5K", "5GiB", "-1", ".", "1e9999", "1e", "0x5", "5\n", "\u0665"]
)
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        claim.amount(quantity)


@pytest.mark.parametrize(("ours", "theirs"), [("5Gi", "10Gi"), ("5G", "5Gi"), ("1023Mi", "1Gi"), ("900Gi", "1T")])
def test_a_volume_that_has_grown_is_wanted_as_large_as_it_is(ours: str, theirs: str) -> None:
    wanted = a_claim(ours)
    before = copy.deepcopy(wanted)

    assert claim.unshrunk(wanted, a_claim(theirs, uid="u")) == a_claim(theirs)
    assert wanted == before


@pytest.mark.parametrize(("ours", "theirs"), [("10Gi", "5Gi"), ("5Gi", "5G"), ("1Gi", "1024Mi"), ("5Gi", "5Gi")])
def test_one_that_is_to_grow_is_wanted_as_it_is_written(ours: str, theirs: str) -> None:
    assert claim.unshrunk(a_claim(ours), a_claim(theirs)) == a_claim(ours)


@pytest.mark.parametrize(
    "live", [None, a_claim("much"), {}, {"spec": None}, {"spec": {"resources": {"requests": None}}}]
)
def test_without_a_size_to_keep_it_is_wanted_as_it_is_written(live: dict[str, Any] | None) -> None:
    assert claim.unshrunk(a_claim("5Gi"), live) == a_claim("5Gi")


def test_nothing_but_a_claim_is_made_another() -> None:
    wanted = {**a_claim("5Gi"), "kind": "Other"}

    assert size(claim.unshrunk(wanted, a_claim("10Gi"))) == "5Gi"
