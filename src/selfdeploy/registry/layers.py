"""The files of an image, read from its layers in the registry, to compare a foreign build with a tree."""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from selfdeploy import errors
from selfdeploy.registry import Registry, tape
from selfdeploy.registry.artifact import Descriptor
from selfdeploy.registry.changeset import Files
from selfdeploy.tree import Entry

PLAIN = ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar")
GZIP = ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip")
CHUNK = 1 << 16
HEADER = 1 << 20
"""Longest name, or other extended header, to read, in bytes."""
LAYERS = 128
"""Most layers of one image; the kernel's overlay takes no more."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits for one image: bytes as stored, bytes unpacked, and paths."""

    stored: int = 4 << 30
    unpacked: int = 16 << 30
    paths: int = 1_000_000


LIMITS = Limits()


class _Tape(io.RawIOBase):
    """A source for tarfile: forward only, in small reads, and no more than LIMIT bytes."""

    def __init__(self, source: io.RawIOBase | gzip.GzipFile, limit: int) -> None:
        self._source, self._limit, self._at = source, limit, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next SIZE bytes, fewer only at the end."""
        if not 0 <= size <= HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        data = bytearray()
        while len(data) < size and (chunk := self._source.read(size - len(data))):
            data += chunk
        self._at += len(data)
        if self._at > self._limit:
            raise tarfile.ReadError(f"more than {self._limit} bytes unpacked")
        return bytes(data)

    def tell(self) -> int:
        return self._at

    def seek(self, to: int, whence: int = 0, /) -> int:
        """Move forward to the byte TO."""
        if whence or to < self._at:
            raise tarfile.ReadError("an offset that leads back")
        while self._at < to and self.read(min(CHUNK, to - self._at)):
            pass
        return self._at


class _Stored(io.RawIOBase):
    """A layer as the registry sends it, counted and hashed on the way."""

    def __init__(self, chunks: Iterator[bytes], limit: int) -> None:
        self._chunks, self._rest, self._limit = chunks, b"", limit
        self._hash, self._size = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to SIZE bytes; empty at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
            self._size += len(self._rest)
            self._hash.update(self._rest)
            if self._size > self._limit:
                raise tarfile.ReadError(f"more than the {self._limit} bytes it is said to have")
        data, self._rest = self._rest[: size if size >= 0 else None], self._rest[size:] if size >= 0 else b""
        return data

    def finish(self) -> str:
        """Read the rest, and return the digest of the whole layer."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"


def files(store: Registry, digest: str, below: str, limits: Limits = LIMITS) -> Mapping[str, Entry]:
    """Return the entries below the folder BELOW in the image with the manifest DIGEST (of one platform).

    Raises:
        errors.RegistryInvalid: a layer does not match its digest, is malformed, or exceeds LIMITS.
    """
    found = Files(limit=limits.paths)
    _apply_all(store, digest, found, limits)
    return found.below(below)


def contents(store: Registry, digest: str, names: tuple[str, ...], limits: Limits = LIMITS) -> dict[str, bytes] | None:
    """Return the contents of the files NAMES, and of all files in folders of NAMES, of the image DIGEST, by path.

    None if a layer has a compression that is not read.

    Raises:
        errors.RegistryInvalid: as `files` does, or the files are larger than `changeset.KEPT`.
    """
    if any(layer.media_type not in {*PLAIN, *GZIP} for layer in store.single(digest).layers):
        return None
    found = Files(limit=limits.paths, keep=names)
    _apply_all(store, digest, found, limits)
    return found.kept()


def _apply_all(store: Registry, digest: str, found: Files, limits: Limits) -> None:
    """Apply all layers of the image DIGEST to FOUND."""
    image = store.single(digest)
    stored = sum(layer.size for layer in image.layers)
    if stored > limits.stored or len(image.layers) > LAYERS:
        what = f"{len(image.layers)} layers of {stored} bytes"
        raise errors.RegistryInvalid(f"{store.reference}@{digest}: {what}", "make the image smaller")
    left = limits.unpacked
    for layer in image.layers:
        left -= _read(store, layer, found, left)


