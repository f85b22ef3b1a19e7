"""Install scripts that npm did not run, from a gate's log; pure."""

import itertools
import re
from collections.abc import Sequence

BLOCKED = re.compile(r"npm (?:warn|error) .*install scripts blocked because they are not covered by allowScripts")
STRICT = re.compile(r"npm error --strict-allow-scripts: [0-9]+ package")
PACKAGE = re.compile(r"npm (?:warn install-scripts|error)   ((?:@[^\s@/]+/)?[^\s@]+)(?:@\S+)? \(.*")


def blocked(lines: Sequence[str], code: int) -> list[str] | None:
    """Return the packages whose install scripts npm 12 blocked, sorted; None if it blocked none.

    LINES are the log of a gate that ended with CODE: npm says so and succeeds, or, if it is strict, fails for it.
    """
    if not any((STRICT if code else BLOCKED).match(line) for line in lines):
        return None
    return sorted({found[1] for line in lines if (found := PACKAGE.fullmatch(line))})


def approval(command: Sequence[str], packages: Sequence[str]) -> str:
    """Return the command line that approves the scripts of PACKAGES, where COMMAND, the gate's, has installed them."""
    folder = next((second for first, second in itertools.pairwise(command) if first in {"--prefix", "-C"}), "")
    folder = next((part.partition("=")[2] for part in command if part.startswith("--prefix=")), folder)
    where = ["--prefix", folder] if folder and command[:1] == ("npm",) else []
    return " ".join(["npm", *where, "install-scripts", "approve", *(packages or ["--all"])])
