"""What deploy.toml says of an environment, whatever runs it."""

from collections.abc import Iterable
from typing import Literal

import pydantic

from selfdeploy.config.trust import KeyFile
from selfdeploy.config.values import Seconds, Text, Value, Variable

RESERVED = ("HOME", "PATH", "SF_RELEASE_MANIFEST", "SF_WEB_PROJECT_CWD", "SF_WEB_HOST", "SF_WEB_PORT")
"""What the contract says of the server's environment, and what runs the runtime's command."""


class Common(Value):
    """What every kind of environment has."""

    kind: str = pydantic.Field(description="The runtime.")
    after: tuple[str, ...] | None = pydantic.Field(
        None, description="The environments that have to prove a release first; all before it when left out."
    )
    variables: dict[Variable, Text] = pydantic.Field({}, description="Environment variables of the server.")
    authority: Literal["any", "forgejo"] = pydantic.Field(
        "any", description="Who built a release, as its signed evidence says; `forgejo` needs `trust.keys`."
    )
    signed_by: tuple[KeyFile, ...] = pydantic.Field(
        (), description="The keys of `trust.keys` of which one has to have signed a release; any of them when left out."
    )
    grace: Seconds = pydantic.Field(15.0, description="Seconds between SIGTERM and SIGKILL.")

    def refuse_names(self, secrets: Iterable[str], prefixes: tuple[str, ...] = ()) -> None:
        """Raise when a variable or one of SECRETS has a name that is taken, or both have the same."""
        names = {*self.variables, *secrets}
        taken = sorted(name for name in names if name in RESERVED or name.startswith(prefixes))
        if taken:
            raise ValueError(f"{', '.join(taken)}: not to be set here; the server or what runs it has its own")
        if twice := sorted(set(self.variables) & set(secrets)):
            raise ValueError(f"{', '.join(twice)}: both a variable and a secret")
