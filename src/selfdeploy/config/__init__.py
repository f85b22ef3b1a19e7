"""deploy.toml as frozen values: every key checked by name, every default on its field."""

import contextlib
import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import pydantic

from selfdeploy import errors
from selfdeploy.config.compose import Compose
from selfdeploy.config.environment import Common
from selfdeploy.config.gates import REDEFINED, REQUIRED, UNAUDITED, Gate, Gates, Override
from selfdeploy.config.image import Image
from selfdeploy.config.kubernetes import Kubernetes
from selfdeploy.config.pattern import EXAMPLE, matches
from selfdeploy.config.quantity import Limits
from selfdeploy.config.trust import Trust
from selfdeploy.config.values import Address, Extra, Name, Port, Seconds, Value, Variable

__all__ = [
    "EXAMPLE",
    "FILE",
    "REDEFINED",
    "REQUIRED",
    "UNAUDITED",
    "Common",
    "Compose",
    "Environment",
    "Gate",
    "Gates",
    "Image",
    "Kubernetes",
    "Name",
    "Notify",
    "Override",
    "Port",
    "Probes",
    "Project",
    "Seconds",
    "Source",
    "Trust",
    "Value",
    "Variable",
    "Vega",
    "matches",
    "place",
]

FILE = "deploy.toml"
Kind = TypeVar("Kind", bound=Common)


def place(path: str, what: str) -> Path:
    """Return PATH, the value of the key WHAT; ~ is a home folder."""
    with contextlib.suppress(RuntimeError):
        if "\0" not in path:
            return Path(path).expanduser()
    raise errors.ConfigInvalid(f"{what}: {path!a}: no such place", "name a folder of this machine")


class Source(Value):
    """Where SF's checkout is."""

    path: str = pydantic.Field("examples/sf", description="The folder of SF's checkout; relative to deploy.toml.")
    repository: str = pydantic.Field(
        "", description="What the manifest names as the repository; the `origin` remote's address when empty."
    )
    submodules: Literal["refuse", "checkout"] = pydantic.Field(
        "refuse", description="What becomes of submodules: refused, or exported from the checkout's clones of them."
    )


