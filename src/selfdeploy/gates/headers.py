"""Node's headers, placed for node-gyp, so that native modules compile without a download."""

import re
from pathlib import Path

VERSION = re.compile(r"^#define NODE_(?:MAJOR|MINOR|PATCH)_VERSION ([0-9]+)$", re.MULTILINE)

INSTALLED = "99\n"
"""Version of the cache's layout; a node-gyp that wants a higher one would download the headers."""


def environment(node: Path) -> dict[str, str]:
    """Return the variable that points node-gyp 12 and later to the headers of NODE, the folder of its command.

    Older versions read `npm_config_nodedir`; npm 11 and 12 warn of it, and a later npm refuses it.
    """
    return {"npm_package_config_node_gyp_nodedir": str(_folder(node))}


def lay_out(node: Path, home: Path) -> None:
    """Link NODE's headers into the cache below HOME, for npm 10's node-gyp and for copies that packages bring."""
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
