"""The symbolic links of a tree: relative ones inside it ship, links out of it are refused."""

import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from selfdeploy import errors

SHOWN = 20
"""Most links that an error names."""

MAGIC = frozenset("*?[]{}()!+@|\\")


def target(export: Path, link: str) -> str | None:
    """Return the path below EXPORT that LINK leads to, lexically; None if it leads out of EXPORT."""
    given = str((export / link).readlink())
    if given.startswith("/"):
        given = posixpath.normpath(given)
        for root in (str(export), str(export.resolve())):
            if given == root or given.startswith(f"{root}/"):
                return given[len(root) + 1 :]
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(link), given))
    return None if path == ".." or path.startswith(("../", "/")) else path.removeprefix(".")


def is_of_node_gyp(link: str) -> bool:
    """Return True for node-gyp's link to Python in a package that it compiles; nothing there uses it."""
    return "/build/node_gyp_bins/" in link and "node_modules/" in link


def relative(link: str, path: str) -> str:
    """Return the relative target of LINK that leads to PATH; both are below the same folder."""
    return posixpath.relpath(path or ".", posixpath.dirname(link) or ".")


def refuse_outward(export: Path, heads: Iterable[str], gate: str) -> None:
    """Raise `errors.TreeChanged` if links below HEADS lead out of EXPORT; the message names GATE, the last one to run.

    It names up to `SHOWN` of the links at once.
    """
    outward = [link for head in heads for link in find(export, head) if target(export, link) is None]
    if outward:
        raise errors.TreeChanged(
            f"after gate {gate}: {describe(export, outward, 'leads out of the tree')}",
            "have the gate copy the files themselves",
        )


def describe(export: Path, paths: list[str], what: str) -> str:
    """Return a line for each of the links PATHS, with its target and WHAT is wrong with it."""
    lines = [f"{path}: a link to {(export / path).readlink()}, which {what}" for path in paths[:SHOWN]]
    more = len(paths) - SHOWN
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def find(export: Path, head: str) -> Iterator[str]:
    """Yield the links at and below HEAD, a path below EXPORT; skip npm's installed packages."""
    if (export / head).is_symlink():
        yield head
        return
    queue = [head]
    while queue:
        folder = queue.pop()
        try:
            entries = sorted(os.scandir(export / folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # a running gate removes files
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                yield path
            elif entry.is_dir() and not _is_installed(export, path):
                queue.append(path)


def _is_installed(export: Path, path: str) -> bool:
    """Return True for .git, and for a node_modules folder of npm outside of the build output (`dist`)."""
    parts = path.split("/")
    return parts[-1] == ".git" or (parts[-1] == "node_modules" and "dist" not in parts and (export / path).is_dir())


def heads(files: Iterable[str]) -> set[str]:
    """Return the beginnings of the patterns FILES, up to the first part with a special character, and `dist`."""
    found = {"dist"}
    for pattern in files:
        if pattern.startswith("!"):
            continue
        parts = []
        for part in posixpath.normpath(pattern.strip("/") or ".").split("/"):
            if MAGIC & set(part) or part in {"..", ""}:
                break
            parts.append(part)
        found.add("/".join(part for part in parts if part != "."))
    return found - {""}
