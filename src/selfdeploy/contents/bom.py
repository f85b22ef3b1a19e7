"""The npm packages among the shipped files, as `npm sbom` lists them, without the parts that differ from run to run."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from selfdeploy import errors, tree
from selfdeploy.contents import packages
from selfdeploy.contents.npm import Npm

KEPT = ("name", "version", "license", "licenses", "private")
"""The keys of a package.json that describe its package in an SBOM."""
DEPENDENCIES = ("dependencies", "optionalDependencies", "peerDependencies")


class _Document(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="ignore", populate_by_name=True)


class _Component(_Document):
    ref: str = pydantic.Field(alias="bom-ref", min_length=1)
    version: str = ""
    purl: str
    licenses: tuple[dict[str, Any], ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return the component; its name is the package's, where npm gives the name of the folder."""
        told = {"bom-ref": self.ref, "type": "library", "name": self.ref.rpartition("@")[0], "purl": self.purl}
        more = {"version": self.version, "licenses": list(self.licenses)}
        return {**told, **{key: value for key, value in more.items() if value}}


class _Dependency(_Document):
    ref: str
    depends_on: tuple[str, ...] = pydantic.Field((), alias="dependsOn")


class _Metadata(_Document):
    component: _Component


class _Bom(_Document):
    metadata: _Metadata
    components: tuple[_Component, ...]
    dependencies: tuple[_Dependency, ...]


def list_packages(ship: Path, npm: Npm, scratch: Path) -> dict[str, Any]:
    """Return the npm packages below SHIP as a CycloneDX `component`, its `components` and their `dependencies`.

    npm refuses a tree without a declared package, and a pruned tree has no dev dependencies. So it lists a copy below
    SCRATCH in which missing dependencies are optional. A staged web host has its packages in a folder of its own; npm
    lists each such folder. Equal trees give equal results.

    Raises:
        errors.SourceUnusable: npm cannot list the packages.
    """
    linked = packages.list_linked(ship)
    with tree.scratch(scratch, "sbom") as folder:
        roots = _copy(ship, folder / "sf")
        listed = [npm.list_components(folder / "sf" / root) for root in ("", *sorted(roots - linked - {""}))]
    return merge(listed)


def _copy(ship: Path, to: Path) -> set[str]:
    """Copy the folders, links and package.json files of SHIP to the new folder TO; return the folders with packages."""
    to.mkdir()
    roots, queue = set(), [""]
    while queue:
        here = queue.pop()
        with os.scandir(ship / here) as entries:
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if entry.is_symlink():
                    if entry.is_dir():
                        (to / path).symlink_to((ship / path).readlink())
                elif entry.is_dir():
                    (to / path).mkdir()
                    queue.append(path)
                elif entry.name == "package.json":
                    (to / path).write_text(json.dumps(_relax(ship, here)))
                    parts = here.split("/")
                    if "node_modules" in parts:
                        roots.add("/".join(parts[: parts.index("node_modules")]))
    return roots


def _relax(ship: Path, folder: str) -> dict[str, Any]:
    """Return the package.json in FOLDER below SHIP; it takes any version, and a missing dependency is optional.

    A dependency that is there stays required: npm does not look for optional ones in its store.
    """
    try:
        package = json.loads((ship / folder / "package.json").read_bytes())
    except (ValueError, RecursionError):
        return {}
    if not isinstance(package, dict):
        return {}
    told = [package[key] for key in DEPENDENCIES if isinstance(package.get(key), dict)]
    names = {name: _is_installed(ship, folder, name) for names in told for name in names}
    described = {key: package[key] for key in KEPT if key in package}
    required, optional = (dict.fromkeys((n for n in names if names[n] is there), "*") for there in (True, False))
    return {**described, "dependencies": required, "optionalDependencies": optional}


def _is_installed(ship: Path, folder: str, name: str) -> bool:
    """Return True if node finds the package NAME from FOLDER below SHIP, in a node_modules of FOLDER's tree."""
    root = ship / folder.partition("node_modules")[0]
    places = [place for place in (ship / folder, *(ship / folder).parents) if place.is_relative_to(root)]
    return any((place / "node_modules" / name).is_dir() for place in places)


def merge(listed: Sequence[Any]) -> dict[str, Any]:
    """Return one list of LISTED, the output of `npm sbom` for the root package first, then for others; sorted.

    Raises:
        errors.SourceUnusable: npm's output has another form.
    """
    try:
        boms = [_Bom.model_validate_json(json.dumps(each)) for each in listed]
    except pydantic.ValidationError as exc:
        why = f"npm sbom: unexpected output: {errors.complaint(exc)}"
        raise errors.SourceUnusable(why, "set gates.node to another version") from exc
    root = boms[0].metadata.component
    found = {each.ref: each for bom in reversed(boms) for each in (bom.metadata.component, *bom.components)}
    edges: dict[str, set[str]] = {ref: set() for ref in found}
    for bom in boms:
        for dependency in bom.dependencies:
            edges.setdefault(dependency.ref, set()).update(dependency.depends_on)
    return {
        "component": root.as_data(),
        "components": [found[ref].as_data() for ref in sorted(found) if ref != root.ref],
        "dependencies": [{"ref": ref, "dependsOn": sorted(edges[ref])} for ref in sorted(edges)],
    }
