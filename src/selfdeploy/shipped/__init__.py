"""Our own files (templates/, docker/, the vega profile); a project can replace each of them."""

from pathlib import Path
from typing import Protocol

PACKAGE = Path(__file__).parents[1], Path(__file__).parents[3]
"""The folders of our own files: the installed package, or else a checkout of ours."""


class Rooted(Protocol):
    """A project, as far as its files are concerned."""

    @property
    def root(self) -> Path:
        """The folder of deploy.toml."""


def places(project: Rooted) -> tuple[Path, ...]:
    """Return the folders to search, in order: the project first."""
    return project.root, *PACKAGE


def find(project: Rooted, name: str) -> Path:
    """Return the file NAME (such as `docker/Dockerfile.sf-server`), the project's own or else ours.

    Each file is looked up alone: a project's `docker/` folder needs only the files it replaces.
    """
    return _first(places(project), name)


def own(name: str) -> Path:
    """Return our own file NAME, even if the project replaces it."""
    return _first(PACKAGE, name)


def _first(folders: tuple[Path, ...], name: str) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(name)
