"""A revision in git: its entries, and the contents needed for the clauses of the source."""

import dataclasses
import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfdeploy import errors, source
from selfdeploy.source.outline import Outline

LINK, GITLINK = "120000", "160000"
"""Modes of entries in a git tree (gitdatamodel)."""

PACKAGES = ("package.json", "package-lock.json", "npm-shrinkwrap.json")
CONFIGURATIONS = tuple(f"next.config.{suffix}" for suffix in ("js", "mjs", "cjs", "ts", "mts"))
READ = (*PACKAGES, *(f"web/{name}" for name in (*PACKAGES, *CONFIGURATIONS)))
"""Files to read in full, besides every package.json."""

CODE = ("*.js", "*.mjs", "*.cjs", "*.jsx", "*.ts", "*.mts", "*.cts", "*.tsx", "*.json", "*.sh")
"""Patterns of the files with code of a build."""

VARIABLES = ("SF_BUILD_REVISION", "SF_RELEASE_MANIFEST")
"""Variables required in the code of the build and the server."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a tree: its mode, its object's id, and a file's size in bytes."""

    mode: str
    id: str
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """The tracked files of one revision and its exported submodules: ENTRIES by path, CONTENTS of some of them.

    PATHS are all files and folders, IGNORED the link targets a build may create, MENTIONS the code files that name each
    variable. OUTLINE describes the revision beyond plain files. UNUSABLE is the error of an unreadable submodule.
    """

    entries: Mapping[str, Entry]
    contents: Mapping[str, bytes]
    paths: frozenset[str]
    outline: Outline
    unusable: errors.SourceUnusable | None = None
    ignored: frozenset[str] = frozenset()
    mentions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def links(self) -> dict[str, str]:
        """The links, each with its text."""
        links = (path for path, entry in self.entries.items() if entry.mode == LINK)
        return {path: self.contents.get(path, b"").decode("utf-8", "surrogateescape") for path in links}

    def has(self, path: str) -> bool:
        """Return whether PATH is a file or folder of the revision, or lies below a link."""
        above = folders([path]) & self.paths
        return path in self.paths or any(self.entries[one].mode == LINK for one in above if one in self.entries)

    @property
    def unread(self) -> tuple[str, ...]:
        """The submodules without known files."""
        read = folders(self.entries)
        return tuple(module.path for module in self.outline.submodules if module.path not in read)

    def beyond(self, path: str) -> str:
        """Return the unread submodule with PATH in it; empty if there is none."""
        return next((module for module in self.unread if f"{path}/".startswith(f"{module}/")), "")

    def object(self, path: str) -> dict[str, Any] | None:
        """Return the JSON object in the file PATH; None if the file is missing, unread or not an object."""
        try:
            value = json.loads(self.contents[path])
        except (KeyError, ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


def folders(paths: Iterable[str]) -> set[str]:
    """Return the parent folders of PATHS at every level; the top is the empty path."""
    found = {""}
    for path in paths:
        folder = posixpath.dirname(path)
        while folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    return found


def target(path: str, text: str) -> str:
    """Return the target of the link PATH with TEXT; it starts with `/` or `..` if it leaves the package."""
    return text if text.startswith("/") else posixpath.normpath(posixpath.join(posixpath.dirname(path), text))


def parse_listing(listing: bytes) -> dict[str, Entry]:
    """Parse LISTING, the output of `git ls-tree -r -l -z`, into entries by path."""
    entries = {}
    for line in filter(None, listing.split(b"\0")):
        facts, _, path = line.partition(b"\t")
        mode, _, digest, size = facts.decode().split()
        name = path.decode("utf-8", "surrogateescape")
        entries[name] = Entry(mode=mode, id=digest, size=int(size) if size.isdecimal() else 0)
    return entries


def parse_objects(stream: bytes) -> dict[str, bytes]:
    """Parse STREAM, the output of `git cat-file --batch`, into objects by id."""
    objects, at = {}, 0
    while (end := stream.find(b"\n", at)) > 0:
        words = stream[at:end].decode(errors="replace").split()
        at = end + 1
        if len(words) == 3 and words[2].isdecimal():  # noqa: PLR2004 -- ID TYPE SIZE; else `ID missing`
            objects[words[0]] = stream[at : at + int(words[2])]
            at += int(words[2]) + 1
    return objects


def read(revision: source.Revision) -> Tracked:
    """Read the tracked files of REVISION, and of its submodules if an export includes them.

    They come from git's objects, not from the work tree.

    Raises:
        errors.SourceUnusable: git cannot list or read REVISION.
    """
    outlines, unusable = _outlines(revision)
    parts, outline = {folder: part for folder, (part, _) in outlines.items()}, _join(outlines)
    entries: dict[str, Entry] = {}
    contents: dict[str, bytes] = {}
    for folder, part in parts.items():
        found = parse_listing(_git(part, "ls-tree", "-r", "-l", "-z", "--full-tree", part.tree))
        listed = {folder + path: entry for path, entry in found.items()}
        entries |= listed
        contents |= _contents(part, listed)
    tracked = Tracked(
        entries=entries,
        contents=contents,
        paths=frozenset({*entries, *folders(entries)}),
        outline=outline,
        unusable=unusable,
        mentions={name: _mentions(parts, name) for name in VARIABLES},
    )
    targets = {target(path, text) for path, text in tracked.links.items()}
    missing = sorted(one for one in targets if one.partition("/")[0] not in {"", "..", "."} and not tracked.has(one))
    return dataclasses.replace(tracked, ignored=_ignored(parts, missing))


def _outlines(
    revision: source.Revision,
) -> tuple[dict[str, tuple[source.Revision, Outline]], errors.SourceUnusable | None]:
    """Return REVISION and its exported submodules by folder, and the first unusable submodule's error or None."""
    found, unusable = {"": (revision, source.outline(revision))}, None
    left = [""] if revision.submodules == "checkout" else []
    while left:
        folder = left.pop(0)
        part, outline = found[folder]
        for module in outline.submodules:
            try:
                inner = source.enter(part, module, folder)
            except errors.SourceUnusable as exc:
                unusable = unusable or exc
                continue
            left.append(name := f"{folder}{module.path}/")
            found[name] = (inner, source.outline(inner))
    return found, unusable


def _join(outlines: Mapping[str, tuple[source.Revision, Outline]]) -> Outline:
    """Join OUTLINES, by folder, into one."""
    found = [(folder, outline) for folder, (_, outline) in outlines.items()]
    return Outline(
        files=sum(outline.files for _, outline in found),
        size=sum(outline.size for _, outline in found),
        empty=tuple(folder + path for folder, outline in found for path in outline.empty),
        submodules=tuple(
            dataclasses.replace(module, path=folder + module.path)
            for folder, outline in found
            for module in outline.submodules
        ),
        pointers=tuple(folder + path for folder, outline in found for path in outline.pointers),
    )


def _contents(part: source.Revision, entries: Mapping[str, Entry]) -> dict[str, bytes]:
    """Return the contents of the links among ENTRIES, all of PART, and of the files needed for the clauses."""
    wanted = [
        path for path, entry in entries.items() if entry.mode == LINK or (entry.mode != GITLINK and _is_read(path))
    ]
    ids = "".join(f"{entries[path].id}\n" for path in wanted).encode()
    objects = parse_objects(_git(part, "cat-file", "--batch", stdin=ids)) if ids else {}
    return {path: objects.get(entries[path].id, b"") for path in wanted}


def _is_read(path: str) -> bool:
    return path in READ or posixpath.basename(path) == "package.json"


def _git(revision: source.Revision, *argv: str, stdin: bytes | None = None) -> bytes:
    outcome = source.ask(revision, *argv, stdin=stdin)
    if outcome.code:
        why = outcome.complaint or f"exit code {outcome.code}"
        raise errors.SourceUnusable(f"{revision.checkout}: git {argv[0]}: {why}", "git fsck finds what is damaged")
    return outcome.stdout


def _mentions(parts: Mapping[str, source.Revision], name: str) -> tuple[str, ...]:
    """Return the code files in PARTS, by folder, that mention the variable NAME."""
    found = []
    for folder, part in parts.items():
        argv = ("grep", "--no-recurse-submodules", "-l", "-z", "--fixed-strings", "-e", name, part.commit, "--", *CODE)
        listed = source.ask(part, *argv).stdout.split(b"\0")
        found += [folder + path.partition(b":")[2].decode(errors="replace") for path in listed if path]
    return tuple(found)


def _ignored(parts: Mapping[str, source.Revision], paths: Iterable[str]) -> frozenset[str]:
    """Return the PATHS a build may create, in PARTS by folder."""
    inside: dict[str, list[str]] = {}
    for path in paths:
        folder = max((one for one in parts if path.startswith(one)), key=len)
        inside.setdefault(folder, []).append(path.removeprefix(folder))
    return frozenset(folder + path for folder, some in inside.items() for path in _ignored_in(parts[folder], some))


def _ignored_in(revision: source.Revision, paths: Sequence[str]) -> frozenset[str]:
    """Return the PATHS a build may create: ignored by git, or below a link of the work tree."""
    given = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
    outcome = source.ask(revision, "check-ignore", "--no-index", "-z", "--stdin", stdin=given)
    if outcome.code not in {0, 1}:  # git stops at the first path that lies below a link
        if len(paths) == 1:
            return frozenset(paths)
        return frozenset(one for path in paths for one in _ignored_in(revision, [path]))
    return frozenset(path.decode("utf-8", "surrogateescape") for path in outcome.stdout.split(b"\0") if path)
