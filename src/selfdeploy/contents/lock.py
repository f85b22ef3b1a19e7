"""npm's lock file: the packages that production requires, by location."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from selfdeploy import errors

FILES = ("npm-shrinkwrap.json", "package-lock.json", "node_modules/.package-lock.json")
"""The lock files by precedence; the last lists npm's installed packages ("Hidden Lockfiles" in npm's documentation)."""

NO_PEERS = re.compile(r"^\s*(omit(\[\])?\s*=.*\bpeer\b|legacy-peer-deps\s*=\s*true)", re.MULTILINE)
"""A setting in .npmrc that keeps npm from installing peer dependencies."""

VERSION = re.compile(r"[v=\s]*([0-9][^+\s]*)")


@dataclass(frozen=True, kw_only=True)
class Required:
    """A package that production needs: its version if the lock file pins one, and the target of a link."""

    name: str = ""
    version: str = ""
    link: bool = False
    target: str = ""


def read_object(file: Path, name: str = "") -> dict[str, Any]:
    """Return the JSON object in FILE, called NAME in errors.

    Raises:
        errors.SourceUnusable: FILE is missing, or is not a JSON object.
    """
    name = name or file.name
    try:
        value = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise errors.SourceUnusable(f"{name}: missing", "name SF's checkout: --source") from exc
    except (ValueError, RecursionError) as exc:
        raise errors.SourceUnusable(f"{name}: no JSON: {str(exc)[:200]}", "fix it and run the command again") from exc
    if not isinstance(value, dict):
        raise errors.SourceUnusable(f"{name}: not a JSON object", "fix it and run the command again")
    return value


def read_required(export: Path) -> dict[str, Required]:
    """Return the packages that the lock file of EXPORT requires in production, by location; empty without a lock file.

    Source: npm's documentation of package-lock.json, lockfileVersion 1 to 3.

    Raises:
        errors.SourceUnusable: the lock file is damaged, or a location leads out of EXPORT.
    """
    name = next((name for name in FILES if (export / name).is_file()), "")
    if not name:
        return {}
    data = read_object(export / name, name)
    packages = data.get("packages")
    if not isinstance(packages, dict):
        if not isinstance(data.get("dependencies", {}), dict) or not ({"dependencies", "lockfileVersion"} & set(data)):
            raise errors.SourceUnusable(f"{name}: no 'packages' in it", "write it with `npm install`")
        packages = dict(_flatten(data.get("dependencies", {}), name))
    peers = not NO_PEERS.search(_read_text(export / ".npmrc"))
    required = {}
    for location, entry in packages.items():
        if not isinstance(entry, dict):
            raise errors.SourceUnusable(f"{name}: {location!a}: not a JSON object", "write it with `npm install`")
        target = str(entry.get("resolved", "")) if entry.get("link") else ""
        if _leads_out(location) or _leads_out(target):
            raise errors.SourceUnusable(
                f"{name}: {location!a}: {target + ' is' if target else 'is'} not a folder of the package",
                "move the package into the repository",
            )
        if location and _is_required(entry, peers=peers):
            name = str(entry.get("name") or location.rpartition("node_modules/")[2])
            required[location] = Required(
                name=name,
                version=_version(location, entry),
                link=bool(entry.get("link")),
                target=posixpath.normpath(target) if target else "",
            )
    return required


def normalize(version: object) -> str:
    """Return VERSION as npm compares it, without a leading `v` and build metadata; empty if it is not a version."""
    match = VERSION.fullmatch(str(version).partition("+")[0])
    return match[1] if match else ""


def _is_required(entry: Mapping[str, Any], *, peers: bool) -> bool:
    skipped = ("dev", "optional", "devOptional", "extraneous")
    return not any(entry.get(flag) for flag in skipped) and (peers or not entry.get("peer"))


def _version(location: str, entry: Mapping[str, Any]) -> str:
    installed = location.startswith("node_modules/") or "/node_modules/" in location
    return normalize(entry.get("version", "")) if installed and not entry.get("link") else ""


def _flatten(dependencies: Mapping[str, Any], lock: str, parent: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the packages of lockfileVersion 1, nested as their folders are."""
    for name, entry in dependencies.items():
        location = f"{parent}node_modules/{name}"
        if not isinstance(entry, dict) or not isinstance(entry.get("dependencies", {}), dict):
            raise errors.SourceUnusable(f"{lock}: {location!a}: not a JSON object", "write it with `npm install`")
        version = str(entry.get("version", ""))
        if version.startswith("npm:"):
            version = version.rpartition("@")[2]
        link = version.startswith("file:") and not version.endswith((".tgz", ".tar.gz", ".tar"))
        flags = {"link": link, "resolved": version.removeprefix("file:") if link else ""}
        yield location, {**entry, "version": version, **flags}
        yield from _flatten(entry.get("dependencies", {}), lock, f"{location}/")


def _leads_out(path: str) -> bool:
    return ".." in PurePosixPath(path).parts or path.startswith("/") or "\0" in path


def _read_text(file: Path) -> str:
    return file.read_text(errors="replace") if file.is_file() else ""
