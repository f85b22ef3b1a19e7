"""Listings of a room, path by path and without file contents, to recognize later changes."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from selfdeploy import errors, process, source, tree
from selfdeploy.gates.room import Room

FIRST = 0
"""Number of the listing of the bare export."""

FIELDS = "%p\\t%y %i %s %m %T@ %C@\\0"
"""Of a path: its kind, inode, size, mode, and times. No program can set the last one, the time of change (inode(7))."""

FOLDER = "%p\\td %m\\0"
"""Of a folder: its mode alone; its times change with its entries."""

MOST = 50_000
"""Most paths to restore one by one; with more changes, a new export is quicker."""


def take(place: Room, number: int) -> bool:
    """Write the listing NUMBER of PLACE, and return True if all of it could be read."""
    place.listing(number).parent.mkdir(exist_ok=True)
    scratch = place.listing(number).with_suffix(".new")
    argv = ["find", place.export.name, place.home.name, "-ignore_readdir_race", "("]
    argv += ["-type", "d", "-printf", FOLDER, ")", "-o", "-printf", FIELDS]
    with scratch.open("wb") as file:
        code = process.run(argv, timeout=600, cwd=place.folder, log=file, check=False).code
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(place.listing(number))
    return code == 0


def measure(place: Room, number: int) -> tuple[int, int]:
    """Return the number of files in the listing NUMBER, and their total size in bytes."""
    files = size = 0
    for path, line in _lines(place.listing(number)):
        kind, *fields = line[len(path) + 1 :].split(b" ")
        if kind != b"d":
            files, size = files + 1, size + int(fields[1])
    return files, size


@contextlib.contextmanager
def _changes(place: Room, since: int, now: int) -> Iterator[tuple[dict[bytes, bytes], Path]]:
    """Give the lines only in the listing SINCE, by path (at most `MOST`), and a file with the lines only in NOW."""
    with tree.scratch(place.folder, "changes") as folder:
        for name, number in (("since", since), ("now", now)):
            argv = ["sort", "--zero-terminated", "--output", str(folder / name), str(place.listing(number))]
            process.run(argv, timeout=600)
        for name, columns in (("gone", "-23"), ("come", "-13")):
            with (folder / name).open("wb") as file:
                argv = ["comm", "--zero-terminated", columns, str(folder / "since"), str(folder / "now")]
                process.run(argv, timeout=600, log=file)
        yield dict(itertools.islice(_lines(folder / "gone"), MOST)), folder / "come"


def _lines(file: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield path and line of each line in FILE; keep only a few in memory."""
    rest = b""
    with contextlib.suppress(FileNotFoundError), file.open("rb") as opened:
        while data := opened.read(1 << 20):
            *lines, rest = (rest + data).split(b"\0")
            for line in lines:
                yield line.rpartition(b"\t")[0], line


def differs(place: Room, since: int, now: int, *, but: Collection[bytes] = ()) -> str:
    """Return a path that differs between the listings SINCE and NOW, ignoring BUT; empty if none does."""
    with _changes(place, since, now) as (gone, come):
        paths = (path for paths in (gone, (path for path, _ in _lines(come))) for path in paths if path not in but)
        return os.fsdecode(next(paths, b""))


def undo(place: Room, revision: source.Revision, since: int, now: int) -> frozenset[bytes]:
    """Restore PLACE from its state in the listing NOW to the one in SINCE; return the paths restored from REVISION.

    New paths are removed. A path of the export that no gate touched before SINCE is restored from the revision.

    Raises:
        errors.TreeChanged: another path has changed, and there is no copy of it; or `MOST` paths have changed.
    """
    with _changes(place, since, now) as (gone, come):
        first = {line for _, line in _lines(place.listing(FIRST))} if gone else set()
        for path, line in gone.items():
            if line not in first or not path.startswith(place.export.name.encode() + b"/") or len(gone) == MOST:
                raise errors.TreeChanged(f"{os.fsdecode(path)} has changed", "nox -s gates -- --fresh")
        for path, _ in _lines(come):
            if path not in gone:
                _remove(place.folder / os.fsdecode(path))
    if gone:
        _restore(place, revision, gone)
    return frozenset(gone)


def refresh(place: Room, paths: frozenset[bytes], now: int) -> None:
    """Replace the lines of PATHS, restored by `undo`, in the first listing of PLACE by those of the listing NOW."""
    scratch = place.listing(FIRST).with_suffix(".new")
    with scratch.open("wb") as file:
        for number in (FIRST, now):
            for path, line in _lines(place.listing(number)):
                if (path in paths) == (number == now):
                    file.write(line + b"\0")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(place.listing(FIRST))


def drop(place: Room, before: int) -> None:
    """Remove the listings of PLACE between the first and the number BEFORE."""
    for file in place.listing(FIRST).parent.iterdir():
        if file.name.isdecimal() and FIRST < int(file.name) < before:
            file.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _restore(place: Room, revision: source.Revision, lost: Iterable[bytes]) -> None:
    """Restore the paths LOST from REVISION into the export."""
    with tree.scratch(place.folder, "again") as scratch:
        source.export(revision, scratch / "sf")
        for path in sorted(lost):
            inside = Path(os.fsdecode(path)).relative_to(place.export.name)
            fresh, target = scratch / "sf" / inside, place.export / inside
            if fresh.is_dir() and not fresh.is_symlink():
                if not target.is_dir() or target.is_symlink():
                    _remove(target)
                    target.mkdir(parents=True)
                target.chmod(fresh.stat().st_mode & 0o7777)
            else:
                _remove(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                fresh.rename(target)
