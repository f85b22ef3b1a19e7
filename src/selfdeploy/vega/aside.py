"""The container of a server that this version could not start anew, kept under another name until it is not needed."""

from selfdeploy.vega.container import LABEL
from selfdeploy.vega.engine import Engine


def name(engine: Engine) -> str:
    """Return what the container that is set aside on ENGINE is called."""
    return f"{engine.name}-before"


def is_there(engine: Engine) -> bool:
    """Say whether a container of the server is set aside on ENGINE."""
    there = engine.container(name(engine))
    return there is not None and there.labels.get(LABEL) == engine.name


def put(engine: Engine) -> None:
    """Set the server's container, which has ended, aside."""
    engine.run("container", "rename", engine.name, name(engine))


def bring_back(engine: Engine) -> None:
    """Start the container that is set aside, or was to be, as the server; what has its name by now is removed."""
    if is_there(engine):
        engine.remove()
        engine.run("container", "rename", name(engine), engine.name)
    engine.run("container", "start", engine.name)


def drop(engine: Engine) -> None:
    """Remove the container that is set aside; nothing when there is none."""
    if is_there(engine):
        engine.run("container", "rm", "--force", "--volumes", name(engine))


def recover(engine: Engine) -> None:
    """Give the container that a killed command set aside its name back; remove it where another has that by now."""
    if is_there(engine) and engine.found() is None:
        engine.run("container", "rename", name(engine), engine.name)
    else:
        drop(engine)
