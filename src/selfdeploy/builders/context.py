"""The context of a build, such that BuildKit makes of it what is in it, and nothing of what it has seen before."""

import re
from pathlib import Path


def of(root: Path, dockerfile: Path) -> tuple[Path, dict[str, str]]:
    """Return the context, and the build arguments beside others, by which DOCKERFILE gets the content of ROOT.

    BuildKit keeps a context and compares the next with it, path by path: a folder that is in both keeps the time that
    it has there, and a file of one time and size its bytes. What it copied it knows by content, whatever the times
    were. A DOCKERFILE with an argument TREE copies a folder of the context instead, whose name, ROOT's, is part of
    each path, and of what the copy is known by.
    """
    if re.search(rb"^ARG\s+TREE\b", dockerfile.read_bytes(), re.MULTILINE):
        return root.parent, {"TREE": root.name}
    return root, {}
