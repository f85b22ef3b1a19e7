"""The files kept in the rooms after their gates have ended, and their size."""

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
"""How many rooms without a receipt are kept, until another room gets one; each has a whole export."""


def clear(place: Room) -> None:
    """Drop the export and working files of PLACE, which has its receipt now."""
    place.progress.unlink(missing_ok=True)
    for folder in (place.export, place.home, place.listing(0).parent):
        aside.put(folder, place.folder.parent)


def prune(newest: Room) -> None:
    """Drop all but the newest `KEPT` gated trees and the newest `UNFINISHED` other rooms; NEWEST counts as newest.

    If the gates of NEWEST have passed, no other unfinished room is kept. Rooms in use stay.
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
    """Clear the rooms in PARENT of runs that were killed after they wrote the receipt."""
    aside.delete_later(parent)
    for place in _rooms(parent) if parent.is_dir() else ():
        if place.receipt.exists():
            with _unused(place) as unused:
                if unused:
                    clear(place)


def _rooms(parent: Path) -> list[Room]:
    """Return the rooms in PARENT, newest first, without the live checkout's."""
    folders = [path for path in parent.iterdir() if path.is_dir() and "-" not in path.name and path.name != "live"]
    return [Room(folder=path) for path in sorted(folders, key=lambda path: -path.stat().st_mtime)]


@contextlib.contextmanager
def _unused(place: Room) -> Iterator[bool]:
    """Lock PLACE for the block, and give True; give False if another process uses it."""
    with place.folder.with_suffix(".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def measure(folder: Path) -> tuple[int, int]:
    """Return the number of files below FOLDER, and their total size in bytes."""
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
    """Return the newest readable receipt of the rooms in PARENT; empty if there is none."""
    for place in _rooms(parent) if parent.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if isinstance(found := json.loads(place.receipt.read_bytes()), dict):
                return found
    return {}


def read_seconds(parent: Path) -> dict[str, float]:
    """Return each gate's duration in seconds, from the newest receipt of the rooms in PARENT."""
    passed = _last_receipt(parent).get("gates")
    times = (
        {name: facts.get("seconds") for name, facts in passed.items() if isinstance(facts, dict)}
        if isinstance(passed, dict)
        else {}
    )
    return {name: float(time) for name, time in times.items() if isinstance(time, int | float) and time >= 0}


def read_sizes(parent: Path) -> dict[str, int]:
    """Return the bytes of the `export` and of its files that `ship`, from the newest receipt of the rooms in PARENT."""
    sizes = _last_receipt(parent).get("bytes")
    return {name: size for name, size in sizes.items() if isinstance(size, int)} if isinstance(sizes, dict) else {}
