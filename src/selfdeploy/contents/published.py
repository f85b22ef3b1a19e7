"""The files that npm chooses of a package: `npm pack` on a copy of it whose files are empty."""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfdeploy import errors, tree
from selfdeploy.contents import links, lock, patterns
from selfdeploy.contents.npm import Npm
from selfdeploy.contents.patterns import Paths

IGNORE = (".npmignore", ".gitignore")
DROPPED = ("scripts", "workspaces", "bundleDependencies", "bundledDependencies", "publishConfig")
"""Keys of package.json that do not choose files, or would have npm look elsewhere for them."""

HOST = "dist/web/standalone/node_modules"
"""The packages of the staged web host."""


def choose(export: Path, folders: Sequence[str], npm: Npm, scratch: Path) -> Paths:
    """Return the files and links below EXPORT that the packages FOLDERS publish; the root package is "".

    npm packs files alone, so a link counts as one. It neither knows a build output that git ignores nor the packages
    of a staged web host: without `files`, `dist/` ships too, and of a linked package, which runs from its own folder,
    all that it holds.

    Raises:
        errors.SourceUnusable: a package.json is malformed, or npm refuses it.
    """
    chosen: Paths = {}
    with tree.scratch(scratch, "pack") as parent:
        names = {f"package-{number}": folder for number, folder in enumerate(folders)}
        tree.write_whole(parent / "package.json", b"{}")  # npm takes its folder for the project, and none above it
        for name, folder in names.items():
            _copy(export, folder, parent / name, [other for other in folders if other and other != folder])
        for name, paths in npm.list_packed(parent, list(names)).items():
            folder = names[name]
            for path in (_below(folder, inner) for inner in paths):
                if not os.path.lexists(export / path):
                    raise errors.SourceUnusable(f"{path!a}: npm pack cannot carry a file of this name", "rename it")
                chosen[path] = (export / path).is_symlink()
            chosen |= dict(_own(export, folder, list(chosen)))
    return chosen


def read_files(package: Mapping[str, Any], name: str) -> list[str] | None:
    """Return `files` of PACKAGE, whose package.json is called NAME; None if it has none."""
    files = package.get("files")
    if files is None or (isinstance(files, list) and all(isinstance(pattern, str) for pattern in files)):
        return files
    raise errors.SourceUnusable(f"{name}: files: not a list of patterns", "see npm's documentation of package.json")


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _own(export: Path, folder: str, chosen: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Yield what npm does not know of the package FOLDER, of which it has CHOSEN files."""
    name = _below(folder, "package.json")
    has_files = read_files(lock.read_object(export / name, name), name) is not None
    dist, host = _below(folder, "dist"), _below(folder, HOST)
    if not has_files and not (export / folder / ".npmignore").exists():
        yield from patterns.walk(export, dist)
    above = host.removesuffix("node_modules")
    if any(path.startswith(above) and not path.startswith(f"{host}/") for path in chosen):
        yield from patterns.walk(export, host)


def _copy(export: Path, folder: str, to: Path, others: Collection[str]) -> None:
    """Lay out the package FOLDER of EXPORT in the new folder TO: the same paths, empty, and what tells npm its choice.

    The package's own node_modules, and without `files` the packages OTHERS inside it, are left out.
    """
    name = _below(folder, "package.json")
    package = lock.read_object(export / name, name)
    files = read_files(package, name)
    wanted = {key: value for key, value in package.items() if key not in DROPPED and "ependencies" not in key}
    to.mkdir()
    tops = None if files is None else list_tops(package, files)
    skipped = {host for host in (_below(folder, HOST),) if not any("node_modules" in each for each in files or ())}
    skipped |= set() if files is not None else set(others)
    root = export / folder
    queue = [""]
    while queue:
        here = queue.pop()
        for entry in os.scandir(root / here):
            path = f"{here}/{entry.name}" if here else entry.name
            if entry.is_dir(follow_symlinks=False):
                if _is_wanted(path, tops) and _below(folder, path) not in skipped:
                    (to / path).mkdir()
                    queue.append(path)
            elif entry.name in IGNORE and entry.is_file():
                if entry.name == ".npmignore" or not folder or files is not None:
                    shutil.copyfile(entry.path, to / path)
            elif entry.is_symlink() or entry.is_file():
                os.close(os.open(to / path, os.O_CREAT | os.O_WRONLY, 0o600))
    tree.write_whole(to / "package.json", json.dumps({**wanted, "name": to.name, "version": "0.0.0"}).encode())


def _is_wanted(path: str, tops: Collection[str] | None) -> bool:
    """Return True if npm can choose files below PATH, where only paths below TOPS are published."""
    if path in {"node_modules", ".git"} or path.endswith("/.git"):
        return False
    return tops is None or path.partition("/")[0] in tops


def list_tops(package: Mapping[str, Any], files: Sequence[str]) -> set[str] | None:
    """Return the entries of the package's folder that npm can choose files of; None if that can be any."""
    named = [package.get("main"), package.get("browser"), package.get("bin"), package.get("directories")]
    paths = [path for value in named for path in (value.values() if isinstance(value, dict) else [value])]
    tops = set()
    for pattern in [*files, *(path for path in paths if isinstance(path, str))]:
        top = pattern.removeprefix("!").removeprefix("./").lstrip("/").partition("/")[0]
        if top in {"", ".", ".."} or links.MAGIC & set(top):
            return None
        tops.add(top)
    return tops
