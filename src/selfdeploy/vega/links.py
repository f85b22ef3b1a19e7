"""Absolute links in a build, rewritten from its temporary copy to the checkout."""

import os
from collections.abc import Iterator
from pathlib import Path


def make_relative(path: Path, export: Path) -> None:
    """Make every absolute link into EXPORT, at PATH or below, relative, since EXPORT will be deleted."""
    for link in _links(path):
        target = link.readlink()
        if target.is_absolute() and target.is_relative_to(export):
            link.unlink()
            link.symlink_to(os.path.relpath(target, link.parent))


def _links(path: Path) -> Iterator[Path]:
    if path.is_symlink():
        yield path
        return
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        yield from (here / name for name in (*folders, *files) if (here / name).is_symlink())
