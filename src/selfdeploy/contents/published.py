"""The files that packages publish: npm's choice, and build output unknown to npm."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfdeploy import errors, tree
from selfdeploy.contents import lock, patterns, skeleton
from selfdeploy.contents.npm import Npm
from selfdeploy.contents.patterns import Paths
from selfdeploy.contents.skeleton import DIST, Package

NEVER = frozenset({".git", ".npmrc", "node_modules"})
"""Entries of a package's folder that npm never publishes."""


def choose(export: Path, folders: Sequence[str], npm: Npm, scratch: Path) -> Paths:
    """Return the files and links below EXPORT published by the packages FOLDERS; the root package is "".

    npm decides, on copies below SCRATCH with empty files. It does not know build output ignored by git, nor the
    packages of a staged web host. So without `files` and .npmignore the root package's `dist/` ships too. A linked
    package without them ships whole, because it runs from its own folder. A node_modules folder in `dist/` ships with
    the folder around it.

    Raises:
        errors.SourceUnusable: a package.json is malformed, or npm refuses it.
    """
    packages = {folder: read(export, folder) for folder in folders}
    whole = {folder for folder, package in packages.items() if folder and _is_unlimited(package)}
    chosen: Paths = {}
    for folder in whole:
        chosen |= dict(patterns.walk(export, folder, NEVER))
    for folder, paths in _ask(packages, whole, npm, scratch).items():
        chosen |= dict(_find(export, (_below(folder, path) for path in paths)))
    root = packages.get("")
    if root is not None and _is_unlimited(root):
        chosen |= dict(patterns.walk(export, DIST))
    return chosen


def read(export: Path, folder: str) -> Package:
    """Return the package in FOLDER of EXPORT.

    Raises:
        errors.SourceUnusable: its package.json is missing or malformed.
    """
    name = _below(folder, "package.json")
    package = lock.read_object(export / name, name)
    return Package(folder=export / folder, json=package, files=read_files(package, name))


def read_files(package: Mapping[str, Any], name: str) -> list[str] | None:
    """Return the `files` of PACKAGE, whose package.json is called NAME; None without `files`."""
    files = package.get("files")
    if files is None or (isinstance(files, list) and all(isinstance(pattern, str) for pattern in files)):
        return files
    raise errors.SourceUnusable(f"{name}: files: not a list of patterns", "see npm's documentation of package.json")


def _ask(packages: Mapping[str, Package], whole: Collection[str], npm: Npm, scratch: Path) -> dict[str, list[str]]:
    """Return npm's choice for each of PACKAGES, by folder, except for the packages in WHOLE."""
    with tree.scratch(scratch, "pack") as parent:
        tree.write_whole(parent / "package.json", b"{}")  # npm takes its folder for the project, and none above it
        names, modules = dict[str, str](), dict[str, list[str]]()
        for folder, package in packages.items():
            if folder not in whole:
                name = f"package-{len(names)}"
                others = whole if package.files is not None else set(packages)
                above = f"{folder}/" if folder else ""
                inside = {other.removeprefix(above) for other in others if other.startswith(above)}
                names[name], modules[name] = folder, skeleton.write(package, parent / name, inside)
        answers = npm.list_packed(parent, list(names))
    return {
        names[name]: [*paths, *(path for path in modules[name] if _is_around(paths, path))]
        for name, paths in answers.items()
    }


def _is_unlimited(package: Package) -> bool:
    """Return True if only git's ignore rules would choose PACKAGE's files, and so exclude its build output."""
    return package.files is None and not (package.folder / ".npmignore").exists()


def _is_around(paths: Collection[str], modules: str) -> bool:
    """Return True if one of PATHS is in the parent folder of MODULES, a node_modules folder."""
    above = modules.removesuffix("node_modules")
    return any(path.startswith(above) for path in paths)


def _find(export: Path, paths: Iterator[str]) -> Iterator[tuple[str, bool]]:
    for path in paths:
        if path.endswith("/node_modules"):
            yield from patterns.walk(export, path)
        elif os.path.lexists(export / path):
            yield path, (export / path).is_symlink()
        else:
            raise errors.SourceUnusable(f"{path!a}: npm pack cannot carry a file of this name", "rename it")


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path
