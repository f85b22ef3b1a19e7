"""Install scripts that npm did not run, from a gate's log or npm's own list; pure."""

import itertools
import re
from collections.abc import Sequence

BLOCKED = re.compile(r"npm (?:warn|error) .*install scripts blocked because they are not covered by allowScripts")
STRICT = re.compile(r"npm error --strict-allow-scripts: [0-9]+ package")
INSTALLS = {"npm-ci": ".", "web-npm-ci": "web"}
"""The gates that install packages, and their folders."""

PACKAGE = re.compile(r"npm (?:warn install-scripts|error)   ((?:@[^\s@/]+/)?[^\s@]+)(?:@\S+)? \(.*")


CHOSEN = re.compile(r"\b(?:ignore|allow|allow-all)-scripts\b")
"""An option of a command that chooses the scripts itself."""


def place(name: str, command: Sequence[str], contract: Sequence[str]) -> str | None:
    """Return the folder of the packages installed by the gate NAME, if its log may not name blocked scripts; else None.

    The log names them if COMMAND is the CONTRACT's: the gates set npm's loglevel, but an option of a command wins. None
    also if the gate installs nothing, or COMMAND chooses the scripts itself.
    """
    if name not in INSTALLS or tuple(command) == tuple(contract) or CHOSEN.search(" ".join(command)):
        return None
    return prefix(command) or INSTALLS[name]


def blocked(lines: Sequence[str], code: int) -> list[str] | None:
    """Return the packages whose install scripts npm 12 blocked, sorted; None if it blocked none.

    LINES are the log of a gate that ended with CODE. npm warns and succeeds, or fails if it is strict.
    """
    if not any((STRICT if code else BLOCKED).match(line) for line in lines):
        return None
    return sorted({found[1] for line in lines if (found := PACKAGE.fullmatch(line))})


def approval(command: Sequence[str], packages: Sequence[str]) -> str:
    """Return the command line that approves the scripts of PACKAGES, after the gate's COMMAND installed them."""
    folder = prefix(command)
    where = ["--prefix", folder] if folder else []
    return " ".join(["npm", *where, "install-scripts", "approve", *(packages or ["--all"])])


def prefix(command: Sequence[str]) -> str:
    """Return the folder option of COMMAND, if it is npm's; empty if it has none."""
    if tuple(command[:1]) != ("npm",):
        return ""
    named = next((second for first, second in itertools.pairwise(command) if first in {"--prefix", "-C"}), "")
    return next((part.partition("=")[2] for part in command if part.startswith("--prefix=")), named)
