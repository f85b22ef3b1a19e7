"""Folders of files as values: what ships of an export, what it hashes to, and files that are whole or absent."""

import atexit
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from selfdeploy import errors

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


def hide(folder: Path) -> None:
    """Make FOLDER, for working files, such that git does not see it; whoever makes one makes it so."""
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


def _read_object(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError) as exc:
        raise errors.SourceUnusable(f"{file.name}: missing or no JSON", "name SF's checkout: --source") from exc
    if not isinstance(told, dict):
        raise errors.SourceUnusable(f"{file.name}: no JSON object", "name SF's checkout: --source")
    return told


def production_packages(export: Path) -> list[str]:
    """Return the folders below EXPORT's node_modules that production needs, as package-lock.json tells them.

    A linked workspace package ships as the folder it links to. Source: npm's package-lock.json, lockfileVersion 3.
    """
    if not (export / "package-lock.json").exists():
        return []
    packages = _read_object(export / "package-lock.json").get("packages")
    if not isinstance(packages, dict) or not all(isinstance(package, dict) for package in packages.values()):
        raise errors.SourceUnusable("package-lock.json: no 'packages' in it", "make it with npm 7 or newer")
    found: list[str] = []
    for name, package in packages.items():
        if ".." in Path(name).parts or "\0" in f"{name}{package.get('resolved')}":
            raise errors.SourceUnusable(f"package-lock.json: {name!a}: no package's folder", "npm install makes it")
        if not name.startswith("node_modules/") or package.get("dev") or package.get("devOptional"):
            continue
        if package.get("link"):
            linked = str(package.get("resolved", ""))
            if not linked or {"..", "/"} & set(Path(linked).parts) or not (export / linked).exists():
                raise errors.SourceUnusable(
                    f"package-lock.json: {name}: links to {linked!a}, which is not in the package", "vendor it"
                )
            found.append(linked)
        if os.path.lexists(export / name):
            found.append(name)
    return found


def stage(export: Path, ship: Path, *, include: Sequence[str] = (), epoch: int = 0) -> None:
    """Lay out below SHIP what goes into the image, and give all of it the one time EPOCH (seconds since 1970).

    What goes in is INCLUDE, or else package.json with its `files`; and the production packages either way.

    Raises:
        errors.TreeChanged: a link there is absolute or leads nowhere.
    """
    shutil.rmtree(ship, ignore_errors=True)
    ship.mkdir(parents=True)
    files = _read_object(export / "package.json").get("files", [])
    if not isinstance(files, list) or not all(isinstance(pattern, str) for pattern in files):
        raise errors.SourceUnusable("package.json: files: no list of patterns", "see npm's package.json")
    for path in _chosen(export, include or ("package.json", *files), demanded=bool(include)):
        _copy(path, ship / path.relative_to(export))
    for name in production_packages(export):
        _copy(export / name, ship / name, top_only=True)
    _check_links(ship)
    level(ship, epoch)


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


def _chosen(export: Path, patterns: Sequence[str], *, demanded: bool) -> list[Path]:
    """Return what PATTERNS, as in package.json's `files`, choose below EXPORT; each has to match where DEMANDED."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        plain = pattern.removeprefix("!").removeprefix("./").strip("/")
        if not plain or ".." in Path(plain).parts:
            raise errors.SourceUnusable(
                f"what ships: {pattern!r}: no path below the package", "see package.json's files"
            )
        try:
            matched = sorted(export.glob(plain))
        except ValueError as exc:
            raise errors.SourceUnusable(f"what ships: {pattern!r}: {exc}", "see package.json's files") from exc
        if pattern.startswith("!"):
            for path in matched:
                found.pop(path, None)
                if any(path.is_relative_to(chosen) for chosen in found):
                    raise errors.SourceUnusable(
                        f"what ships: {pattern!r}: cuts a hole into a folder", "name what ships in image.include"
                    )
        elif demanded and not matched:
            raise errors.SourceUnusable(f"image.include: {pattern!r}: matches nothing", "the gates have to make it")
        else:
            found |= dict.fromkeys(matched)
    return list(found)


def _copy(path: Path, to: Path, *, top_only: bool = False) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        to.unlink(missing_ok=True)
        to.symlink_to(path.readlink())
    elif path.is_dir():
        # A package's own node_modules are packages of their own in the lock file.
        ignore = (lambda _, names: [n for n in names if n == "node_modules"]) if top_only else None
        shutil.copytree(path, to, symlinks=True, dirs_exist_ok=True, ignore=ignore, copy_function=_link)
    else:
        _link(path, to)


def _link(path: str | Path, to: str | Path) -> None:
    """Have the file PATH at TO as well; without a copy where it is nobody else's, for the export goes away soon."""
    if Path(to).exists():
        return
    if Path(path).stat().st_nlink == 1:
        with contextlib.suppress(OSError):
            os.link(path, to)
            return
    shutil.copy2(path, to)


def _check_links(root: Path) -> None:
    for path in _walk(root):
        if path.is_symlink():
            target = path.readlink()
            if target.is_absolute() or not path.resolve().is_relative_to(root.resolve()) or not path.exists():
                name = path.relative_to(root)
                raise errors.TreeChanged(
                    f"{name}: a link to {target}, which will not be there", "ship the file itself, or drop the link"
                )
