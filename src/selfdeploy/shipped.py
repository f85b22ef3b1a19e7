"""The files that come with us (templates/, docker/, the vega profile): each is the project's own where it has one."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selfdeploy import config  # start-up is a feature

PACKAGE = Path(__file__).parent, Path(__file__).parents[2]
"""Where our own are: in the installed package, or else in a checkout of ours."""


def places(project: "config.Project") -> tuple[Path, ...]:
    """Return where such a file is looked for, in order: the project first."""
    return project.root, *PACKAGE


def find(project: "config.Project", name: str) -> Path:
    """Return the file NAME, as in `docker/Dockerfile.sf-server`: the project's own, or else the one that comes with us.

    File by file: a project with a `docker/` folder of its own goes on getting the files that it lacks there.
    """
    return _first(places(project), name)


def own(name: str) -> Path:
    """Return the file NAME that comes with us, whatever a project has."""
    return _first(PACKAGE, name)


def _first(folders: tuple[Path, ...], name: str) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(name)
