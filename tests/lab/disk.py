"""Disks that are small, or full: memory in the place of a folder."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.needed import need


@contextmanager
def small(folder: Path, size: str) -> Iterator[None]:
    """Have FOLDER be an empty disk of SIZE bytes, until the block ends."""
    need([] if os.geteuid() == 0 else ["root"])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Have a file take all that is left of the disk that FOLDER is, and return it."""
    filler, told = folder / "filler", os.statvfs(folder)
    filler.write_bytes(b"x" * told.f_bavail * told.f_frsize)
    return filler