def _read(store: Registry, layer: Descriptor, found: Files, limit: int) -> int:
    """Apply LAYER to FOUND, and return its unpacked size, at most LIMIT bytes."""
    return _through(store, layer, limit, found.apply)


def _through(store: Registry, layer: Descriptor, limit: int, use: Callable[[io.RawIOBase], object]) -> int:
    """Let USE read LAYER, unpacked to at most LIMIT bytes; verify all of it, and return its unpacked size."""
    where = f"{store.reference}: layer {layer.digest}"
    if layer.media_type not in {*PLAIN, *GZIP}:
        raise errors.RegistryInvalid(f"{where}: {layer.media_type[:80]!a} is not read", "have it built with gzip")
    with store.stream(layer.digest) as chunks:
        stored = _Stored(chunks, layer.size)
        unpacked = _Tape(gzip.GzipFile(fileobj=stored) if layer.media_type in GZIP else stored, limit)
        try:
            use(unpacked)
            while rest := unpacked.read(CHUNK):
                if rest.strip(b"\0"):
                    raise tarfile.ReadError("something stands behind its end")
        except (tarfile.TarError, ValueError, EOFError, OSError, zlib.error, OverflowError, RecursionError) as exc:
            hint = "push the image again; if that does not help, build it with another tool (tar --format=gnu, gzip)"
            raise errors.RegistryInvalid(f"{where}: {exc}", hint) from exc
        actual = stored.finish()
    if actual != layer.digest:
        raise errors.RegistryInvalid(f"{where}: actual {actual}", "push the image again")
    return unpacked.tell()


@dataclass(frozen=True, kw_only=True)
class Member:
    """A layer's entry for one path; TIME is in seconds since 1970, CONTENT the sha256 of the bytes, in hex."""

    name: str
    kind: str
    mode: str
    owner: str
    time: float
    size: int
    link: str
    headers: str
    content: str


def members(store: Registry, layer: Descriptor, limits: Limits = LIMITS) -> list[Member]:
    """Return the members of LAYER, in its order.

    Raises:
        errors.RegistryInvalid: as `files` does.
    """
    found: list[Member] = []

    def read(source: io.RawIOBase) -> None:
        for tar, member in tape.members(source):
            found.append(_member(tar, member))
            if len(found) > limits.paths:
                raise ValueError(f"more than {limits.paths} paths")

    _through(store, layer, limits.unpacked, read)
    return found


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Member:
    file, content = tar.extractfile(member) if member.isreg() else None, ""
    if file is not None:
        total = hashlib.sha256()
        while chunk := file.read(CHUNK):
            total.update(chunk)
        content = total.hexdigest()
    return Member(
        name=member.name,
        kind=member.type.decode(errors="replace"),
        mode=oct(member.mode),
        owner=f"{member.uid}:{member.gid} {member.uname}:{member.gname}",
        time=member.mtime,
        size=member.size,
        link=member.linkname,
        headers=repr(sorted(member.pax_headers.items())),
        content=content,
    )


def compare(expected: Mapping[str, Entry], actual: Mapping[str, Entry], *, limit: int = 20) -> list[str]:
    """Return the differences between EXPECTED and the image's files ACTUAL, one per line; empty if equal.

    After LIMIT lines, one more counts the rest.
    """
    lines = []
    for name in sorted(expected.keys() | actual.keys()):
        wanted, there = expected.get(name), actual.get(name)
        if wanted == there:
            continue
        if there is None:
            what = "missing in the image"
        elif wanted is None:
            what = "only in the image"
        elif wanted.kind != there.kind:
            what = f"expected a {wanted.kind}, actual a {there.kind}"
        else:
            what = "differs"
        lines.append(f"{name if name.isprintable() else ascii(name)}: {what}")
    more = len(lines) - limit
    return lines if more <= 0 else [*lines[:limit], f"and {more} more"]
