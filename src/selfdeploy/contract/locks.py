"""The comparison of a lock file with its package.json, as in `npm ci`; pure."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from selfdeploy.contract.clauses import listed
from selfdeploy.contract.tracked import Tracked

NAMES = ("npm-shrinkwrap.json", "package-lock.json")
"""Lock files in npm's order of precedence (npm-shrinkwrap.json documentation)."""

VERSIONS = (2, 3)
"""Values of lockfileVersion with the packages listed by folder (package-lock.json documentation)."""

EXACT = re.compile(r"=?v?[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?")
KINDS = ("dependencies", "devDependencies", "optionalDependencies")
RENEW = "run npm install with npm 7 or later in the folder, and commit the lock file"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The reason `npm ci` would refuse a lock file, or selfdeploy could not read it."""

    expected: str
    actual: str
    todo: str = RENEW


def name(tracked: Tracked, folder: str = "") -> str:
    """Return npm's lock file in FOLDER (empty, or a path with a final `/`); empty if there is none."""
    return next((f"{folder}{one}" for one in NAMES if f"{folder}{one}" in tracked.entries), "")


def find_fault(tracked: Tracked, folder: str = "") -> Fault | None:
    """Return the first fault of the lock file in FOLDER, or None."""
    manifest = tracked.object(f"{folder}package.json")
    if manifest is None:
        actual = "no JSON object" if f"{folder}package.json" in tracked.entries else "no such file"
        return Fault(expected=f"{folder}package.json", actual=actual, todo="commit it; npm init makes one")
    path = name(tracked, folder)
    if not path:
        return Fault(
            expected=f"{folder}package-lock.json or {folder}npm-shrinkwrap.json", actual="none in the revision"
        )
    lock = tracked.object(path)
    if lock is None:
        return Fault(expected=f"JSON in {path}", actual="no JSON object")
    version, packages = lock.get("lockfileVersion"), lock.get("packages")
    if version not in VERSIONS or isinstance(version, bool):
        return Fault(expected=f"lockfileVersion 2 or 3 in {path}", actual=repr(version)[:80])
    if not isinstance(packages, dict) or not all(isinstance(one, dict) for one in packages.values()):
        return Fault(expected=f"`packages` in {path}", actual="none, or not by folder")
    return _find_drift(tracked, folder, path, packages)


def _find_drift(tracked: Tracked, folder: str, path: str, packages: Mapping[str, Mapping[str, Any]]) -> Fault | None:
    lost = [
        f"{at} -> {to}"
        for at, to in _linked(packages)
        if f"{folder}{to}/package.json" not in tracked.entries and not tracked.beyond(f"{folder}{to}")
    ]
    if lost:
        return Fault(
            expected=f"the workspaces that {path} links to",
            actual=f"not in the revision: {listed(lost)}",
            todo="commit the workspace, or remove it from `workspaces` and run npm install",
        )
    drift = []
    for place in ("", *sorted({to for _, to in _linked(packages)})):
        package = posixpath.join(folder, place, "package.json")
        drift += [f"{one} of {package}" for one in _drift(tracked.object(package) or {}, place, packages)]
    if drift:
        return Fault(expected=f"{path} in step with package.json", actual=listed(drift))
    return None


def _linked(packages: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the place and the target folder of each link in PACKAGES, mostly workspaces."""
    for at, package in packages.items():
        if package.get("link") and isinstance(package.get("resolved"), str):
            yield at, posixpath.normpath(package["resolved"])


def _drift(manifest: Mapping[str, Any], place: str, packages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield each dependency of MANIFEST, at PLACE, missing from PACKAGES or locked to the wrong exact version."""
    optional = manifest.get("optionalDependencies")
    for kind in KINDS:
        wanted = manifest.get(kind)
        for dependency, spec in wanted.items() if isinstance(wanted, dict) else ():
            if kind == "dependencies" and isinstance(optional, dict) and dependency in optional:
                continue
            locked = _resolve(dependency, place, packages)
            if locked is None:
                yield f"{dependency}: missing"
            elif isinstance(spec, str) and EXACT.fullmatch(spec) and locked.get("version"):
                version = spec.lstrip("=v")
                if locked["version"] != version:
                    yield f"{dependency}: {locked['version']} for {version}"


def _resolve(dependency: str, place: str, packages: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Resolve DEPENDENCY from PLACE as node does; return None if PACKAGES do not have it."""
    folder = place
    while True:
        at = posixpath.join(folder, "node_modules", dependency)
        if at in packages:
            linked = posixpath.normpath(str(packages[at].get("resolved"))) if packages[at].get("link") else at
            return packages.get(linked, {})
        if not folder:
            return None
        folder = posixpath.dirname(folder)


def linked_folders(tracked: Tracked) -> list[str]:
    """Return the folders of the shipped workspaces, linked by the lock file and not only for development."""
    packages = (tracked.object(name(tracked)) or {}).get("packages")
    if not isinstance(packages, dict):
        return []
    shipped = {at: one for at, one in packages.items() if isinstance(one, dict) and not one.get("dev")}
    return sorted({to for _, to in _linked(shipped)})
