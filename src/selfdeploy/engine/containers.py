"""Containers as `docker container inspect` describes them, validated."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import pydantic
from pydantic.alias_generators import to_pascal

from selfdeploy import errors
from selfdeploy.probes.witness import Replica

SERVER = "4000/tcp"
"""The server's port inside its container."""

Number = Annotated[str, pydantic.Field(pattern=r"^[0-9]{0,5}$")]
"""A port; empty if the engine is to choose one."""


class _Told(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, alias_generator=to_pascal, populate_by_name=True)


class _Config(_Told):
    env: list[str] | None = None
    hostname: str = ""
    image: str = ""
    labels: Mapping[str, str] | None = None


class _State(_Told):
    status: str = ""
    running: bool = False
    oom_killed: bool = pydantic.Field(default=False, alias="OOMKilled")
    started_at: str = ""
    finished_at: str = ""


class _Binding(_Told):
    host_ip: str
    host_port: Number


class _HostConfig(_Told):
    memory: int = 0
    port_bindings: Mapping[str, list[_Binding] | None] | None = None


class _Mount(_Told):
    source: str = ""
    destination: str = ""


class Container(_Told):
    """One container, running or not."""

    id: str
    name: str
    image: str
    created: str = "?"
    config: _Config = _Config()
    state: _State = _State()
    host_config: _HostConfig = _HostConfig()
    mounts: list[_Mount] | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.config.labels or {}

    @property
    def title(self) -> str:
        """Its name, as people type it."""
        return self.name.lstrip("/")

    @property
    def hash(self) -> str:
        """Compose's hash of the settings it was created with, from its label; empty without one."""
        return self.labels.get("com.docker.compose.config-hash", "")

    def replica(self, digests: frozenset[str]) -> Replica:
        """Return the container as a replica with the image DIGESTS."""
        return Replica(
            name=self.title,
            instance=self.config.hostname,
            digests=digests,
            state=self.state.status,
            why=self.why,
        )

    @property
    def why(self) -> str:
        """The reason why it, or a process in it, was killed; empty if the engine reports none."""
        if not self.state.oom_killed:
            return ""
        limit = f"its limit is {self.host_config.memory / 2**20:g} MiB; raise `memory` in deploy.toml"
        return f"out of memory: {limit if self.host_config.memory else 'the machine has too little'}"

    @property
    def published(self) -> list[tuple[str, int]]:
        """The host addresses and ports of its server; empty if it does not run."""
        bindings = (self.host_config.port_bindings or {}).get(SERVER) or ()
        return [(one.host_ip, int(one.host_port)) for one in bindings if self.state.running and one.host_port]


_LIST = pydantic.TypeAdapter(tuple[Container, ...])


def parse(data: bytes, where: str) -> tuple[Container, ...]:
    """Return the containers described by DATA, the output of `docker container inspect`.

    Raises:
        errors.CommandFailed: DATA has another shape; the message names WHERE, the environment.
    """
    try:
        return _LIST.validate_json(data.strip() or b"[]")
    except pydantic.ValidationError as exc:
        raise _foreign(exc, where) from exc


def check(data: object, where: str) -> Container:
    """Return the container described by DATA. Raises the errors of `parse`."""
    try:
        return Container.model_validate(data)
    except pydantic.ValidationError as exc:
        raise _foreign(exc, where) from exc


def _foreign(exc: pydantic.ValidationError, where: str) -> errors.CommandFailed:
    why = errors.complaint(exc)
    return errors.CommandFailed(f"{where}: docker container inspect: {why}", "is that a Docker engine? docker version")


def of(found: Sequence[Container], service: str) -> tuple[Container, ...]:
    """Return the containers in FOUND of the Compose service SERVICE."""
    return tuple(each for each in found if each.labels.get("com.docker.compose.service") == service)


def ways(found: Sequence[Container]) -> list[str]:
    """Return the addresses that the running containers in FOUND publish, whatever deploy.toml says."""
    return [address(*one) for container in found for one in container.published]


def address(bind: str, port: int) -> str:
    """Return the URL of a port published on the address BIND."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 -- all addresses are reached by loopback
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
