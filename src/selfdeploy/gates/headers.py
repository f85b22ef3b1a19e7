"""Node's headers, where node-gyp looks for them, so that native modules compile without a download."""

import re
from pathlib import Path

VERSION = re.compile(r"^#define NODE_(?:MAJOR|MINOR|PATCH)_VERSION ([0-9]+)$", re.MULTILINE)

INSTALLED = "99\n"
"""The layout of node-gyp's cache; a node-gyp that wants a higher one would download the headers."""


def environment(node: Path) -> dict[str, str]:
    """Return the variable that names the headers of NODE, the folder of its command, to node-gyp 12 and later.

    `npm_config_nodedir` is what node-gyp reads of old; npm 11 and 12 warn of it, and a later npm refuses it.
    """
    return {"npm_package_config_node_gyp_nodedir": str(_folder(node))}


def lay_out(node: Path, home: Path) -> None:
    """Put the headers of NODE into the cache below HOME, for the node-gyp of npm 10, and any that a package brings."""
    include = _folder(node) / "include"
    try:
        numbers = VERSION.findall((include / "node" / "node_version.h").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    cache = home / ".cache" / "node-gyp" / ".".join(numbers)
    if not (cache / "installVersion").exists():  # an earlier attempt's home is left as it is
        cache.mkdir(parents=True)
        (cache / "include").symlink_to(include)
        (cache / "installVersion").write_text(INSTALLED, encoding="utf-8")


def _folder(node: Path) -> Path:
    return (node / "node").resolve().parent.parent
