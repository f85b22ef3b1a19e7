"""Git, asked by its plumbing: what it answers depends on the repository, and not on the settings of a person."""

import os
from collections.abc import Mapping
from pathlib import Path

from selfdeploy import process, surroundings

OBJECTS = "SELFDEPLOY_OBJECTS"
"""The variable that names further folders of git objects, as `GIT_ALTERNATE_OBJECT_DIRECTORIES` does."""

CALM = ("color.ui=false", "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=false")
"""Settings of every call: no colours, no daemon, no hooks, names as they are."""

PLAIN = (
    *("core.attributesFile=/dev/null", "core.autocrlf=false", "core.eol=lf", "core.safecrlf=false"),
    *("core.splitIndex=false", "core.symlinks=true", "core.untrackedCache=false"),
    "submodule.recurse=false",
)
"""Settings of a checkout whose bytes are the revision's alone: its `.gitattributes` decide, and no settings."""


def run(
    folder: Path,
    *argv: str,
    settings: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float = 120,
) -> process.Outcome:
    """Run the git command line ARGV in FOLDER and return how it went, whatever its exit code.

    SETTINGS (`name=value`) win over those of the person and of the repository.
    """
    env = surroundings.read("git")
    env |= {"GIT_ALTERNATE_OBJECT_DIRECTORIES": os.environ[OBJECTS]} if OBJECTS in os.environ else {}
    given = [part for setting in (*CALM, *settings) for part in ("-c", setting)]
    command = ["git", "-C", str(folder), *given, *argv]
    return process.run(command, timeout=timeout, env={**env, **(variables or {})}, stdin=stdin, check=False)
