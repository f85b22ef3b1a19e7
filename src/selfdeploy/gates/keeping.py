"""What the rooms keep once their gates have ended, and how large it is."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from selfdeploy.gates import aside
from selfdeploy.gates.room import Room

KEPT = 3
"""How many gated trees are kept."""

UNFINISHED = 1
"""How many rooms are kept whose gates have not all passed, until those of another have: each has a whole export."""


def clear(place: Room) -> None:
    """Drop what PLACE needs no more now that it has its receipt: the export, and how it came about."""
    place.progress.unlink(missing_ok=True)
    for folder in (place.export, place.home, place.listing(0).parent):
        aside.put(folder, place.folder.parent)


def prune(newest: Room) -> None:
    """Drop all but the last `KEPT` gated trees, NEWEST among them, and all but the last `UNFINISHED` other rooms.

    None of those is kept if the gates of NEWEST have passed.
    """
    rooms = sorted(_rooms(newest.folder.parent), key=lambda place: place != newest)
    passed = [place for place in rooms if place.receipt.exists()]
    unfinished = [place for place in rooms if not place.receipt.exists()]
    spare = 0 if newest.receipt.exists() else UNFINISHED
    for place in (*passed[KEPT:], *unfinished[spare:]):
        with _unused(place) as unused:
            if unused:
                aside.put(place.folder, place.folder.parent)


def tidy_all(parent: Path) -> None:
    """Drop what runs that were killed after they had written the receipt of a room in PARENT were about to drop."""
    aside.delete_later(parent)
    for place in _rooms(parent) if parent.is_dir() else ():
        if place.receipt.exists():
            with _unused(place) as unused:
                if unused:
                    clear(place)


def _rooms(parent: Path) -> list[Room]:
    """Return the rooms in PARENT, newest first, but for the live checkout's."""
    folders = [path for path in parent.iterdir() if path.is_dir() and "-" not in path.name and path.name != "live"]
    return [Room(folder=path) for path in sorted(folders, key=lambda path: -path.stat().st_mtime)]


@contextlib.contextmanager
def _unused(place: Room) -> Iterator[bool]:
    """Say whether nobody uses PLACE, nor will until the block ends."""
    with place.folder.with_suffix(".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def measure(folder: Path) -> tuple[int, int]:
    """Return how many files are below FOLDER, and how many bytes they have."""
    files = size = 0
    folders = [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as listed:
            for entry in listed:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
    return files, size


def _last_receipt(parent: Path) -> dict[str, object]:
    """Return what the newest receipt of the rooms in PARENT says; nothing where there is none to read."""
    for place in _rooms(parent) if parent.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if isinstance(found := json.loads(place.receipt.read_bytes()), dict):
                return found
    return {}


def read_seconds(parent: Path) -> dict[str, float]:
    """Return how many seconds each gate took that the newest receipt of the rooms in PARENT names."""
    passed = _last_receipt(parent).get("gates")
    times = (
        {name: facts.get("seconds") for name, facts in passed.items() if isinstance(facts, dict)}
        if isinstance(passed, dict)
        else {}
    )
    return {name: float(time) for name, time in times.items() if isinstance(time, int | float) and time >= 0}


def read_sizes(parent: Path) -> dict[str, int]:
    """Return the bytes of the `export` and of what did `ship` of it, by the newest receipt of the rooms in PARENT."""
    sizes = _last_receipt(parent).get("bytes")
    return {name: size for name, size in sizes.items() if isinstance(size, int)} if isinstance(sizes, dict) else {}
