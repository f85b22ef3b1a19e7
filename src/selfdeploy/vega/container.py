"""The container of a vega server, as the engine has it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pydantic

from selfdeploy import errors, render
from selfdeploy.environments.containers import Container
from selfdeploy.vega.settings import Settings, url

LABEL = f"{render.LABEL}.vega"
HOLDING = ("running", "paused", "restarting")
"""States in which a container has its port, and its files."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server's container as the engine has it, whoever started it, and however."""

    container: str
    hostname: str
    state: str
    why: str
    """Why a process of it was killed, where the engine says so."""
    since: str
    image: str
    tag: str
    release: str
    extra: tuple[str, ...]
    """The extra paths that it was started to answer."""
    settings: Settings | None
    """None when another version of this program started it, and wrote them otherwise."""
    by_compose: bool
    address: str
    port: str
    """Where it is published; empty when it is not."""

    @property
    def url(self) -> str:
        """Where it answers while it runs; empty when it is not published."""
        return url(self.address, self.port) if self.port else ""


def read(there: Container, name: str) -> Server:
    """Return the server NAME, which is the container that is THERE.

    Raises:
        errors.ContainerForeign: it is none of ours.
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
    """Return the settings that LABELS hold; None when they hold none that this version knows."""
    try:
        return Settings.model_validate_json(labels.get(f"{LABEL}.settings", ""))
    except pydantic.ValidationError:
        return None
