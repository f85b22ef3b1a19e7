"""What has to ship: the packages of the lock file, each at its place, and what the command line starts."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

from selfdeploy import errors
from selfdeploy.contents import lock
from selfdeploy.contents.lock import Required
from selfdeploy.tree import Entry

LOADER = "dist/loader.js"
"""What the contract's command line starts, below /opt/sf."""

SHOWN = 20
"""Packages that an error names."""


def refuse_missing(ship: Path, required: Mapping[str, Required]) -> None:
    """Raise unless SHIP has the loader and all REQUIRED packages in the right version.

    Raises:
        errors.ContentsIncomplete: names what is missing.
    """
    if not (ship / LOADER).is_file():
        raise errors.ContentsIncomplete(
            f"{LOADER}: not among the files that ship, and the image starts it",
            f"have build-core write it, and name it in package.json's files ({list_top(ship)} ship)",
        )
    wrong = [line for location, package in required.items() if (line := _complain(ship, location, package))]
    if wrong:
        raise errors.ContentsIncomplete(
            "\n".join(_cut(wrong)),
            "have the gates leave what `npm ci --omit=dev` installs; without one of them the server is another one",
        )


def _complain(ship: Path, location: str, package: Required) -> str:
    """Return what is wrong with PACKAGE at LOCATION below SHIP; empty if nothing is."""
    folder = _place(ship, location, package)
    if not folder.is_dir():
        return f"{location}: required by the lock file, and missing"
    if not package.version:
        return ""
    try:
        actual = lock.normalize(lock.read_object(folder / "package.json").get("version"))
    except errors.SourceUnusable:
        actual = ""
    if actual != package.version:
        return f"{location}: the lock file requires version {package.version}, the gates left {actual or 'none'}"
    return ""


def _place(ship: Path, location: str, package: Required) -> Path:
    """Return the folder of PACKAGE: LOCATION, or its place in npm's store (install-strategy=linked)."""
    store = ship / "node_modules" / ".store"
    if not (ship / location).is_dir() and store.is_dir():
        name = location.rpartition("node_modules/")[2]
        stored = store.glob(f"{glob.escape(f'{name}@{package.version}')}-*/node_modules/{glob.escape(name)}")
        return next(stored, ship / location)
    return ship / location


def refuse_incomplete(
    platform: str, gated: Mapping[str, Entry], actual: Mapping[str, Entry], required: Sequence[str]
) -> None:
    """Raise unless the files ACTUAL of an image of PLATFORM have the loader and the REQUIRED packages.

    Each of REQUIRED is a path of the GATED files. An installed package's package.json has to be the very same: it is
    the version that the gates ran on.

    Raises:
        errors.ImageMismatch: names what is missing, and what is of another version.
    """
    wrong = [f"{path}: missing in the image" for path in (LOADER, *required) if path not in actual]
    installed = [path for path in required if "node_modules/" in path and path.endswith("/package.json")]
    wrong += [
        f"{path.removesuffix('/package.json')}: another version than the gates ran on"
        for path in installed
        if path in actual and actual[path] != gated.get(path)
    ]
    if wrong:
        raise errors.ImageMismatch(
            "".join(f"\n  {platform}: {line}" for line in _cut(wrong)).lstrip("\n "),
            "build the image from what the gates left: `npm ci --omit=dev` and the files of package.json",
        )


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"and {more} more"] if more > 0 else [])]


def list_top(ship: Path) -> str:
    """Return the entries of SHIP for a person, a few of them."""
    names = sorted(path.name for path in ship.iterdir())
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")  # noqa: PLR2004
