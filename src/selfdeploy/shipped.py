"""The files that come with us (templates/, docker/, the vega profile): each is the project's own where it has one."""

from pathlib import Path

from selfdeploy import config


def places(project: config.Project) -> tuple[Path, ...]:
    """Return where such a file is looked for, in order: the project, the installed package, a checkout of ours."""
    return project.root, Path(__file__).parent, Path(__file__).parents[2]


def find(project: config.Project, name: str) -> Path:
    """Return the file NAME, as in `docker/Dockerfile.sf-server`: the project's own, or else the one that comes with us.

    File by file: a project with a `docker/` folder of its own goes on getting the files that it lacks there.
    """
    for place in places(project):
        if (place / name).is_file():
            return place / name
    raise FileNotFoundError(name)
