"""The members of a layer, read forward only, as a runtime reads them; global headers are skipped, or refused."""

import io
import tarfile
from collections.abc import Iterator

BLOCK = 512
EFFECTIVE = ("path", "linkpath", "size", "hdrcharset", "GNU.sparse.")
"""Prefixes of pax keys that would change the set of files, or their bytes (POSIX pax)."""


class _Member(tarfile.TarInfo):
    """A header; as in Go's archive/tar, a global one is its own member and does not apply to later members."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type != tarfile.XGLTYPE:
            own: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc] # meant to be overridden, its comment says
            return own
        if self.size < 0:
            raise tarfile.ReadError("a global header of no size")
        source = tar.fileobj
        assert source is not None  # noqa: S101 -- it has just read the header from there
        self.offset_data = source.tell()
        tar.offset = self.offset_data + -(-self.size // BLOCK) * BLOCK
        self.pax_headers = dict.fromkeys(_keys(source.read(self.size)), "")
        return self


def members(layer: io.RawIOBase) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield each member of LAYER with its archive, to read the content from; an empty layer has none.

    Runtimes ignore a global header (Go's archive/tar leaves it to them). So does this, if other readers would see the
    same files.

    Raises:
        tarfile.TarError, ValueError: LAYER is not a tar, or a global header renames, resizes or links files.
    """
    try:
        tar = tarfile.TarFile(fileobj=layer, tarinfo=_Member)
    except tarfile.ReadError:
        if layer.tell():
            raise
        return
    with tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined] # it would keep all of them
            if member.type != tarfile.XGLTYPE:
                yield tar, member
            elif found := sorted(key for key in member.pax_headers if key.startswith(EFFECTIVE)):
                raise ValueError(f"a global header that sets {found[0][:40]!a}, which tools read in different ways")


def _keys(data: bytes) -> list[str]:
    """Return the keys of the records DATA (POSIX pax: length, key=value, newline)."""
    keys = []
    while data.strip(b"\0"):
        length, _, rest = data.partition(b" ")
        key, equals, _ = rest.partition(b"=")
        if not length.isdigit() or not equals or not len(length) + 2 < int(length) <= len(data):
            raise tarfile.ReadError("a global header that is damaged")
        keys.append(key.decode(errors="replace"))
        data = data[int(length) :]
    return keys
