"""What deploy.toml says of an environment that Compose runs."""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

import pydantic

from selfdeploy.config.environment import Common
from selfdeploy.config.quantity import Limits
from selfdeploy.config.values import Name, Port, Value, Variable


class Secret(Value):
    """Where a secret's value is; exactly one of the two."""

    env: Variable | None = pydantic.Field(None, description="The caller's environment variable that holds it.")
    file: str | None = pydantic.Field(None, description="The file that holds it.")

    @pydantic.model_validator(mode="after")
    def _one(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("exactly one of 'env' and 'file' is needed")
        return self


class Compose(Limits, Common):
    """One place the release is rolled out to: a project on a Docker engine."""

    kind: Literal["compose"] = pydantic.Field(description="The runtime.")
    project: Name | None = pydantic.Field(None, description="The Compose project; `sf-` and the name when left out.")
    engine: str = pydantic.Field(
        "", description="The engine's address; DOCKER_HOST, or the current docker context, when empty."
    )
    bind: str = pydantic.Field("127.0.0.1", description="The address the port is published on.")
    port: Port = pydantic.Field(description="The port that is published.")
    url: str = pydantic.Field(
        "", pattern=r"^(|https?://[^\s]+)$", description="The public way to it; bind and port when empty."
    )
    secrets: dict[Variable, Secret] = pydantic.Field({}, description="Secret environment variables of the server.")

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