class Probes(Value):
    """How an environment is asked until it settles."""

    consecutive: int = pydantic.Field(3, ge=1, le=100, description="How many rounds in a row have to agree.")
    interval: Seconds = pydantic.Field(0.25, description="Seconds from one round to the next.")
    timeout: Seconds = pydantic.Field(3.0, description="Seconds for one answer.")
    deadline: Seconds = pydantic.Field(60.0, description="Seconds until an environment that has not settled fails.")
    rpc: bool = pydantic.Field(default=False, description="Also call `ping` on the RPC endpoint, from inside.")
    extra: tuple[Extra, ...] = pydantic.Field(
        (), max_length=10, description="Paths that every replica also has to answer with 200, asked from inside."
    )
    extra_token: bool = pydantic.Field(
        default=True, description="Send the server's own token with them; on Kubernetes that needs `pods/exec`."
    )

    @pydantic.field_validator("extra")
    @classmethod
    def _apart(cls, extra: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({path for path in extra if extra.count(path) > 1}):
            raise ValueError(f"{', '.join(twice)}: listed twice")
        return extra

    def narrowed(self, answered: Collection[str] | None) -> "Probes":
        """Return the probes of a release that ANSWERED those extra paths when it was proven; all if None."""
        if answered is None:
            return self
        return self.model_copy(update={"extra": tuple(path for path in self.extra if path in answered)})

    @property
    def needs_token(self) -> bool:
        """True if a probe sends the server's own token, so that it can only be asked from inside."""
        return self.rpc or bool(self.extra and self.extra_token)


Environment = Annotated[Compose | Kubernetes, pydantic.Field(discriminator="kind")]
"""One place the release is rolled out to."""


class Notify(Value):
    """Who is told how a rollout ended; what fails there fails no release."""

    command: tuple[str, ...] = pydantic.Field(
        (), description="A command, as a list of arguments, that gets the news as JSON on its standard input."
    )
    webhook: Address = pydantic.Field("", description="An address that the same JSON is posted to; http or https.")


class Vega(Limits):
    """The shared server that runs from the live checkout."""

    name: Name = pydantic.Field("sf-vega", description="The container's name; there is one server of a name.")
    workspace: str = pydantic.Field("", description="The repository at /workspace; SF's checkout when empty.")
    workspaces: str = pydantic.Field(
        "", description="The folder at /workspaces, for switching; the parent of SF's checkout when empty."
    )
    state: str = pydantic.Field("~/.sf", description="The folder that is kept as the server's ~/.sf.")
    bind: str = pydantic.Field("127.0.0.1", description="The address of this host that the port is published on.")
    port: Port = pydantic.Field(4000, description="The port that is published.")
    access_control: Literal["none", "proxy", "firewall"] = pydantic.Field(
        "none", description="What guards a bind that everybody reaches; without it there is none such."
    )


class Project(Value):
    """The whole of deploy.toml."""

    source: Source = pydantic.Field(Source(), description="Where SF's checkout is.")
    gates: Gates = pydantic.Field(Gates(), description="How the gates run.")
    image: Image = pydantic.Field(Image(), description="What is built, and where it goes.")
    probes: Probes = pydantic.Field(Probes(), description="How an environment is asked until it settles.")
    environments: dict[Name, Environment] = pydantic.Field(
        {
            "test": Compose(kind="compose", port=4101, strategy="rolling"),
            "prod": Compose(kind="compose", port=4100, strategy="rolling"),
        },
        description="The environments, in order.",
    )
    trust: Trust = pydantic.Field(Trust(), description="Which signatures a release needs.")
    vega: Vega = pydantic.Field(Vega(), description="The shared server that runs from the live checkout.")
    notify: Notify = pydantic.Field(Notify(), description="Who is told how a rollout ended.")
    root: Path = pydantic.Field(Path(), exclude=True)
    origins: dict[str, str] = pydantic.Field({}, exclude=True)

    @property
    def work(self) -> Path:
        """The folder for working files; deleting it loses nothing but time."""
        return self.root / ".selfdeploy"

    @property
    def manifest_path(self) -> Path:
        """Where `inv manifest` writes the release manifest."""
        return self.root / "dist" / "sf-release-manifest.json"

    @property
    def tried(self) -> dict[str, str]:
        """The variables of a server that is tried before there is an image: the first environment's, no secrets."""
        first = next(iter(self.environments.values()), None)
        return {**(first.variables if first else {}), **self.gates.smoke_variables}

    def environment(self, name: str) -> Compose | Kubernetes:
        """Return the environment called NAME, or say which there are."""
        if name not in self.environments:
            near = difflib.get_close_matches(name, self.environments, n=1)
            raise errors.ConfigInvalid(
                f"{FILE}: environments: no environment named {name!r}",
                f"{f'did you mean {near[0]}? ' if near else ''}the environments are {', '.join(self.environments)}",
            )
        return self.environments[name]

    def before(self, name: str) -> tuple[str, ...]:
        """Return the environments that have to prove a release before NAME takes it."""
        after = self.environment(name).after
        if after is not None:
            return after
        names = list(self.environments)
        return tuple(names[: names.index(name)])

    def signed_by(self, name: str) -> tuple[str, ...]:
        """Return the keys that NAME accepts signatures of; one is enough. Empty: it verifies nothing."""
        return self.environment(name).signed_by or self.trust.valid

    def compose(self, name: str) -> Compose:
        """Return the environment NAME, which is of kind `compose`."""
        return self._of(name, Compose)

    def kubernetes(self, name: str) -> Kubernetes:
        """Return the environment NAME, which is of kind `kubernetes`."""
        return self._of(name, Kubernetes)

    def _of(self, name: str, kind: type[Kind]) -> Kind:
        environment = self.environment(name)
        if not isinstance(environment, kind):
            raise errors.ConfigInvalid(
                f"{FILE}: environments.{name}.kind: {environment.kind}; this is for {kind.__name__.lower()} only",
                "name another environment",
            )
        return environment

    def compose_project(self, name: str) -> str:
        """Return the Compose project of the environment NAME."""
        return self.compose(name).project or f"sf-{name}"

    def source_path(self) -> Path:
        """Return the folder of SF's checkout."""
        return self.place(self.source.path, "source.path").resolve()

    def place(self, path: str, key: str) -> Path:
        """Return the PATH that KEY of deploy.toml names: below the file's folder, or a home folder for ~."""
        return self.root / place(path, f"{FILE}: {key}")
