"""The effective values of deploy.toml, each with its origin."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from selfdeploy import config

DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value of deploy.toml: its path, the value, and its origin."""

    path: str
    value: object
    origin: str

    def __str__(self) -> str:
        """Return it as `inv config` prints it."""
        return f"{self.path} = {json.dumps(self.value, ensure_ascii=False)}  ({self.origin})"

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {"path": self.path, "value": self.value, "origin": self.origin}


def settings(project: config.Project) -> list[Setting]:
    """Return every value of PROJECT with its origin: the default, deploy.toml, or the file laid over it."""
    told = tomllib.loads((project.root / config.FILE).read_text(encoding="utf-8"))
    found = []
    for path, value in _leaves(project.model_dump(mode="json")):
        written = config.FILE if _has(told, path) else DEFAULT
        found.append(Setting(path=".".join(path), value=value, origin=project.origins.get(".".join(path), written)))
    return found


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif value is not None:
        yield path, value


def _has(told: object, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(told, Mapping) or part not in told:
            return False
        told = told[part]
    return True


def schema() -> dict[str, Any]:
    """Return the JSON Schema of deploy.toml, for completion in editors."""
    made = config.Project.model_json_schema(by_alias=True)
    excluded = [name for name, field in config.Project.model_fields.items() if field.exclude]
    for name in excluded:
        made["properties"].pop(name, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "deploy.toml of selfdeploy"}
