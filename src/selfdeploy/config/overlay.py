"""SF_DEPLOY_VALUES: the targets of environments, from the infrastructure's YAML file, laid over deploy.toml."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from selfdeploy import config, errors

VARIABLE = "SF_DEPLOY_VALUES"

TARGETS: Mapping[str, tuple[str, ...]] = {
    "compose": ("engine", "project", "bind", "port", "url"),
    "kubernetes": (
        "kubeconfig",
        "context",
        "namespace",
        "name",
        "replicas",
        "url",
        "ingress.host",
        "ingress.class",
        "ingress.tls",
    ),
}
"""The keys of an environment's target, by kind; all other keys belong to deploy.toml alone."""

TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "bool", "float", "null"))
"""The accepted types of values (YAML 1.1 tags)."""

Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One key of an environment's target, with its value and origin."""

    key: str
    value: object
    origin: str

    def __str__(self) -> str:
        """Return it as `inv status` prints it."""
        return f"{self.key} = {json.dumps(self.value)} ({self.origin})"


def targets(project: config.Project, name: str) -> list[Target]:
    """Return the target of the environment NAME, with origins; empty if no file is laid over deploy.toml."""
    if not project.origins:
        return []
    environment = project.environment(name)
    told, given = environment.model_dump(by_alias=True), environment.model_dump(by_alias=True, exclude_unset=True)
    found = []
    for key in TARGETS[environment.kind]:
        top, _, below = key.partition(".")
        value = (told[top] or {}).get(below) if below else told[top]
        set_here = below in (given.get(top) or {}) if below else top in given
        said = config.FILE if set_here else "the default"
        origin = project.origins.get(f"environments.{name}.{key}", said)
        found.append(Target(key=key, value=value, origin=origin))
    return found


class Overlay:
    """The values of one file by their path in deploy.toml, with the line of each."""

    def __init__(self, file: Path) -> None:
        """Read FILE.

        Raises:
            errors.ConfigInvalid: FILE cannot be read or is not YAML, has another top-level key than `environments`, a
                duplicate key, or a value of another type than `TAGS`.
        """
        self._file = file
        self.values: dict[Key, Any] = {}
        self._lines: dict[Key, int] = {}
        try:
            loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
            node = loader.get_single_node()
            if node is not None:
                self._read(loader, node, ())
        except (OSError, UnicodeDecodeError) as exc:
            raise errors.ConfigInvalid(f"{VARIABLE}: {file}: {exc}", "name a YAML file, or unset it") from exc
        except RecursionError:
            raise errors.ConfigInvalid(f"{file}: nested too deeply", "fix the file; nothing was done") from None
        except yaml.MarkedYAMLError as exc:
            line = exc.problem_mark.line + 1 if exc.problem_mark else 1
            raise errors.ConfigInvalid(f"{file}:{line}: {exc.problem}", "fix the file; nothing was done") from exc
        except yaml.YAMLError as exc:
            raise errors.ConfigInvalid(f"{file}: {exc}", "fix the file; nothing was done") from exc

    @property
    def origins(self) -> dict[str, str]:
        """FILE:LINE of every value, by its path in deploy.toml."""
        return {".".join(path): f"{self._file}:{self._lines[path]}" for path in self.values}

    def lay_over(self, environments: Mapping[str, Any]) -> dict[str, Any]:
        """Return ENVIRONMENTS of deploy.toml with this file's values laid over them.

        Raises:
            errors.ConfigInvalid: the file names an unknown environment, or a key outside `TARGETS` of its kind.
        """
        if not isinstance(environments, Mapping):
            return environments  # a mistake in deploy.toml is reported later, as its own
        made = {name: dict(told) if isinstance(told, Mapping) else told for name, told in environments.items()}
        for path in self._lines:
            name, key = ".".join(path[1:2]), ".".join(path[2:])
            if name and name not in made:
                raise self._refusal(path, "no such environment", f"deploy.toml has {', '.join(made)}")
            kind = made[name].get("kind") if name and isinstance(made[name], dict) else ""
            known = TARGETS.get(str(kind), ())
            if key and not any(key == one or (one.startswith(f"{key}.") and path not in self.values) for one in known):
                raise self._refusal(path, "unknown key", f"the keys here are {', '.join(known)}")
            if path in self.values:
                _put(made[name], path[2:], self.values[path])
        return made

    def _read(self, loader: yaml.SafeLoader, node: yaml.Node, path: Key) -> None:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            if len(path) < len(("environments", "NAME", "KEY")):
                raise self._refusal(path, "expected keys", line=line)
            if not isinstance(node, yaml.ScalarNode) or node.tag not in TAGS:
                raise self._refusal(
                    path, "expected a text or a number", "put a text that is neither in quotes", line=line
                )
            try:
                self.values[path] = loader.construct_object(node)
            except (ValueError, LookupError):  # the value does not fit its tag
                raise self._refusal(path, "expected a text or a number", line=line) from None
            return
        for key, told in node.value:
            below = (*path, str(key.value))
            if below in self._lines:
                raise self._refusal(below, f"twice; the first is on line {self._lines[below]}", line=_line(key))
            self._lines[below] = _line(key)
            if not path and below != ("environments",):
                raise self._refusal(below, "unknown key", "the one key here is environments")
            self._read(loader, told, below)

    def _refusal(self, path: Key, why: str, hint: str = "", *, line: int = 0) -> errors.ConfigInvalid:
        where = f"{self._file}:{line or self._lines.get(path, 1)}: {'.'.join(path)}".removesuffix(": ")
        return errors.ConfigInvalid(f"{where}: {why}", hint or "docs/configuration.md says what may be in it")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _put(table: dict[str, Any], path: Key, value: object) -> None:
    *above, last = path
    for part in above:
        found = table.get(part)
        table[part] = dict(found) if isinstance(found, Mapping) else {}
        table = table[part]
    table[last] = value
