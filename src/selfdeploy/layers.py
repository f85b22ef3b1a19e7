"""Stub until the real one lands."""

from collections.abc import Mapping
from typing import Any

from selfdeploy import registry


def files(store: registry.Registry, digest: str, *, below: str) -> Mapping[str, Any]:
    raise RuntimeError(f"{store} {digest} {below}")


def compare(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    raise RuntimeError(f"{expected} {actual}")
