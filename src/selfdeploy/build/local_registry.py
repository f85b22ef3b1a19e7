"""A local registry for a site without one: Debian's, in a container on loopback, with its data in a named volume."""

import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from selfdeploy import config, engine, errors, process, registry
from selfdeploy.build import base


def _address(project: config.Project) -> tuple[str, int] | None:
    parts = urlsplit(f"//{project.image.repository}")
    try:
        return (parts.hostname or "", parts.port) if parts.port else None
    except ValueError:
        return None


def is_wanted(project: config.Project) -> bool:
    """Return True if PROJECT's repository is on loopback, and nothing answers there, or our registry not yet.

    Raises:
        errors.SelfdeployError: another server than a registry answers there, or the registry refuses us.
    """
    address = _address(project)
    if address is None or not registry.is_loopback(project.image.repository.partition("/")[0]):
        return False
    try:
        with socket.create_connection(address, timeout=2):
            _connect(project).ping()
    except OSError:
        return True
    except errors.RegistryUnreachable:  # its port is open before it answers: another release has just started it
        return _exists(_container(address[1]))
    return False


def _connect(project: config.Project) -> registry.Registry:
    return registry.connect(registry.Reference.parse(project.image.repository))


def _container(port: int) -> str:
    return f"selfdeploy-registry-{port}"


def _exists(name: str) -> bool:
    return process.run(["docker", "container", "inspect", name], timeout=30, check=False).code == 0


def _make(name: str, publish: str, image: str) -> None:
    """Create the container NAME of IMAGE, at PUBLISH, unless it exists; safe to call concurrently.

    The engine reserves a name some time before it shows the container.
    """
    argv = ["docker", "run", "--detach", "--name", name, "--restart", "unless-stopped", "--read-only"]
    argv += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--publish", publish]
    argv += ["--volume", f"{name}:/var/lib/registry", image]
    ends = time.monotonic() + 60
    while not _exists(name):
        try:
            process.run(argv, timeout=60)
        except errors.CommandFailed as exc:
            if not _exists(name) and ("is already in use by container" not in exc.hint or time.monotonic() > ends):
                raise
            time.sleep(0.1)


def ensure(project: config.Project, tell: Callable[[str], None]) -> None:
    """Start the local registry, and wait until it answers.

    Raises:
        errors.ConfigInvalid: the engine is on another host, or the repository is not at a port of this one.
        errors.CommandFailed: the engine could not start it.
        errors.RegistryUnreachable: it does not answer within 20 s.
    """
    address = _address(project)
    if address is None:
        raise errors.ConfigInvalid(
            f"deploy.toml: image.repository: {project.image.repository} is not on this machine at a port",
            "a local registry is 127.0.0.1:PORT/NAME",
        )
    engine.refuse_other_loopback(project.image.repository)
    host, port = address
    name = _container(port)
    publish = f"[{host}]:{port}:5000" if ":" in host else f"127.0.0.1:{port}:5000"
    if not _exists(name):
        _make(name, publish, base.provide(project, "registry", tell))
    process.run(["docker", "start", name], timeout=60)  # has no effect if it runs; fails if the port is taken
    tell(f"started the local registry at {host}:{port}")
    store = _connect(project)
    ends = time.monotonic() + 20
    while True:
        try:
            return store.ping()
        except errors.RegistryUnreachable:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
