"""Namespaces in which the server of a staged tree is tried out before there is an image."""

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
    """The file system read-only, TREE too, but for FOLDER and /tmp, and the image's user, 1000.

    ALONE, there is no network but loopback, and all processes end with the command.
    """

    tree: Path
    folder: Path
    alone: bool = False

    @property
    def prefix(self) -> list[str]:
        """The argv prefix of a command that runs in them."""
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
    """Return VARIABLES of a container for a server of TREE: /opt/sf, where the image has it, becomes TREE."""
    return {name: PLACE.sub(lambda _: str(tree), value) for name, value in variables.items()}
