"""What the workers of one test run share: made by the first of them that needs it, removed after the last."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

FOLDER = "SELFDEPLOY_TEST_RUN"
"""The variable that names the folder of the test run to its workers."""


def begin() -> None:
    """Make the folder of the test run."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="selfdeploy-tests-")


def folder() -> Path:
    """Return the folder of the test run."""
    return Path(os.environ[FOLDER])


def end() -> None:
    """Remove the folder of the test run."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def once(name: str, make: Callable[[], str]) -> str:
    """Return what MAKE returned in the first worker that asked for NAME; the others wait for it."""
    place = folder() / name
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            place.write_text(make())
    return place.read_text()


def made(name: str) -> str:
    """Return what `once` has under NAME; empty when nobody asked for it, or it could not be made."""
    place = folder() / name
    return place.read_text() if place.exists() else ""
