"""Unneeded trees: renamed at once, deleted after the result is out."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from selfdeploy import tree

LATER = "SELFDEPLOY_DELETES"
"""Set by a process that deletes such trees itself, after it has shown its own result."""


def put(folder: Path, parent: Path) -> None:
    """Move FOLDER aside within PARENT (same disk), for deletion at the end of this process or its parent."""
    if not os.path.lexists(folder):
        return
    # `tree.sweep` knows this name, and deletes the folder even if this process is killed.
    away = Path(tempfile.mkdtemp(dir=parent, prefix=f"aside-{os.getpid()}-"))
    folder.rename(away / folder.name)
    if LATER not in os.environ:
        atexit.register(shutil.rmtree, away, ignore_errors=True)


def delete_later(parent: Path) -> None:
    """Delete, at the end of this process, the trees that dead processes moved aside below PARENT."""
    if LATER not in os.environ:
        atexit.register(tree.sweep, parent, "aside")
