"""Folders of files as values: what ships of an export, what it hashes to, and files that are whole or absent."""

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
"""Bytes that are read of a file at once."""


def _lives(process: str) -> bool:
    return Path("/proc", process).exists()


@contextlib.contextmanager
def scratch(parent: Path, name: str, *, linger: bool = False) -> Iterator[Path]:
    """Give a new folder below PARENT for the block, called NAME and more; those of killed processes go as well.

    It is deleted with the block, or where it may LINGER at the end of this process: the result does not wait for it.
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
    """Remove what killed processes of this user have left below PARENT: folders NAME (a pattern), pid and more.

    A folder of another user's is left, whatever it is called; so is a link.
    """
    for left in parent.glob("*-*-*"):
        made = re.fullmatch(rf"{name}-([0-9]+)-\w+", left.name)
        with contextlib.suppress(OSError):  # another one may sweep as well
            if made and not _lives(made[1]) and left.lstat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)


def temporary() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder for its owner alone, where the machine has its temporary files; those of killed processes go.

    A pid says nothing where others are counted: in a container that shares that place with this machine.
    """
    parent, counted = Path(tempfile.gettempdir()), Path("/proc/self/ns/pid").stat().st_ino
    sweep(parent, f"selfdeploy-{counted}")
    return tempfile.TemporaryDirectory(
        dir=parent, prefix=f"selfdeploy-{counted}-{os.getpid()}-", ignore_cleanup_errors=True
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write DATA to PATH such that a reader, at any moment, sees all of it or what was there before.

    What a process left beside it that was killed while it wrote is removed.
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
        if exc.filename is None:  # a disk that is full names no file
            raise OSError(exc.errno, exc.strerror, str(path)) from exc
        raise
    finally:
        scratch.unlink(missing_ok=True)


_given_up: set[Path] = set()


def give_up(folder: Path) -> None:
    """Have `hide` refuse FOLDER from now on: somebody is deleting it, and it is not to come back."""
    _given_up.add(folder)


def hide(folder: Path) -> None:
    """Make FOLDER, for working files, such that git does not see it; whoever makes one makes it so.

    Raises:
        FileNotFoundError: it is given up.
    """
    if folder in _given_up:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.path.lexists(folder / ".gitignore"):
        write_whole(folder / ".gitignore", b"*\n")


def walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield every path below ROOT, relative to it, with its entry; sorted component by component, links not followed.

    Memory: the listings of the folders from ROOT to the path, no more.
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
    """What stands at one path: its kind, and the sha256 of its bytes (in hex) or the target of the link."""

    kind: Literal["file", "program", "folder", "link", "special"]
    content: str = ""


def entries(root: Path) -> dict[str, Entry]:
    """Return what stands at every path below ROOT, sorted component by component."""
    return {name: read(entry) for name, entry in walk(root)}


def read(entry: os.DirEntry[str]) -> Entry:
    """Return what stands at ENTRY."""
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return Entry(kind="link", content=os.readlink(entry.path))  # noqa: PTH115 -- a Path takes longer than the call
    if stat.S_ISDIR(mode):
        return Entry(kind="folder")
    if not stat.S_ISREG(mode):  # to read a pipe would wait for who writes it
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
    """Return what the hash of a tree is taken over for ENTRY at NAME."""
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
    """Give ROOT and all below it the one time EPOCH, and the modes that images get: an image keeps both.

    How it came to where it is (another umask, a copy) then makes no difference.
    """
    for _, entry in walk(root):
        settle(entry.path, entry.stat(follow_symlinks=False), epoch)
    settle(os.fspath(root), root.stat(), epoch)


def settle(path: str, found: os.stat_result, epoch: int) -> None:
    """Give PATH, whose state is FOUND, the time EPOCH and its mode in an image; touch only what differs."""
    if not stat.S_ISLNK(found.st_mode):
        wanted = 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IXUSR else 0o644
        if stat.S_IMODE(found.st_mode) != wanted:
            os.chmod(path, wanted)  # noqa: PTH101 -- a Path takes longer than the call
    if found.st_mtime_ns != epoch * 10**9:
        os.utime(path, (epoch, epoch), follow_symlinks=False)
