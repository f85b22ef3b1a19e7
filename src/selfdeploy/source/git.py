"""Git's plumbing: its answers depend on the repository, and not on a person's settings."""

import os
from collections.abc import Mapping
from pathlib import Path

from selfdeploy import process
from selfdeploy.process import surroundings

OBJECTS = "SELFDEPLOY_OBJECTS"
"""The variable for further folders of git objects, like `GIT_ALTERNATE_OBJECT_DIRECTORIES`."""

CALM = ("color.ui=false", "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=false")
"""Settings of every call: no colours, no daemon, no hooks, unquoted names."""

PLAIN = (
    *("core.attributesFile=/dev/null", "core.autocrlf=false", "core.eol=lf", "core.safecrlf=false"),
    *("core.splitIndex=false", "core.symlinks=true", "core.untrackedCache=false"),
    "submodule.recurse=false",
)
"""Settings of a checkout with exactly the revision's bytes: its `.gitattributes` decide, and no settings."""


def run(
    folder: Path,
    *argv: str,
    settings: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float = 120,
) -> process.Outcome:
    """Run the git command line ARGV in FOLDER and return its outcome, whatever its exit code.

    SETTINGS (`name=value`) win over those of the person and of the repository.
    """
    env = surroundings.read("git")
    env |= {"GIT_ALTERNATE_OBJECT_DIRECTORIES": os.environ[OBJECTS]} if OBJECTS in os.environ else {}
    given = [part for setting in (*CALM, *settings) for part in ("-c", setting)]
    command = ["git", "-C", str(folder), *given, *argv]
    return process.run(command, timeout=timeout, env={**env, **(variables or {})}, stdin=stdin, check=False)
