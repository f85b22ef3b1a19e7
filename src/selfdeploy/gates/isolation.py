"""Namespaces for gates: a gate sees only its own processes, and so nobody else's environment."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from selfdeploy import errors, process

Kind = Literal["auto", "namespaces", "off"]
"""Values of `gates.isolation`: isolate if the machine allows it, always, or never."""

NEEDED_BY_ROOT = "sys_admin,sys_ptrace,sys_rawio,sys_module"
"""Capabilities that a root gate loses: with them it could unmount its /proc and see the machine's."""

PATIENCE = 30.0
"""How long namespaces may take to start, in seconds."""


def prefix(user: int) -> list[str]:
    """Return the argv prefix that runs a command of USER (a numeric id) in its own namespaces.

    Mounts, processes and /proc are its own. A user other than root also needs a user namespace, in which nothing has
    more rights than the user.
    """
    own = ["unshare", *([] if user == 0 else ["--user", "--map-current-user"])]
    own += ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    own += [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))]
    if user == 0:
        drop = "".join(f",-{name}" for name in NEEDED_BY_ROOT.split(","))[1:]
        own += ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", "--"]
    return own


def find(kind: Kind) -> tuple[Sequence[str], str]:
    """Return the argv prefix for gates under KIND, and the machine's reason if it refuses namespaces.

    Raises:
        errors.ToolMissing: KIND is `namespaces`, and this machine does not allow them.
    """
    if kind == "off":
        return (), ""
    own = prefix(os.getuid())
    try:
        outcome = process.run([*own, "true"], timeout=PATIENCE, check=False)
        why = (outcome.complaint or f"exit code {outcome.code}") if outcome.code else ""
    except (errors.ToolMissing, errors.CommandTimedOut) as exc:
        why = exc.message
    if why and kind == "namespaces":
        raise errors.ToolMissing(
            f"gates.isolation: this machine gives the gates no namespaces of their own: {why}",
            'allow unprivileged user namespaces, or set gates.isolation = "off" in deploy.toml',
        )
    return (() if why else own), why
