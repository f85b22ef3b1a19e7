"""A build's output: the untracked paths of its copy, ignored by git in the checkout."""

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import errors
from selfdeploy.vega import live, modules, swap

PACKAGES = "node_modules"
"""npm owns this folder and empties it itself (`npm ci`), so it is one entry and replaced as a whole."""

OURS = (".git", ".selfdeploy")


@dataclass(frozen=True, kw_only=True)
class Output:
    """Paths relative to the checkout's folder; a `node_modules` or an empty folder is one entry, like a file.

    MADE were written by the build and are ignored by git. KNOWN remain from an earlier build. UNIGNORED were written by
    the build, but git does not ignore them, so they are left out. TRACKED belong to git.
    """

    made: frozenset[str]
    known: frozenset[str]
    unignored: tuple[str, ...]
    tracked: frozenset[str]


def read(made: live.Live, export: Path, objects: Path) -> Output:
    """Return the output of the build of MADE in EXPORT; OBJECTS is the folder with the snapshot's git objects.

    Raises:
        errors.SourceUnusable: git cannot list its tracked or ignored paths.
    """
    checkout, variables = made.revision.checkout, {"GIT_ALTERNATE_OBJECT_DIRECTORIES": live.quoted(objects)}
    argv = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", made.revision.tree)
    tracked = frozenset(_paths(live.git(checkout, *argv, variables=variables).stdout))
    tracked |= frozenset(_paths(live.git(checkout, "ls-files", "-z", "--cached").stdout))
    inner = modules.find(checkout) if made.revision.submodules == "checkout" else {}
    tracked = tracked.difference(inner) | modules.tracked(inner)
    written, unignored = _written(checkout, inner, export, tracked)
    known = frozenset(_known(checkout)) - written
    wanted = [name for name in known if name not in tracked and os.path.lexists(checkout / name)]
    return Output(made=written, known=_ignored(checkout, inner, wanted), unignored=unignored, tracked=tracked)


def entries(root: Path, name: str) -> Iterator[str]:
    """Yield the entries at and below ROOT/NAME: files, links, empty folders, and each `node_modules` as one."""
    try:
        mode = (root / name).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode) or name.rpartition("/")[2] == PACKAGES:
        yield name
        return
    with os.scandir(root / name) as listing:
        inner = sorted(entry.name for entry in listing)
    if not inner:
        yield name
    for child in inner:
        yield from entries(root, f"{name}/{child}")


def folders(names: Iterable[str]) -> frozenset[str]:
    """Return the parent folders of NAMES at every level."""
    above: set[str] = set()
    for name in names:
        parent = name.rpartition("/")[0]
        while parent and parent not in above:
            above.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(above)


def _written(
    checkout: Path, inner: Mapping[str, Path], export: Path, tracked: frozenset[str]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the untracked entries of EXPORT: the ignored ones, and the paths of the others.

    Ask git about a folder without TRACKED files as a whole, since git looks at nothing below an ignored folder.
    """
    made: set[str] = set()
    unignored: list[str] = []
    above, level = folders(tracked), [""]
    while level:
        asked: dict[str, bool] = {}
        deeper: list[str] = []
        for folder in level:
            with os.scandir(export / folder) as listing:
                for entry in listing:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if name in tracked or name in OURS:
                        continue
                    # Git does not look behind a link, so a link in the checkout is asked about itself.
                    is_folder = entry.is_dir(follow_symlinks=False) and not (checkout / name).is_symlink()
                    if is_folder and name in above:
                        deeper.append(name)
                    else:
                        asked[name] = is_folder
        names = [f"{name}/" if is_folder else name for name, is_folder in asked.items()]
        ignored = _ignored(checkout, inner, names)
        for name, is_folder in asked.items():
            if name in ignored:
                made.update(entries(export, name))
            elif is_folder:
                deeper.append(name)
            else:
                unignored.append(name)
        level = deeper
    return frozenset(made), tuple(sorted(unignored))


def _ignored(checkout: Path, inner: Mapping[str, Path], names: Iterable[str]) -> frozenset[str]:
    """Return the NAMES ignored by git in CHECKOUT and its submodules INNER; a trailing slash marks a folder."""
    found: set[str] = set()
    for path, some in modules.sort(inner, names).items():
        data = b"".join(os.fsencode(name) + b"\0" for name in some)
        argv = ("check-ignore", "--no-index", "--stdin", "-z")
        outcome = live.git(inner.get(path, checkout), *argv, stdin=data, check=False)
        if outcome.code not in (0, 1):  # 1: none of them
            raise errors.SourceUnusable(f"{checkout}: git check-ignore: {outcome.complaint}", "git fsck")
        found |= {f"{path}/{name}".lstrip("/").rstrip("/") for name in _paths(outcome.stdout)}
    return frozenset(found)


def _paths(listing: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listing.split(b"\0") if name]


def _known(checkout: Path) -> Iterable[str]:
    """Return the paths of the build in CHECKOUT: those it recorded, or all of dist/ if an older version built it."""
    try:
        return swap.inside(checkout, json.loads((checkout / swap.RECORD).read_bytes()))
    except (OSError, ValueError, RecursionError):
        return entries(checkout, "dist") if live.read_stamp(checkout) else ()
