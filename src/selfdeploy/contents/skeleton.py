"""A package without content: the same paths as empty files, for npm to choose from."""

import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfdeploy import tree
from selfdeploy.contents import links

DIST = "dist"
"""The folder of a package's build output."""

DROPPED = ("scripts", "workspaces", "bundleDependencies", "bundledDependencies", "publishConfig")
"""Keys of package.json that do not choose files, or make npm look for them elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """The package in FOLDER, with its package.json and the `files` in it, if any."""

    folder: Path
    json: Mapping[str, Any]
    files: Sequence[str] | None

    @property
    def names_modules(self) -> bool:
        """True if `files` names folders called node_modules."""
        return any("node_modules" in pattern for pattern in self.files or ())


def write(package: Package, to: Path, leave_out: Collection[str]) -> list[str]:
    """Lay out PACKAGE in the new folder TO, without the folders LEAVE_OUT and paths that npm cannot choose.

    A link becomes a file, because npm packs no links. A .gitignore in `dist/` is build output, meant only for git, and
    is left out. Return the node_modules folders in `dist/`; they are left out unless `files` names such folders.
    """
    to.mkdir()
    tops = None if package.files is None else list_tops(package.json, package.files)
    modules, queue = [], [""]
    while queue:
        here = queue.pop()
        with os.scandir(package.folder / here) as entries:
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if not entry.is_dir(follow_symlinks=False):
                    _write_file(entry, to / path, built=path.startswith(f"{DIST}/"))
                elif path.startswith(f"{DIST}/") and entry.name == "node_modules" and not package.names_modules:
                    modules.append(path)
                elif _is_wanted(path, tops) and path not in leave_out:
                    (to / path).mkdir()
                    queue.append(path)
    wanted = {key: value for key, value in package.json.items() if key not in DROPPED and "ependencies" not in key}
    tree.write_whole(to / "package.json", json.dumps({**wanted, "name": to.name, "version": "0.0.0"}).encode())
    return modules


def _write_file(entry: os.DirEntry[str], to: Path, *, built: bool) -> None:
    if entry.name in {".npmignore", ".gitignore"}:
        if entry.is_file() and not (built and entry.name == ".gitignore"):
            shutil.copyfile(entry.path, to)
    elif entry.is_symlink() or entry.is_file():
        os.close(os.open(to, os.O_CREAT | os.O_WRONLY, 0o600))


def _is_wanted(path: str, tops: Collection[str] | None) -> bool:
    """Return True if npm can choose files below PATH; TOPS, if given, are the only published top entries."""
    if path in {"node_modules", ".git"} or path.endswith("/.git"):
        return False
    return tops is None or path.partition("/")[0] in tops


def list_tops(package: Mapping[str, Any], files: Sequence[str]) -> set[str] | None:
    """Return the entries of the package's folder from which npm can choose files; None if it can be any."""
    named = [package.get("main"), package.get("browser"), package.get("bin"), package.get("directories")]
    paths = [path for value in named for path in (value.values() if isinstance(value, dict) else [value])]
    tops = set()
    for pattern in [*files, *(path for path in paths if isinstance(path, str))]:
        top = pattern.removeprefix("!").removeprefix("./").lstrip("/").partition("/")[0]
        if top in {"", ".", ".."} or links.MAGIC & set(top):
            return None
        tops.add(top)
    return tops
