"""Trees that nobody needs any more: renamed at once, deleted when the result is out."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from selfdeploy import tree

LATER = "SELFDEPLOY_DELETES"
"""Set by a process that deletes them itself once it has shown its own result."""


def put(folder: Path, parent: Path) -> None:
    """Move FOLDER aside in PARENT, on the same disk, to be deleted when this process ends, or its parent."""
    if not os.path.lexists(folder):
        return
    # The name is one that `tree.sweep` knows: it is deleted also when this process is killed.
    away = Path(tempfile.mkdtemp(dir=parent, prefix=f"aside-{os.getpid()}-"))
    folder.rename(away / folder.name)
    if LATER not in os.environ:
        atexit.register(shutil.rmtree, away, ignore_errors=True)


def delete_later(parent: Path) -> None:
    """Have what processes that are gone put aside below PARENT deleted at the end of this process."""
    if LATER not in os.environ:
        atexit.register(tree.sweep, parent, "aside")
