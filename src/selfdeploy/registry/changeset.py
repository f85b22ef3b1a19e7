"""The files of an image, as a runtime would unpack its layers; reads no network.

Source: OCI image specification, "image layer filesystem changeset". Names are resolved through the image's own links,
and never lead out of it.
"""

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from selfdeploy.registry import tape
from selfdeploy.tree import Entry

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
CHUNK = 1 << 16
LENGTH = 4096
"""Longest name, in characters, as on Linux."""
KEPT = 32 << 20
"""Most bytes of contents to keep of one image."""
HOPS = 40
"""Most links to follow for one name, as on Linux."""


@dataclass
class Files:
    """The files of an image, with each layer applied on top of the one before."""

    limit: int = 1_000_000
    """Most paths of one image."""
    keep: tuple[str, ...] = ()
    """Files, and folders, whose contents `kept` returns."""
    _contents: dict[str, bytes] = field(default_factory=dict)
    _paths: dict[str, Entry] = field(default_factory=dict)
    _inside: dict[str, set[str]] = field(default_factory=lambda: {"": set()})
    _fresh: set[str] = field(default_factory=set)

    def apply(self, layer: io.RawIOBase) -> None:
        """Apply LAYER, an uncompressed tar, to the present files; it is read forward only.

        Raises:
            tarfile.TarError, ValueError: LAYER is not a tar, or has a name or a member that no layer may have.
        """
        self._fresh = set()
        for tar, member in tape.members(layer):
            too_long = max(len(member.name), len(member.linkname)) > LENGTH
            if too_long or member.size < 0 or member.issparse():
                raise ValueError(f"{member.name[:80]!a}: sparse, too long, or of no size")
            self._add(tar, member)

    def below(self, top: str) -> dict[str, Entry]:
        """Return the entries below the folder TOP, by their paths from there; empty if there is no such folder."""
        root = self._resolve(_name(top))
        found: dict[str, Entry] = {}
        folders = [root] if root == "" or self._is_folder(root) else []
        while folders:
            folder = folders.pop()
            for name in self._inside[folder]:
                path = _join(folder, name)
                found[path[len(root) :].lstrip("/")] = self._paths[path]
                if self._is_folder(path):
                    folders.append(path)
        return {name: found[name] for name in sorted(found, key=PurePosixPath)}

    def kept(self) -> dict[str, bytes]:
        """Return the contents of the files that `keep` names, by path."""
        found = {path: self._contents.get(self._paths[path].content) for path in self._paths if self._is_kept(path)}
        return {path: found[path] or b"" for path in sorted(found) if found[path] is not None}

    def _is_kept(self, path: str) -> bool:
        return any(path == name or path.startswith(f"{name}/") for name in self.keep)

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        folder, _, base = _name(member.name).rpartition("/")
        if not base:
            return
        parent = self._resolve(folder)
        path = _join(parent, base)
        if base == OPAQUE:
            for name in list(self._inside.get(parent, ())):
                self._remove(_join(parent, name), older=True)
        elif base.startswith(WHITEOUT + WHITEOUT):
            return  # metadata of aufs
        elif base.startswith(WHITEOUT):
            hidden = _join(parent, base.removeprefix(WHITEOUT))
            if base == WHITEOUT or hidden in self._fresh:
                raise ValueError(f"{path!a}: a whiteout of what the same layer brings")
            self._remove(hidden)
        else:
            entry = self._entry(tar, member, keep=self._is_kept(path))
            if not (entry.kind == "folder" and self._is_folder(path)):
                self._remove(path)
            self._put(path, entry)

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo, *, keep: bool) -> Entry:
        if member.isdir():
            return Entry(kind="folder")
        if member.issym():
            return Entry(kind="link", content=member.linkname)
        if member.islnk():
            folder, _, base = _name(member.linkname).rpartition("/")
            target = self._paths.get(_join(self._resolve(folder), base))
            if target is None or target.kind == "folder":
                raise ValueError(f"{member.name!a}: a hard link to {member.linkname!a}, which is no file")
            return target
        if not member.isreg():
            return Entry(kind="special")
        file = tar.extractfile(member)
        assert file is not None  # noqa: S101 -- it is for regular members only, and this is one
        content, data = hashlib.sha256(), bytearray()
        if keep and member.size + sum(map(len, self._contents.values())) > KEPT:
            raise ValueError(f"{member.name!a}: more than {KEPT} bytes to keep")
        while chunk := file.read(CHUNK):
            content.update(chunk)
            data += chunk if keep else b""
        if keep:
            self._contents[content.hexdigest()] = bytes(data)
        return Entry(kind="program" if member.mode & 0o100 else "file", content=content.hexdigest())

    def _put(self, path: str, entry: Entry) -> None:
        parent, _, base = path.rpartition("/")
        if parent and parent not in self._paths:
            self._put(parent, Entry(kind="folder"))
        if not self._is_folder(parent):
            raise ValueError(f"{path!a}: below a file")
        self._paths[path] = entry
        self._inside[parent].add(base)
        self._fresh.add(path)
        if entry.kind == "folder":
            self._inside.setdefault(path, set())
        if len(self._paths) > self.limit:
            raise ValueError(f"more than {self.limit} paths")

    def _remove(self, path: str, *, older: bool = False) -> None:
        """Remove PATH and everything below it; with OLDER, keep the entries of the present layer."""
        for name in list(self._inside.get(path, ())):
            self._remove(_join(path, name), older=older)
        if path not in self._paths or (older and (path in self._fresh or self._inside.get(path))):
            return
        del self._paths[path]
        self._fresh.discard(path)
        self._inside.pop(path, None)
        parent, _, base = path.rpartition("/")
        self._inside[parent].discard(base)

    def _is_folder(self, path: str) -> bool:
        return path in self._inside

    def _resolve(self, path: str) -> str:
        """Return PATH with all links resolved, through the image's own links and never out of it."""
        todo, done, hops = list(reversed(path.split("/"))), "", 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            entry = self._paths.get(_join(done, part))
            if entry is None or entry.kind != "link":
                done = _join(done, part)
                continue
            hops += 1
            if hops > HOPS:
                raise ValueError(f"{path!a}: more than {HOPS} links")
            done = "" if entry.content.startswith("/") else done
            todo += reversed(entry.content.split("/"))
        return done


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _name(name: str) -> str:
    """Return NAME, a tar member's name, as a path from the image's root.

    Raises:
        ValueError: NAME leads upwards, or contains a NUL.
    """
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in name:
        raise ValueError(f"{name!a}: no name for a file of an image")
    return "/".join(parts)
