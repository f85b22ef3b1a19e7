"""An npm that needs no process: production needs all packages, and a package publishes all of its files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import contents


@dataclass(frozen=True, kw_only=True)
class Npm(contents.Npm):
    """Answers without npm: REMOVED are the packages that production does not need."""

    removed: frozenset[str] = frozenset()
    environment: dict[str, str] = field(default_factory=dict)

    def list_removed(self, export: Path) -> frozenset[str]:
        """Return what is said to go, whatever EXPORT is."""
        assert export.is_dir()
        return self.removed

    def prune(self, folder: Path) -> None:
        """Remove the links that are said to go."""
        for name in self.removed:
            (folder / name).unlink()

    def list_packed(self, parent: Path, folders: Sequence[str]) -> dict[str, list[str]]:
        """Return all files of each package."""
        return {
            folder: [
                os.path.relpath(os.path.join(here, name), parent / folder)  # noqa: PTH118
                for here, _, names in os.walk(parent / folder)
                for name in sorted(names)
            ]
            for folder in folders
        }
