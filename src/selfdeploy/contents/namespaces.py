"""Namespaces to try out the server of a staged tree, before there is an image."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import errors, process
from selfdeploy.contents import check

OWN = ("unshare", "--user", "--map-root-user", "--mount")
ALONE = ("--net", "--pid", "--fork", "--kill-child")
READ = "require('node:fs').readFileSync(process.argv[1])"

PLACE = re.compile(r"(?<![\w.-])/opt/sf(?=[/\s:;,\"']|$)")
"""The image's folder for the tree, in the value of a variable."""

TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """A file system that is read-only (TREE too) except for FOLDER and /tmp, and the image's user, 1000.

    If ALONE, the only network is loopback, and all processes end with the command.
    """

    tree: Path
    folder: Path
    alone: bool = False

    @property
    def prefix(self) -> list[str]:
        """The argv prefix that runs a command in them."""
        program = [sys.executable, "-I", str(Path(__file__).with_name("sandbox.py"))]
        own = [*OWN, *(ALONE if self.alone else ()), "--", *program]
        return [*own, "alone" if self.alone else "beside", str(self.tree), str(self.folder)]

    def find_obstacle(self, node: str, environment: Mapping[str, str]) -> str:
        """Return why NODE cannot run in them on this machine; empty if it can."""
        argv = [*self.prefix, node, "-e", READ, str(self.tree / check.LOADER)]
        try:
            outcome = process.run(argv, timeout=TIMEOUT, env=environment, check=False)
        except (errors.ToolMissing, errors.CommandTimedOut) as exc:
            return exc.message
        return (outcome.complaint or f"unshare: exit code {outcome.code}") if outcome.code else ""


def translate(variables: Mapping[str, str], tree: Path) -> dict[str, str]:
    """Return a container's VARIABLES for a server of TREE, with TREE in place of the image's /opt/sf."""
    return {name: PLACE.sub(lambda _: str(tree), value) for name, value in variables.items()}
