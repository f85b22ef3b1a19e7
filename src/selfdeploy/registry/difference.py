"""The first difference between two images: the layer, and the file in it."""

import itertools
from collections.abc import Iterator
from typing import Any

from selfdeploy.registry import Registry, layers
from selfdeploy.registry.artifact import Child, Image


def first(store: Registry, one: Image, other: Image) -> str:
    """Describe the first difference between the images ONE and OTHER, both in STORE, for a person.

    Raises:
        errors.RegistryInvalid: one of them cannot be read.
    """
    if one.platforms.keys() != other.platforms.keys():
        return f"platforms: {', '.join(one.platforms)} and {', '.join(other.platforms)}"
    for platform, child in one.platforms.items():
        if child.digest != other.platforms[platform].digest:
            return f"{platform}: {_first_part(store, child, other.platforms[platform])}"
    return f"{one.media_type} and {other.media_type}"


def _first_part(store: Registry, one: Child, other: Child) -> str:
    mine, its = store.single(one.digest), store.single(other.digest)
    for number, (left, right) in enumerate(itertools.zip_longest(mine.layers, its.layers), start=1):
        if left is None or right is None:
            return f"{len(mine.layers)} layers and {len(its.layers)}"
        if left.digest != right.digest:
            where = f"layer {number} of {len(mine.layers)}"
            pairs = itertools.zip_longest(layers.members(store, left), layers.members(store, right))
            return f"{where}: {_first_file(pairs) or 'the same files, packed otherwise'}"
    if one.config != other.config:
        return f"config: {_first_key(store.config(one.config), store.config(other.config))}"
    return "the same layers and config, described otherwise"


def _first_file(pairs: Iterator[tuple[layers.Member | None, layers.Member | None]]) -> str:
    for left, right in pairs:
        if left == right:
            continue
        if left is None or right is None or left.name != right.name:
            names = " and ".join(f"{member.name!a}" if member else "its end" for member in (left, right))
            return f"{names}, where the same file has to be"
        for what, mine in vars(left).items():
            if mine != (its := vars(right)[what]):
                return f"{left.name or '/'}: {what} {str(mine)[:80]} and {str(its)[:80]}"
    return ""


def _first_key(one: Any, other: Any, at: str = "") -> str:  # noqa: ANN401 -- any JSON
    """Return the path of the first difference, and both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                return _first_key(one.get(key), other.get(key), f"{at}.{key}" if at else key)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, its) in enumerate(zip(one, other, strict=True)):
            if mine != its:
                return _first_key(mine, its, f"{at}[{index}]")
    return f"{at}: {str(one)[:80]!a} and {str(other)[:80]!a}"
