"""Checks of the shipped files: the lock file's packages, each at its place, and the loader."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from selfdeploy import errors
from selfdeploy.contents import lock, store
from selfdeploy.contents.lock import Required
from selfdeploy.tree import Entry

LOADER = "dist/loader.js"
"""The file that the contract's command line starts, below /opt/sf."""

SHOWN = 20
"""Most packages that an error names."""


def refuse_missing(ship: Path, required: Mapping[str, Required]) -> None:
    """Raise unless SHIP has the loader and all REQUIRED packages in the right version.

    Raises:
        errors.ContentsIncomplete: a file or package is missing, or has another version; the message names it.
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
    """Return the problem with PACKAGE at LOCATION below SHIP; empty if there is none."""
    folder = find(ship, location, package)
    if not folder.is_dir():
        return f"{location}: required by the lock file, and missing"
    if package.version and (actual := _read_version(folder)) != package.version:
        return f"{location}: the lock file requires version {package.version}, the gates left {actual or 'none'}"
    return ""


def find(ship: Path, location: str, package: Required) -> Path:
    """Return the folder of PACKAGE below SHIP: LOCATION, or its workspace or place in npm's store."""
    folder = ship / location
    if not store.is_used(ship) or _is(folder, package.version):
        return folder
    if package.target and not folder.exists():
        return ship / package.target  # npm makes no link to a workspace that the root package does not name
    stored = store.find_package(ship, package.name, package.version)
    return next((found for found in stored if _is(found, package.version)), folder)


def _is(folder: Path, version: str) -> bool:
    """Return True if FOLDER has a package of VERSION; an empty VERSION accepts any."""
    return folder.is_dir() and version in ("", _read_version(folder))


def _read_version(folder: Path) -> str:
    """Return the version in the package.json of FOLDER; empty if there is none."""
    try:
        return lock.normalize(lock.read_object(folder / "package.json").get("version"))
    except errors.SourceUnusable:
        return ""


def refuse_incomplete(
    platform: str, gated: Mapping[str, Entry], actual: Mapping[str, Entry], required: Sequence[str]
) -> None:
    """Raise unless ACTUAL, the files of an image of PLATFORM, has the loader and the REQUIRED packages.

    Each of REQUIRED is a path of the GATED files. The package.json of an installed package must be identical to the
    gated one: its version is the one that the gates ran on.

    Raises:
        errors.ImageMismatch: a path is missing, or a package has another version; the message names it.
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
    """Return the first few entries of SHIP, for a message."""
    names = sorted(path.name for path in ship.iterdir())
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")  # noqa: PLR2004
