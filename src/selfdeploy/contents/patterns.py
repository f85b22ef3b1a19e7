"""Files of a tree by path, and the patterns of `image.include`: later ones win, and `!` excludes."""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from selfdeploy import errors

Paths = dict[str, bool]
"""Paths of files and links below a tree; True for a link."""


def choose(export: Path, patterns: Sequence[str]) -> Paths:
    """Return the files and links below EXPORT that PATTERNS choose; a folder includes all its content.

    Raises:
        errors.SourceUnusable: a pattern leads out of EXPORT, is malformed, or matches nothing.
    """
    chosen: Paths = {}
    for pattern in patterns:
        matched = dict(_match(export, pattern))
        if pattern.startswith("!"):
            for path in matched:
                chosen.pop(path, None)
        elif not matched:
            raise errors.SourceUnusable(f"image.include: {pattern!r}: matches nothing", "have a gate write the files")
        else:
            chosen |= matched
    return chosen


def _match(export: Path, pattern: str) -> Iterator[tuple[str, bool]]:
    plain = pattern.removeprefix("!").removeprefix("./").strip("/")
    if plain in {"", "."} or ".." in PurePosixPath(plain).parts:
        raise errors.SourceUnusable(
            f"image.include: {pattern!r}: not a path below the package", "name the files and folders that ship"
        )
    try:
        matched = sorted(export.glob(plain))
    except (ValueError, IndexError, NotImplementedError) as exc:
        raise errors.SourceUnusable(f"image.include: {pattern!r}: {exc}", "name the files and folders") from exc
    for path in matched:
        yield from walk(export, path.relative_to(export).as_posix())


def walk(export: Path, path: str, leave_out: Collection[str] = ()) -> Iterator[tuple[str, bool]]:
    """Yield the files and links at and below PATH, a path below EXPORT; skip the entries of PATH named in LEAVE_OUT.

    Each comes with True if it is a link. Special files (pipes, sockets, devices) have no content and are left out.
    """
    if (export / path).is_symlink() or (export / path).is_file():
        yield path, (export / path).is_symlink()
        return
    queue = [path] if (export / path).is_dir() else []
    while queue:
        folder = queue.pop()
        with os.scandir(export / folder) as entries:
            for entry in entries:
                inner = f"{folder}/{entry.name}"
                if folder == path and entry.name in leave_out:
                    continue
                if entry.is_symlink():
                    yield inner, True
                elif entry.is_dir():
                    queue.append(inner)
                elif entry.is_file():
                    yield inner, False
