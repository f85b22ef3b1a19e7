"""What deploy.toml says of the image and of what builds it."""

import re
from typing import Literal

import pydantic

from selfdeploy.config.kubernetes import Label
from selfdeploy.config.values import Name, Seconds, Value

PLACE = re.compile(r"\{([a-z_]+)\}")
PLACES = (
    "base",
    "digest_file",
    "dockerfile",
    "epoch",
    "labels_file",
    "repository",
    "revision",
    "root",
    "tag",
    "to",
)
"""What a command line may have in braces."""


def places(argv: tuple[str, ...]) -> set[str]:
    """Return the names in braces in ARGV."""
    return {name for part in argv for name in PLACE.findall(part)}


class BuildKit(Value):
    """The builder `buildkit`."""

    address: str = pydantic.Field("", description="The address of buildkitd; BUILDKIT_HOST when empty.")


class Kaniko(Value):
    """The builder `kaniko`."""

    executor: str = pydantic.Field(
        "",
        pattern=r"^(|[^@\s]+@sha256:[0-9a-f]{64})$",
        description="The executor's image by digest; needed there.",
    )
    environment: Name | None = pydantic.Field(
        None,
        description="The Kubernetes environment in whose cluster it runs, as a pod; a container when left out.",
    )
    namespace: Label | None = pydantic.Field(
        None, description="The namespace that the pod is in; the environment's own when left out."
    )


class Nix(Value):
    """The builder `nix2container`."""

    copy_to: str = pydantic.Field(
        "image.copyTo",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="What of SF's flake copies the image to where its arguments say.",
    )


class Command(Value):
    """The builder `command`."""

    argv: tuple[str, ...] = pydantic.Field((), description="The command line, with places in braces.")
    without_cache: tuple[str, ...] = pydantic.Field(
        (), description="What is added to it where the image has to be built without a cache."
    )

    @pydantic.model_validator(mode="after")
    def _known(self) -> "Command":
        wanted = places((*self.argv, *self.without_cache))
        if unknown := sorted(wanted - set(PLACES)):
            raise ValueError(f"no place named {', '.join(unknown)}; there are {', '.join(PLACES)}")
        if self.argv and "digest_file" not in wanted:
            raise ValueError("argv: no {digest_file} in it, the file where the digest of what was pushed has to be")
        return self


class Image(Value):
    """What is built, and where it goes."""

    repository: str = pydantic.Field(
        "127.0.0.1:5000/sf",
        pattern=r"^([a-z0-9.\-]+|\[[0-9a-f:]+\])(:[0-9]+)?/[a-z0-9][a-z0-9._/-]*$",
        description="The image repository, HOST[:PORT]/NAME, without tag or digest.",
    )
    base: str = pydantic.Field(
        "",
        pattern=r"^(|[^@\s]+@sha256:[0-9a-f]{64})$",
        description="The base image by digest; it has node and tini. When empty, `inv base` builds one.",
    )
    front: str = pydantic.Field(
        "",
        pattern=r"^(|[^@\s]+@sha256:[0-9a-f]{64})$",
        description="The image of a rolling environment's front, by digest: docker/Dockerfile.front, built elsewhere. "
        "When empty, it is built from Debian's package where it is needed.",
    )
    include: tuple[str, ...] = pydantic.Field(
        (), description="What goes into the image instead of the root package's `files`: docs/contents.md."
    )
    foreign: bool = pydantic.Field(
        default=False, description="Accept an image built elsewhere whose files differ from the gated tree's."
    )
    insecure: bool = pydantic.Field(default=False, description="Speak http to a registry that is not on loopback.")
    timeout: Seconds = pydantic.Field(900.0, description="Seconds for the build, and again for the push.")
    builder: Literal["docker", "buildkit", "kaniko", "nix2container", "command"] = pydantic.Field(
        "docker", description="What builds it: docs/builders.md."
    )
    buildkit: BuildKit = pydantic.Field(BuildKit(), description="The builder `buildkit`.")
    kaniko: Kaniko = pydantic.Field(Kaniko(), description="The builder `kaniko`.")
    nix: Nix = pydantic.Field(Nix(), description="The builder `nix2container`.")
    command: Command = pydantic.Field(Command(), description="The builder `command`.")

    @pydantic.model_validator(mode="after")
    def _enough(self) -> "Image":
        if self.builder == "kaniko" and not self.kaniko.executor:
            raise ValueError("the builder kaniko needs its executor's image: kaniko.executor")
        if self.builder == "command" and not self.command.argv:
            raise ValueError("the builder command needs a command line: command.argv")
        return self
