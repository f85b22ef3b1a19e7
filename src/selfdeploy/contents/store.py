"""npm's store: with `install-strategy=linked`, packages live below node_modules/.store, and links lead to them.

Source: npm's RFC 0042, isolated mode.
"""

import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from selfdeploy import tree
from selfdeploy.contents import lock
from selfdeploy.contents.npm import Npm

STORE = "node_modules/.store"

DESCRIPTIONS = frozenset({"package.json", ".npmrc", *(PurePosixPath(name).name for name in lock.FILES)})
"""The files of a tree from which npm decides the packages to remove."""

TARBALLS = (".tgz", ".tar.gz", ".tar")


def is_used(export: Path) -> bool:
    """Return True if npm has installed EXPORT's packages as links to its store."""
    return (export / STORE).is_dir()


def find_entry(target: str) -> str:
    """Return the store's folder with the package at TARGET; empty if TARGET is not in the store.

    An entry's node_modules has the package itself, and links to its dependencies.
    """
    entry, found, _ = target.removeprefix(f"{STORE}/").partition("/node_modules/")
    return f"{STORE}/{entry}" if found and target.startswith(f"{STORE}/") else ""


def find_package(root: Path, name: str, version: str) -> Iterator[Path]:
    """Yield the folders of the package NAME in the store of ROOT, in VERSION or a version that begins with it."""
    return (root / STORE).glob(f"{glob.escape(f'{name}@{version}')}*/node_modules/{glob.escape(name)}")


def list_removed(export: Path, npm: Npm, scratch: Path) -> frozenset[str]:
    """Return the locations of links that `npm prune --omit=dev` would remove from EXPORT; EXPORT does not change.

    A dry run does not list links (npm 10 to 12). So npm prunes a copy below SCRATCH, with only the package.json of each
    package. Packages in the store are not listed: a package without a link to it is not needed.

    Raises:
        errors.SourceUnusable: npm cannot read the tree or its lock file.
    """
    with tree.scratch(scratch, "prune") as folder:
        copy = folder / "sf"
        locations = _copy(export, copy)
        npm.prune(copy)
        return frozenset(path for path in locations if not os.path.lexists(copy / path))


def _copy(export: Path, to: Path) -> list[str]:
    """Copy the files of EXPORT that npm reads into the new folder TO; return the links outside of the store."""
    to.mkdir()
    found, queue = [], [""]
    while queue:
        here = queue.pop()
        with os.scandir(export / here) as entries:
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if entry.is_symlink():
                    (to / path).symlink_to((export / path).readlink())
                    found += [] if path.startswith(f"{STORE}/") else [path]
                elif entry.is_dir():
                    if entry.name != ".git":
                        (to / path).mkdir()
                        queue.append(path)
                elif entry.name in DESCRIPTIONS or _is_dependency(path):
                    shutil.copy2(entry.path, to / path)
    return found


def _is_dependency(path: str) -> bool:
    """Return True for a tarball that a `file:` dependency may name; its dependents have another path in the copy."""
    return path.endswith(TARBALLS) and "node_modules" not in PurePosixPath(path).parts
