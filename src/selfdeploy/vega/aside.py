"""The previous server's container, kept under another name if this version cannot recreate it."""

from selfdeploy.vega.container import LABEL
from selfdeploy.vega.engine import Engine


def name(engine: Engine) -> str:
    """Return the name of the container set aside on ENGINE."""
    return f"{engine.name}-before"


def is_there(engine: Engine) -> bool:
    """Return whether ENGINE has a container set aside for this server."""
    there = engine.container(name(engine))
    return there is not None and there.labels.get(LABEL) == engine.name


def put(engine: Engine) -> None:
    """Rename the server's stopped container to set it aside."""
    engine.run("container", "rename", engine.name, name(engine))


def bring_back(engine: Engine) -> None:
    """Give the container its name back, replacing any container that has it now, and start it.

    If no container was set aside yet, start the one under the server's own name.
    """
    if is_there(engine):
        engine.remove()
        engine.run("container", "rename", name(engine), engine.name)
    engine.run("container", "start", engine.name)


def drop(engine: Engine) -> None:
    """Remove the container set aside, if there is one."""
    if is_there(engine):
        engine.run("container", "rm", "--force", "--volumes", name(engine))


def recover(engine: Engine) -> None:
    """Rename the container set aside by a killed command back, or remove it if the server has another container."""
    if is_there(engine) and engine.found() is None:
        engine.run("container", "rename", name(engine), engine.name)
    else:
        drop(engine)
