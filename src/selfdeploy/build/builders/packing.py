"""The context of a build: a gated tree in folders named by their content, hard-linked and not copied."""

import hashlib
import heapq
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import tree
from selfdeploy.build.builders import layering


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The FOLDERS of CONTEXT: their contents go to the image's `/`, one after the other.

    DIGEST is the hash of PACKAGE (`opt/sf`) in them, STATE a hash of their files' modes, sizes, times and inodes.
    """

    context: Path
    folders: tuple[str, ...]
    package: str
    digest: str
    state: str

    def is_unchanged(self) -> bool:
        """Return True if the files still have the hashed content.

        They are read again only if their STATE differs. It includes the time of change (ctime): the kernel sets it, and
        no program can set it back. It also changes when another process links the file.
        """
        state = hashlib.sha256()
        for path, _, entry in _paths(self.context, self.folders):
            state.update(_state(path, entry))
        return state.hexdigest() == self.state or self._read_again() == self.digest

    def _read_again(self) -> str:
        total, last = hashlib.sha256(), ""
        for path, _, entry in _paths(self.context, self.folders):
            if path.startswith(f"{self.package}/") and path != last:
                total.update(tree.line(path[len(self.package) + 1 :], tree.read(entry)))
            last = path
        return f"sha256:{total.hexdigest()}"


def pack(package: Path, root: Path, context: Path, epoch: int, *, whole: str = "") -> Packed:
    """Hard-link the files of ROOT into the new folder CONTEXT, by layer.

    Args:
        package: the folder below ROOT to hash: SF's.
        root: the folder whose content goes to the image's `/`; its files get the times and modes of an image.
        context: the new parent of the layers' folders.
        epoch: time of the application's files, in seconds since 1970.
        whole: name of the one folder that takes all files; empty for a folder a layer, named by its content.
    """
    sorter = _Sorter(context=os.fspath(context), package=package.relative_to(root).as_posix(), epoch=epoch, whole=whole)
    context.mkdir(parents=True)
    for path, entry in tree.walk(root):
        sorter.link(path, entry)
    sorter.settle_folders()
    _let_clock_tick(context.with_name("clock"))
    layers = [layer for layer in sorter.layers if (context / layer).exists()]
    hashes = {layer: hashlib.sha256(str(sorter.time(layer)).encode()) for layer in layers}
    total, state, start = hashlib.sha256(), hashlib.sha256(), len(sorter.package) + 1
    for path, layer, entry in _paths(context, layers):
        state.update(_state(path, entry))  # before reading, to detect a change in between
        if sorter.layer(path, entry) == layer:  # a folder is in all layers with files below it
            found = tree.read(entry)
            hashes[layer].update(tree.line(path, found))
            if path.startswith(f"{sorter.package}/"):
                total.update(tree.line(path[start:], found))
    folders = [whole or f"{layer}-{hashes[layer].hexdigest()}" for layer in layers]
    for layer, folder in zip(layers, folders, strict=True):
        (context / layer).rename(context / folder)
    return Packed(
        context=context,
        folders=tuple(folders),
        package=sorter.package,
        digest=f"sha256:{total.hexdigest()}",
        state=state.hexdigest(),
    )


@dataclass(frozen=True, kw_only=True)
class _Sorter:
    """Links each path of a root into its layer's folder below CONTEXT."""

    context: str
    package: str
    epoch: int
    whole: str
    folders: dict[str, int] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.whole,) if self.whole else layering.LAYERS

    def layer(self, path: str, entry: os.DirEntry[str]) -> str:
        if self.whole:
            return self.whole
        if not path.startswith(f"{self.package}/"):
            return layering.APPLICATION
        return layering.layer(path[len(self.package) + 1 :], folder=entry.is_dir(follow_symlinks=False))

    def time(self, layer: str) -> int:
        return layering.PACKED if layer in {layering.PACKAGES, layering.INNER} else self.epoch

    def link(self, path: str, entry: os.DirEntry[str]) -> None:
        layer = self.layer(path, entry)
        target = f"{self.context}/{layer}/{path}"
        if entry.is_dir(follow_symlinks=False):
            self._make(target, layer)
            return
        self._make(os.path.dirname(target), layer)  # noqa: PTH120 -- a Path takes longer than the call
        os.link(entry.path, target, follow_symlinks=False)
        tree.settle(target, entry.stat(follow_symlinks=False), self.time(layer))

    def _make(self, folder: str, layer: str) -> None:
        if folder not in self.folders and len(folder) > len(self.context):
            self._make(os.path.dirname(folder), layer)  # noqa: PTH120
            os.mkdir(folder)  # noqa: PTH102
            self.folders[folder] = self.time(layer)

    def settle_folders(self) -> None:
        """Set the times of the folders, after the new links in them changed these."""
        for folder, time in self.folders.items():
            tree.settle(folder, os.stat(folder), time)  # noqa: PTH116


def _paths(context: Path, folders: Sequence[str]) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    """Yield the paths of all FOLDERS in one order, component by component, each with its folder and entry."""
    found = [_of(context, folder) for folder in folders]
    return heapq.merge(*found, key=lambda one: one[0].split("/")) if len(found) > 1 else found[0]


def _of(context: Path, folder: str) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    return ((path, folder, entry) for path, entry in tree.walk(context / folder))


def _state(path: str, entry: os.DirEntry[str]) -> bytes:
    found = entry.stat(follow_symlinks=False)
    facts = found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return os.fsencode(f"{path}\0{facts}\n")


def _let_clock_tick(file: Path) -> None:
    """Return when the next change of a file beside FILE will have a later time than all earlier ones."""
    file.touch()
    first = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == first:
        file.touch()
    file.unlink()
