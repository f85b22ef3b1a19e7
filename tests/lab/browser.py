"""A real Chromium, without a window."""

import os
import shutil
import tempfile
from pathlib import Path

from lab import children

MISSING = [] if shutil.which("chromium") else ["chromium"]
"""What a page needs to be seen in, and is not here."""

QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")


def _open(url: str, *wanted: str) -> str:
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="lab-browser-", ignore_cleanup_errors=True) as profile:
        argv = ["chromium", "--headless", "--disable-gpu", *sandbox, *QUIET, f"--user-data-dir={profile}"]
        return children.run([*argv, "--virtual-time-budget=8000", *wanted, url], timeout=90).decode()


def read(url: str) -> str:
    """Return the document that URL has become once its scripts have run."""
    return _open(url, "--dump-dom")


def take_picture(url: str, file: Path, *, width: int = 900, height: int = 640, dark: bool = False) -> None:
    """Write what URL looks like to FILE, a PNG; to somebody who prefers dark pages when DARK."""
    preference = ["--blink-settings=preferredColorScheme=0"] if dark else []
    _open(url, f"--screenshot={file}", f"--window-size={width},{height}", *preference)
