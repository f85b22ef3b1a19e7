"""The context of a build, such that BuildKit uses its present content and nothing it remembers of another."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from selfdeploy import tree
from selfdeploy.builders import layering


def of(root: Path, dockerfile: Path) -> tuple[Path, dict[str, str]]:
    """Return the context, and the further build arguments, by which DOCKERFILE gets the content of ROOT.

    BuildKit keeps a context and compares the next one with it, path by path: a folder in both keeps its old time, and a
    file of equal time and size its old bytes. Copies it remembers by content, whatever the times were. A DOCKERFILE
    with an argument TREE copies a folder of the context instead: its name, ROOT's, is part of each path, and of the
    instruction that BuildKit remembers.
    """
    if layering.takes_tree(_read(dockerfile)):
        return root.parent, {"TREE": root.name}
    return root, {}


def name(*parts: object) -> str:
    """Return a name for the context's folder that is equal for equal PARTS.

    BuildKit finds the context that it kept by this name (not the path), and asks only for the files that differ.
    """
    return f"context-{hashlib.sha256(repr([str(part) for part in parts]).encode()).hexdigest()[:16]}"


def takes_layers(dockerfile: Path) -> bool:
    """Return whether DOCKERFILE can copy layers; one with an ignore file beside it stays with it, as it is."""
    ignores = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    return layering.takes_layers(_read(dockerfile)) and not ignores.exists()


def write_layered(dockerfile: Path, folders: Sequence[str], to: Path) -> Path:
    """Write DOCKERFILE, such that it copies FOLDERS, into the folder TO and return its path."""
    expanded = to / dockerfile.name
    tree.write_whole(expanded, layering.expand(_read(dockerfile), folders).encode(errors="surrogateescape"))
    return expanded


def _read(dockerfile: Path) -> str:
    return dockerfile.read_bytes().decode(errors="surrogateescape")
