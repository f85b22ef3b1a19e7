import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.objects import objects, of_kind, text_of
from lab.values import REVISION, a_manifest, a_namespace_with_everything
from selfdeploy import errors, manifest

HOSTILE = 'a"b: $x $(y) $$\n- {{ z }} </> \\ \x7f\x85\u2028 ü 😀\n---\nkind: Secret'
TEMPLATES = Path(__file__).parents[2] / "templates" / "kubernetes"
WHOLE_NUMBERS = {"replicas", "deadline", "termination", "startup", "drain"}


def test_a_manifest_with_hostile_strings_arrives_as_it_is() -> None:
    made = a_manifest(source=manifest.Source(repository=HOSTILE, revision=REVISION, path=HOSTILE, tree="b" * 40))

    (told,) = of_kind("ConfigMap", objects(made))

    assert told["data"]["sf-release-manifest.json"].encode() == made.bytes


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Return the way to every string in VALUE."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif isinstance(value, str):
        yield path


def objects_unless_refused(keys: dict[str, object]) -> list[dict[str, Any]] | str:
    try:
        return objects(**keys)
    except errors.ConfigInvalid as refused:
        return refused.message


def put(value: Any, path: tuple[str | int, ...], text: str) -> Any:  # noqa: ANN401 -- TOML
    changed = copy.deepcopy(value)
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = text
    return changed


def replaced(value: object, old: str, new: str) -> object:
    if isinstance(value, dict):
        return {key: replaced(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, old, new) for inner in value]
    return new if value == old else value


@pytest.mark.parametrize("path", [*leaves(a_namespace_with_everything())], ids=lambda path: ".".join(map(str, path)))
def test_a_hostile_value_is_refused_or_stays_a_value(path: tuple[str | int, ...]) -> None:
    hostile = objects_unless_refused(put(a_namespace_with_everything(), path, HOSTILE))
    if isinstance(hostile, str):
        assert "environments.test." in hostile
        return

    benign = objects(**put(a_namespace_with_everything(), path, "a-value-of-its-own"))
    expanded_once = HOSTILE.replace("$", "$$") if path[0] == "variables" else HOSTILE  # which the kubelet reads as one
    assert hostile == replaced(benign, "a-value-of-its-own", expanded_once)


@pytest.mark.parametrize(
    "keys",
    [
        {"variables": {HOSTILE: "x"}},
        {"secrets": {HOSTILE: {"name": "s", "key": "k"}}},
        {"ingress": {"host": "h.test", "annotations": {HOSTILE: "x"}}},
        {"ingress": {"host": "h.test", "guard": {HOSTILE: "x"}}},
        {"variables": {"A": "\0"}},
    ],
)
def test_a_hostile_key_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(errors.ConfigInvalid):
        text_of(**keys)


def test_the_objects_are_plain_ascii_that_every_yaml_reader_reads_alike() -> None:
    assert text_of(variables={"V": HOSTILE}).isascii()


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.j2")), ids=lambda path: path.name)
def test_every_string_in_a_template_is_quoted(template: Path) -> None:
    for expression in re.findall(r"{{(.*?)}}(?!})", template.read_text().replace("}}}", "}} }")):
        assert expression.strip().endswith(("| tojson", "| quoted")) or expression.strip() in WHOLE_NUMBERS
