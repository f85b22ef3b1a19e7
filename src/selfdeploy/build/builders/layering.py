"""The layers of an image: the layer of each file, and the instructions that make the layers; pure."""

import re
from collections.abc import Sequence

PACKAGES = "packages"
"""The packages in the top node_modules; they change with package-lock.json."""

INNER = "inner-packages"
"""The packages in every other node_modules: the web host's, and those of workspaces."""

APPLICATION = "application"
"""All other files; they change with each commit, and have its time."""

LAYERS = (PACKAGES, INNER, APPLICATION)
"""Their order in the image. A builder reuses a layer only on top of the same layers, so the stable ones come first."""

PACKED = 499_162_500
"""The time of the files in packages: 26 October 1985, as in every archive that npm packs.

With the commit's own time, equal packages would make another layer for each commit.
"""

VERSION = 2
"""Version of these rules: other rules make another image of an equal tree."""

HIDDEN_LOCK = ".package-lock.json"
"""npm's notes in node_modules. They hold the application's own version, so they belong to the application."""

_GYP = re.compile(r"(?:^|/)build/(?:Makefile|config\.gypi|[^/]+\.(?:Makefile|mk))$")
"""node-gyp's files beside a module that it compiles; they name the export, another folder for each commit."""

_ARGUMENT = re.compile(r"^ARG[ \t]+TREE\b.*\n?", re.MULTILINE)
_COPY = re.compile(
    r"^(COPY(?:[ \t]+--(?!from|parents)\S+)*[ \t]+)(?:\$\{TREE\}|\$TREE)([ \t]+/[ \t]*\r?)$", re.MULTILINE
)
_USE = re.compile(r"\$\{?TREE\b")


def layer(name: str, *, folder: bool = False) -> str:
    """Return the layer of the file or FOLDER at NAME, relative to the package."""
    parts = name.split("/")
    if "node_modules" not in parts:
        return APPLICATION
    if not folder and (parts[-2:] == ["node_modules", HIDDEN_LOCK] or _GYP.search(name)):
        return APPLICATION
    return PACKAGES if parts[0] == "node_modules" else INNER


def takes_tree(dockerfile: str) -> bool:
    """Return True if DOCKERFILE has the argument TREE, the name of a folder in the context."""
    return _ARGUMENT.search(dockerfile) is not None


def takes_layers(dockerfile: str) -> bool:
    """Return True if DOCKERFILE can copy layers: its only use of TREE is one copy to `/`."""
    return takes_tree(dockerfile) and len(_COPY.findall(dockerfile)) == len(_USE.findall(dockerfile)) == 1


def expand(dockerfile: str, folders: Sequence[str]) -> str:
    """Return DOCKERFILE with its copy of TREE repeated for each of FOLDERS, in order.

    Builders cache a copy by its instruction, and the name of the folder is part of it.
    """
    without = _ARGUMENT.sub("", dockerfile)
    return _COPY.sub(lambda found: "\n".join(f"{found[1]}{folder}{found[2]}" for folder in folders), without)
