"""Disk usage of the working files."""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512
"""Bytes in a unit of `st_blocks` (stat(3type))."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The disk usage of FOLDER: bytes for each of its entries."""

    folder: Path
    entries: Mapping[str, int]

    @property
    def total(self) -> int:
        """The bytes of all entries."""
        return sum(self.entries.values())

    def __str__(self) -> str:
        """Return the usage as `inv status -v` prints it, largest entry first."""
        largest = sorted(self.entries.items(), key=lambda entry: (-entry[1], entry[0]))
        lines = [f"  {show(size):>9}  {name}" for name, size in largest if size >= 1 << 20]
        return "\n".join([f"{self.folder}  {show(self.total)}", *lines])

    def as_data(self) -> dict[str, object]:
        """Return the usage as JSON data."""
        return {
            "name": self.folder.name,
            "folder": str(self.folder),
            "bytes": self.total,
            "entries": dict(self.entries),
        }


def show(size: int) -> str:
    """Return SIZE, in bytes, in readable units."""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def read(folder: Path) -> Usage:
    """Return the disk usage of FOLDER by entry, and by room for the gated trees; count hard links once."""
    seen, entries = set[tuple[int, int]](), dict[str, int]()
    for name in _names(folder):
        parts = [f"{name}/{room}" for room in _names(folder / name)] if name == "trees" else [name]
        for part in parts:
            entries[part] = sum(_sizes(folder / part, seen))
    return Usage(folder=folder, entries=entries)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _sizes(path: Path, seen: set[tuple[int, int]]) -> Iterator[int]:
    """Yield the bytes of PATH and everything below it; skip the files SEEN and files that vanish meanwhile."""
    left = [os.fspath(path)]
    while left:
        with contextlib.suppress(OSError):
            here = left.pop()
            found = os.lstat(here)
            is_folder = stat.S_ISDIR(found.st_mode)
            if found.st_nlink > 1 and not is_folder:
                if (found.st_dev, found.st_ino) in seen:
                    continue
                seen.add((found.st_dev, found.st_ino))
            yield found.st_blocks * BLOCK
            if is_folder:
                left += [entry.path for entry in os.scandir(here)]
