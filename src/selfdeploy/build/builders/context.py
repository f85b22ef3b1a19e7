"""The context of a build, arranged so that BuildKit uses its present content and nothing cached from another."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from selfdeploy import tree
from selfdeploy.build.builders import layering


def of(root: Path, dockerfile: Path) -> tuple[Path, dict[str, str]]:
    """Return the context by which DOCKERFILE gets the content of ROOT, and its further build arguments.

    BuildKit keeps a context and compares the next one with it, path by path. A folder in both keeps its old time, and a
    file of equal time and size keeps its old bytes. BuildKit caches copies by their content, regardless of times. So a
    DOCKERFILE with an argument TREE copies a folder of the context instead: its name, ROOT's, is part of each path, and
    of the cached instruction.
    """
    if layering.takes_tree(_read(dockerfile)):
        return root.parent, {"TREE": root.name}
    return root, {}


def name(*parts: object) -> str:
    """Return a name for the context's folder, equal for equal PARTS.

    BuildKit finds its kept context by this name (not by the path), and requests only the files that differ.
    """
    return f"context-{hashlib.sha256(repr([str(part) for part in parts]).encode()).hexdigest()[:16]}"


def takes_layers(dockerfile: Path) -> bool:
    """Return True if DOCKERFILE can copy layers; if it has an ignore file beside it, it is used unchanged."""
    ignores = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    return layering.takes_layers(_read(dockerfile)) and not ignores.exists()


def write_layered(dockerfile: Path, folders: Sequence[str], to: Path) -> Path:
    """Write DOCKERFILE, changed to copy FOLDERS, into the folder TO, and return its path."""
    expanded = to / dockerfile.name
    tree.write_whole(expanded, layering.expand(_read(dockerfile), folders).encode(errors="surrogateescape"))
    return expanded


def _read(dockerfile: Path) -> str:
    return dockerfile.read_bytes().decode(errors="surrogateescape")
