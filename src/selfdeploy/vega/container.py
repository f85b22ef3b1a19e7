"""The container of a vega server, read from the engine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pydantic

from selfdeploy import errors, render
from selfdeploy.engine.containers import Container
from selfdeploy.vega.settings import Settings, url

LABEL = f"{render.LABEL}.vega"
HOLDING = ("running", "paused", "restarting")
"""Container states in which its port and its files are in use."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server's container as read from the engine, started by any version, with Compose or `docker run`."""

    container: str
    hostname: str
    state: str
    why: str
    """The reason one of its processes was killed, if the engine reports one."""
    since: str
    image: str
    tag: str
    release: str
    extra: tuple[str, ...]
    """The extra paths it was started with."""
    settings: Settings | None
    """None if another version of this program wrote them in another format."""
    by_compose: bool
    address: str
    port: str
    """The published address and port; both empty if it is not published."""

    @property
    def url(self) -> str:
        """The server's URL; empty if it is not published."""
        return url(self.address, self.port) if self.port else ""


def read(there: Container, name: str) -> Server:
    """Return the server NAME read from the container THERE.

    Raises:
        errors.ContainerForeign: the container does not have the server's label.
    """
    labels, state = there.labels, there.state
    address, port = _published(there)
    if labels.get(LABEL) != name:
        raise errors.ContainerForeign(
            f"the container {name} is none of vega's", "remove it, or set vega.name in deploy.toml"
        )
    moment = state.finished_at if state.status in ("exited", "dead") else state.started_at
    return Server(
        container=there.id,
        hostname=there.config.hostname,
        state=state.status,
        why=there.why,
        since=moment[:19] + "Z",
        image=there.image,
        tag=there.config.image,
        release=labels.get(f"{render.LABEL}.release", ""),
        extra=_extra(labels),
        settings=settings_of(labels),
        by_compose="com.docker.compose.project" in labels,
        address=address,
        port=port,
    )


def _published(there: Container) -> tuple[str, str]:
    for bindings in (there.host_config.port_bindings or {}).values():
        for binding in bindings or ():
            return binding.host_ip or "0.0.0.0", binding.host_port  # noqa: S104 -- as the engine has it
    return "", ""


def _extra(labels: Mapping[str, str]) -> tuple[str, ...]:
    try:
        listed = json.loads(labels.get(f"{LABEL}.extra", "[]"))
    except (ValueError, RecursionError):
        listed = []
    return tuple(path for path in listed if isinstance(path, str)) if isinstance(listed, list) else ()


def settings_of(labels: Mapping[str, str]) -> Settings | None:
    """Return the settings in LABELS; None if they are missing or of another version."""
    try:
        return Settings.model_validate_json(labels.get(f"{LABEL}.settings", ""))
    except pydantic.ValidationError:
        return None
