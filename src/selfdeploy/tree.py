"""Folders of files: their hashes, the times and modes of an image, scratch folders, and files whole or absent."""

import atexit
import contextlib
import errno
import glob
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BLOCK = 1 << 20
"""Bytes of a file to read at once."""


def _lives(process: str) -> bool:
    return Path("/proc", process).exists()


@contextlib.contextmanager
def scratch(parent: Path, name: str, *, linger: bool = False) -> Iterator[Path]:
    """Give a new folder below PARENT for the block, its name starting with NAME; remove those of killed processes.

    It is deleted after the block. If it may LINGER, it is deleted at the end of this process instead, so that the
    result does not wait for it.
    """
    sweep(parent)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{name}-{os.getpid()}-"))
    try:
        yield folder
    finally:
        if linger:
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        else:
            shutil.rmtree(folder)


def sweep(parent: Path, name: str = "[a-z]+") -> None:
    """Remove the folders that this user's killed processes left below PARENT.

    Their names are NAME (a pattern), a pid and more. Other users' folders stay, whatever their names, and so do links.
    """
    for left in parent.glob("*-*-*"):
        made = re.fullmatch(rf"{name}-([0-9]+)-\w+", left.name)
        with contextlib.suppress(OSError):  # another process may sweep as well
            if made and not _lives(made[1]) and left.lstat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)


def temporary() -> tempfile.TemporaryDirectory[str]:
    """Return a new private folder in the machine's temporary folder; remove those of killed processes.

    Its name has the pid namespace: a pid means nothing to a container that has its own and shares the temporary folder.
    """
    parent, counted = Path(tempfile.gettempdir()), Path("/proc/self/ns/pid").stat().st_ino
    sweep(parent, f"selfdeploy-{counted}")
    return tempfile.TemporaryDirectory(
        dir=parent, prefix=f"selfdeploy-{counted}-{os.getpid()}-", ignore_cleanup_errors=True
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write DATA to PATH so that a reader, at any moment, sees all of it or all of the old content.

    It also removes the partial files of processes killed while they wrote PATH.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if left.suffix[1:].isdecimal() and left.is_file() and not _lives(left.suffix[1:]):
            left.unlink(missing_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as exc:
        if exc.filename is None:  # the error of a full disk has no file name
            raise OSError(exc.errno, exc.strerror, str(path)) from exc
        raise
    finally:
        scratch.unlink(missing_ok=True)


_given_up: set[Path] = set()


def give_up(folder: Path) -> None:
    """Make `hide` refuse FOLDER from now on: it is being deleted, and must not come back."""
    _given_up.add(folder)


def hide(folder: Path) -> None:
    """Make git ignore FOLDER, for working files, and create it if missing; every user of FOLDER calls this first.

    Raises:
        FileNotFoundError: FOLDER is given up.
    """
    if folder in _given_up:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.path.lexists(folder / ".gitignore"):
        write_whole(folder / ".gitignore", b"*\n")


def walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield every path below ROOT, relative to it, with its entry; sorted component by component, links not followed.

    Memory: only the listings of the folders from ROOT to the path.
    """
    start = len(os.fspath(root)) + 1
    open_folders = [_listing(os.fspath(root))]
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
            continue
        yield entry.path[start:], entry
        if entry.is_dir(follow_symlinks=False):
            open_folders.append(_listing(entry.path))


def _listing(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as listed:
        return iter(sorted(listed, key=lambda entry: entry.name))


def _walk(root: Path) -> Iterator[Path]:
    return (Path(entry.path) for _, entry in walk(root))


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """The kind of one path, and the sha256 of its bytes (in hex) or the target of the link."""

    kind: Literal["file", "program", "folder", "link", "special"]
    content: str = ""


def entries(root: Path) -> dict[str, Entry]:
    """Return the entry at every path below ROOT, sorted component by component."""
    return {name: read(entry) for name, entry in walk(root)}


def read(entry: os.DirEntry[str]) -> Entry:
    """Return the kind and content of ENTRY."""
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return Entry(kind="link", content=os.readlink(entry.path))  # noqa: PTH115 -- a Path takes longer than the call
    if stat.S_ISDIR(mode):
        return Entry(kind="folder")
    if not stat.S_ISREG(mode):  # reading a pipe would wait for a writer
        return Entry(kind="special")
    return Entry(kind="program" if mode & stat.S_IXUSR else "file", content=_hash(entry))


def _hash(entry: os.DirEntry[str]) -> str:
    total, size = hashlib.sha256(), entry.stat(follow_symlinks=False).st_size
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while data := os.read(descriptor, min(size + 1, BLOCK)):
            total.update(data)
    finally:
        os.close(descriptor)
    return total.hexdigest()


def line(name: str, entry: Entry) -> bytes:
    """Return the bytes for ENTRY at NAME that go into a tree's hash."""
    link = entry.kind == "link"
    content = hashlib.sha256(os.fsencode(entry.content)).hexdigest() if link else entry.content
    return os.fsencode(f"{name}\0{entry.kind}\0{content}\n")


def digest(root: Path) -> str:
    """Return the sha256 over every path below ROOT with its kind, executable bit and content."""
    total = hashlib.sha256()
    for name, entry in walk(root):
        total.update(line(name, read(entry)))
    return f"sha256:{total.hexdigest()}"


def level(root: Path, epoch: int) -> None:
    """Set the time of ROOT and everything below it to EPOCH, and the modes to an image's: an image keeps both.

    The tree's origin (another umask, a copy) then makes no difference.
    """
    for _, entry in walk(root):
        settle(entry.path, entry.stat(follow_symlinks=False), epoch)
    settle(os.fspath(root), root.stat(), epoch)


def settle(path: str, found: os.stat_result, epoch: int) -> None:
    """Set PATH, in the state FOUND, to the time EPOCH and its mode in an image; change only differences."""
    if not stat.S_ISLNK(found.st_mode):
        wanted = 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IXUSR else 0o644
        if stat.S_IMODE(found.st_mode) != wanted:
            os.chmod(path, wanted)  # noqa: PTH101 -- a Path takes longer than the call
    if found.st_mtime_ns != epoch * 10**9:
        os.utime(path, (epoch, epoch), follow_symlinks=False)
