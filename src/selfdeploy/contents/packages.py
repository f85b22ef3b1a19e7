"""The installed packages of a tree that production needs, as npm left them on disk."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import errors
from selfdeploy.contents import links, store

LEFT_OUT = frozenset({".bin", ".cache", ".package-lock.json", ".store", ".vite", ".vite-temp", ".vitest"})
"""Entries of node_modules that do not ship: caches, npm's notes. Links choose the content of .bin and npm's store."""


@dataclass(frozen=True, kw_only=True)
class Packages:
    """Paths below a tree: folders of packages, links to linked packages and their folders, .bin folders, the rest."""

    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    bins: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def find(export: Path, removed: Collection[str], linked: Iterable[str] = ()) -> Packages:
    """Return the packages installed in EXPORT, without those at the locations REMOVED.

    A linked package (a workspace, a `file:` dependency) keeps its packages in its own folder. LINKED are the folders of
    linked packages that ship even if no link leads to them.

    Raises:
        errors.SourceUnusable: a package is a link out of EXPORT, or a node_modules folder is a link.
    """
    packages = Packages(linked=sorted(set(linked)))
    queue, seen = ["", *packages.linked], {"", *packages.linked}
    while queue:
        for location in _list_modules(export, queue.pop(), packages):
            path = export / location
            if location in removed:
                continue
            if not path.is_symlink():
                (packages.folders if path.is_dir() else packages.others).append(location)
                if path.is_dir():
                    queue.append(location)
                continue
            target = links.target(export, location)
            if target is None or not (export / target).is_dir():
                raise errors.SourceUnusable(
                    f"{location}: links to {str(path.readlink())!a}, which is not in the package",
                    "move the package into the repository",
                )
            packages.links.append(location)
            if entry := store.find_entry(target):
                queue += [entry] if entry not in seen else []
                seen.add(entry)
            elif target not in seen and target not in removed and "node_modules" not in Path(target).parts:
                seen.add(target)
                packages.linked.append(target)
                queue.append(target)
    return packages


def _list_modules(export: Path, package: str, packages: Packages) -> list[str]:
    """Return the package locations in the node_modules of PACKAGE; add its other entries to PACKAGES."""
    folder = f"{package}/node_modules" if package else "node_modules"
    if (export / folder).is_symlink():
        raise errors.SourceUnusable(f"{folder}: a link", "have npm make the folder itself")
    locations = []
    for name in _list(export / folder):
        location = f"{folder}/{name}"
        if name.startswith("@") and (export / location).is_dir() and not (export / location).is_symlink():
            locations += [f"{location}/{inner}" for inner in _list(export / location)]
        elif name == ".bin":
            packages.bins.append(location)
        elif not name.startswith("."):
            locations.append(location)
        elif name not in LEFT_OUT:
            packages.others.append(location)
    return locations


def _list(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def list_linked(export: Path) -> set[str]:
    """Return the folders in EXPORT of the packages that its node_modules links to, except those in npm's store."""
    locations = [path for path in _list_modules(export, "", Packages()) if (export / path).is_symlink()]
    targets = {target for path in locations if (target := links.target(export, path)) and (export / target).is_dir()}
    return {target for target in targets if not store.find_entry(target)}
