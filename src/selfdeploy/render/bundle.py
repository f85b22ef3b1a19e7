"""An environment's files for a release, in a folder, to apply with other tools (kubectl, Argo CD)."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from selfdeploy import config, errors, manifest, render

MANIFEST = "sf-release-manifest.json"
FIRST_LINE = re.compile(rb"# selfdeploy rendered this; the sha256 of what follows is ([0-9a-f]{64})\n")
"""Header of every rendered YAML file; its checksum reveals edits."""


def files(project: config.Project, name: str, made: manifest.Manifest) -> dict[str, bytes]:
    """Return the files, by name, for the release MADE in the environment NAME; equal releases give equal bytes.

    For Compose they are the Compose file, and the manifest to store in its manifest volume.
    """
    if isinstance(project.environment(name), config.Kubernetes):
        return {file: _mark(text) for file, text in render.objects(project, name, made).items()}
    return {"compose.yml": _mark(render.compose(project, name, made)), MANIFEST: made.bytes}


def write(folder: Path, content: Mapping[str, bytes]) -> None:
    """Replace the content of FOLDER with CONTENT, files by name; completely or not at all.

    Raises:
        errors.FolderForeign: FOLDER has files not written by `inv render`, or edited since.
        errors.FileUnusable: FOLDER is the current folder or a parent of it, and so cannot be replaced.
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
        shutil.rmtree(left, ignore_errors=True)  # left by a killed run
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
