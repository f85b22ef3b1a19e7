"""The swap of a build into the checkout by rename, with the previous build set aside for an undo."""

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from selfdeploy import errors, tree

FOLDERS = ("dist", "node_modules")
"""The paths swapped by earlier versions, and the default for an unreadable `HALF`."""

HALF = "swapping.json"
"""The file with the paths of a swap under way."""

DONE = "swapped.json"
"""`HALF` after the swap. An undo renames it back first, so that the next command finishes a killed undo."""

RECORD = ".selfdeploy/vega/built.json"
"""The file with the paths of the checkout's build. It is swapped too, so an undo restores it."""


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Paths of a checkout: NAMES have a new version in `next`, on the same file system. STALE are only set aside."""

    checkout: Path
    names: tuple[str, ...]
    stale: tuple[str, ...] = ()

    def apply(self) -> None:
        """Move the new paths in by rename, and set the previous ones aside."""
        aside = room(self.checkout)
        with explained():
            discard_previous(self.checkout)
            (aside / "previous").mkdir()
            tree.write_whole(aside / HALF, json.dumps({"names": self.names, "stale": self.stale}).encode())
            for name in (*self.names, *self.stale):
                if os.path.lexists(self.checkout / name):
                    (aside / "previous" / name).parent.mkdir(parents=True, exist_ok=True)
                    (self.checkout / name).rename(aside / "previous" / name)
                if name in self.names:
                    (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                    (aside / "next" / name).rename(self.checkout / name)
            (aside / HALF).rename(aside / DONE)

    def undo(self) -> None:
        """Restore the previous paths, however far `apply` came; keep the new ones in `failed` for inspection.

        It only renames and deletes, so it works on a full disk.
        """
        aside = room(self.checkout)
        if os.path.lexists(aside / DONE) and not os.path.lexists(aside / HALF):
            (aside / DONE).rename(aside / HALF)
        for name in (*self.names, *self.stale):
            previous, now, after = aside / "previous" / name, self.checkout / name, aside / "next" / name
            if name in self.names and os.path.lexists(now) and not os.path.lexists(after) and after.parent.is_dir():
                now.rename(after)
            if os.path.lexists(previous) and not os.path.lexists(now):
                previous.rename(now)
        (aside / HALF).unlink(missing_ok=True)
        shutil.rmtree(aside / "failed", ignore_errors=True)
        with contextlib.suppress(OSError):
            (aside / "next").rename(aside / "failed")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn an OSError of the block into `errors.DiskFull` or `errors.CommandFailed`."""
    try:
        yield
    except OSError as exc:
        full = os.strerror(errno.ENOSPC) in str(exc)  # copytree gathers its errors as text
        kind = errors.DiskFull if full else errors.CommandFailed
        raise kind(f"the build was not put into place: {str(exc)[:500]}", "fix it and run the command again") from exc


def room(checkout: Path) -> Path:
    """Return the folder of CHECKOUT for staged and previous builds, hidden from git."""
    return checkout / ".selfdeploy" / "vega"


def discard_previous(checkout: Path) -> None:
    """Delete the build set aside by the last swap, so that the swap can no longer be undone."""
    aside = room(checkout)
    (aside / DONE).unlink(missing_ok=True)
    shutil.rmtree(aside / "previous", ignore_errors=True)


def recover(checkout: Path) -> None:
    """Undo a swap killed half way, if there is one.

    Raises:
        errors.MountRefused: the folder for builds in CHECKOUT is reached through a link.
    """
    aside = room(checkout)
    if aside.resolve() != aside:
        raise errors.MountRefused(f"{aside}: leads to {aside.resolve()}", "remove the link")
    if os.path.lexists(aside / HALF):
        with explained():
            _begun(checkout).undo()


def _begun(checkout: Path) -> Swap:
    """Read the swap from `HALF`. The server can write that file, so paths out of the checkout are dropped."""
    half = room(checkout) / HALF
    try:
        listed = json.loads(half.read_bytes()) if stat.S_ISREG(half.lstat().st_mode) else None
    except (OSError, ValueError, RecursionError):
        listed = None
    if isinstance(listed, list):  # the format of earlier versions
        return Swap(checkout=checkout, names=tuple(name for name in FOLDERS if name in listed))
    if not isinstance(listed, dict) or "names" not in listed:
        return Swap(checkout=checkout, names=FOLDERS)
    names, stale = (inside(checkout, listed.get(key)) for key in ("names", "stale"))
    return Swap(checkout=checkout, names=names, stale=tuple(name for name in stale if name not in names))


def inside(checkout: Path, listed: object) -> tuple[str, ...]:
    """Return the paths in LISTED, untrusted JSON, below CHECKOUT and without links on the way."""
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    real: dict[Path, bool] = {}
    return tuple(name for name in names if _is_plain(name) and _is_real((checkout / name).parent, real))


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or str(path) != name or "\0" in name:
        return False
    return name == RECORD or path.parts[0] not in (".git", ".selfdeploy")


def _is_real(folder: Path, known: dict[Path, bool]) -> bool:
    if folder not in known:
        try:
            known[folder] = folder.resolve() == folder
        except (OSError, RuntimeError):
            known[folder] = False
    return known[folder]
