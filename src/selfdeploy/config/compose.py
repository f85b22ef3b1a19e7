"""What deploy.toml says of an environment that Compose runs."""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

import pydantic

from selfdeploy.config.environment import Common
from selfdeploy.config.quantity import Limits
from selfdeploy.config.values import Name, Port, Value, Variable

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What Docker takes as the name of a network or volume."""


class Secret(Value):
    """Where a secret's value is; exactly one of the two."""

    env: Variable | None = pydantic.Field(None, description="The caller's environment variable that holds it.")
    file: str | None = pydantic.Field(None, description="The file that holds it.")

    @pydantic.model_validator(mode="after")
    def _one(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("exactly one of 'env' and 'file' is needed")
        return self


class Traefik(Value):
    """The site's own Traefik, whose file provider watches a volume of the engine."""

    network: str = pydantic.Field(pattern=NAME, description="The network that Traefik is on; the replicas join it.")
    volume: str = pydantic.Field(pattern=NAME, description="The volume that its file provider watches.")
    rule: str = pydantic.Field(min_length=1, description="The router's rule, as in Host(`sf.example.org`).")
    entrypoints: tuple[Name, ...] = pydantic.Field((), description="The entry points; Traefik's default when empty.")
    tls: bool = pydantic.Field(default=False, description="Whether the router speaks TLS.")
    resolver: str = pydantic.Field("", description="The certificate resolver, with `tls`.")

    @pydantic.model_validator(mode="after")
    def _certificates(self) -> "Traefik":
        if self.resolver and not self.tls:
            raise ValueError("resolver: needs tls = true")
        return self


class Compose(Limits, Common):
    """One place the release is rolled out to: a project on a Docker engine."""

    kind: Literal["compose"] = pydantic.Field(description="The runtime.")
    project: Name | None = pydantic.Field(None, description="The Compose project; `sf-` and the name when left out.")
    engine: str = pydantic.Field(
        "", description="The engine's address; DOCKER_HOST, or the current docker context, when empty."
    )
    bind: str = pydantic.Field("127.0.0.1", description="The address the port is published on.")
    strategy: Literal["rolling", "recreate"] = pydantic.Field(
        "recreate",
        description="`rolling`: the new replica is proven before the first request reaches it, and none is lost; "
        "`recreate`: the old one stops before the new one starts, for a server that must be alone on its `~/.sf`.",
    )
    front: Literal["haproxy", "traefik"] = pydantic.Field(
        "haproxy", description="With `rolling`, what has the public port and sends requests to the live replica."
    )
    traefik: Traefik | None = pydantic.Field(None, description='The site\'s Traefik, with `front = "traefik"`.')
    port: Port | None = pydantic.Field(
        None,
        validate_default=True,
        description="The port that is published; needed unless the site's Traefik is the front.",
    )
    url: str = pydantic.Field(
        "", pattern=r"^(|https?://[^\s]+)$", description="The public way to it; bind and port when empty."
    )
    secrets: dict[Variable, Secret] = pydantic.Field({}, description="Secret environment variables of the server.")

    @pydantic.field_validator("port")
    @classmethod
    def _published(cls, port: int | None, info: pydantic.ValidationInfo) -> int | None:
        if (info.data.get("front") == "traefik") != (port is None):
            raise ValueError("missing" if port is None else "nothing is published where Traefik is the front")
        return port

    @pydantic.field_validator("bind")
    @classmethod
    def _address(cls, bind: str) -> str:
        ipaddress.ip_address(bind)
        return bind

    @pydantic.field_validator("url")
    @classmethod
    def _place(cls, url: str) -> str:
        urlsplit(url)
        return url

    @pydantic.model_validator(mode="after")
    def _names(self) -> "Compose":
        self.refuse_names(self.secrets, ("DOCKER_", "COMPOSE_"))
        return self

    @pydantic.model_validator(mode="after")
    def _reached(self) -> "Compose":
        if (self.front == "traefik") != (self.traefik is not None):
            raise ValueError('traefik: given together with front = "traefik", and only with it')
        if self.traefik and self.strategy != "rolling":
            raise ValueError('front: "traefik" needs strategy = "rolling"')
        if self.traefik and not self.url:
            raise ValueError("url: needed with Traefik: the address that it serves this environment at")
        return self

    @property
    def rolls(self) -> bool:
        """Whether the new replica is proven beside the old one."""
        return self.strategy == "rolling"
