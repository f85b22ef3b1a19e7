"""What an environment runs of a release, as files in a folder, for who applies them by other means."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from selfdeploy import config, errors, manifest, render

MANIFEST = "sf-release-manifest.json"
FIRST_LINE = re.compile(rb"# selfdeploy rendered this; the sha256 of what follows is ([0-9a-f]{64})\n")
"""Of every YAML file: by it a file that somebody changed since, or wrote, is told from ours."""


def files(project: config.Project, name: str, made: manifest.Manifest) -> dict[str, bytes]:
    """Return the files, by name, that run the release MADE in the environment NAME; equal releases are equal bytes.

    Of a Compose environment they are its Compose file, and the manifest that belongs into the volume it names.
    """
    if isinstance(project.environment(name), config.Kubernetes):
        return {file: _mark(text) for file, text in render.objects(project, name, made).items()}
    return {"compose.yml": _mark(render.compose(project, name, made)), MANIFEST: made.bytes}


def write(folder: Path, content: Mapping[str, bytes]) -> None:
    """Make CONTENT, files by name, all that is in FOLDER; whole, or not at all.

    Raises:
        errors.FolderForeign: it holds what this did not write.
        errors.FileUnusable: it is the one that we stand in, or above it, and so cannot be replaced.
    """
    place = folder.resolve()
    if Path.cwd().is_relative_to(place):
        raise errors.FileUnusable(f"{place}: it would be replaced, and you stand in it", "name another folder")
    if foreign := _foreign(place):
        raise errors.FolderForeign(
            "\n".join(f"{path}: not written by inv render, or changed since" for path in foreign),
            "name a folder that holds nothing else, or move them away; nothing was written",
        )
    new, old = (place.with_name(f".{place.name}.selfdeploy-{word}") for word in ("new", "old"))
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)  # by a run that was killed
    new.mkdir(parents=True)
    try:
        for name, data in content.items():
            with (new / name).open("wb") as file:
                file.write(data)
                os.fsync(file.fileno())
        if place.exists():
            place.rename(old)
        new.rename(place)
    finally:
        if not place.exists() and old.exists():
            old.rename(place)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def _mark(text: str) -> bytes:
    data = text.encode()
    return b"# selfdeploy rendered this; the sha256 of what follows is %s\n%s" % (_hash(data), data)


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _foreign(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not _is_ours(path)] if folder.exists() else []


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    data = path.read_bytes()
    if path.name == MANIFEST:
        return _is_manifest(data, path)
    found = FIRST_LINE.match(data)
    return bool(found and found[1] == _hash(data[found.end() :]))


def _is_manifest(data: bytes, path: Path) -> bool:
    try:
        manifest.parse(data, str(path))
    except errors.ManifestInvalid:
        return False
    return True
