"""The image builders: from an image's files to its digest in the registry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from selfdeploy import config, source
from selfdeploy.build.builders import nix
from selfdeploy.build.builders.buildkit import BuildKit
from selfdeploy.build.builders.command import Command
from selfdeploy.build.builders.docker import Docker
from selfdeploy.config.image import places

if TYPE_CHECKING:
    from selfdeploy.build.builders.kaniko import Container
    from selfdeploy.build.builders.pod import Pod


class Builder(Protocol):
    """Builds an image of a folder and pushes it; each of its processes has a deadline and ends with ours."""

    @property
    def own_files(self) -> bool:
        """True if the image's files are not ours, so that they must be verified."""

    def refuse_unready(self) -> None:
        """Raise unless the builder could build now.

        Raises:
            errors.BuilderUnready: a tool or service that it needs is missing, or does not answer.
        """

    def node(self, base: str) -> str:
        """Return the version of the Node that tini starts in the image BASE; empty if the builder does not try it.

        Raises:
            errors.CommandFailed: tini does not start it.
        """

    def push(self, root: Path, to: str, labels: Mapping[str, str], epoch: int, *, cached: bool = True) -> str:
        """Return the digest of the image of ROOT, built and pushed to TO, a repository and tag.

        Args:
            root: the folder whose content goes to the image's `/`, alone in its parent and named by its content; or the
                parent of such folders, from which the builder's Dockerfile copies them.
            to: the repository and tag.
            labels: the image's labels.
            epoch: the time of everything created, in seconds since 1970.
            cached: whether the results of an earlier build may be reused.

        Raises:
            errors.BuildFailed: it failed; the hint is the end of its output.
            errors.CommandTimedOut: its time ran out, and it was ended.
        """


def choose(
    project: config.Project, dockerfile: Path, arguments: Mapping[str, str], revision: source.Revision
) -> Builder:
    """Return PROJECT's builder, for DOCKERFILE with the build ARGUMENTS, or for REVISION's own flake."""
    image = project.image
    packing: dict[str, Any] = {"dockerfile": dockerfile, "arguments": arguments}
    match image.builder:
        case "docker":
            return Docker(**packing, timeout=image.timeout)
        case "buildkit":
            return BuildKit(**packing, timeout=image.timeout, address=image.buildkit.address, insecure=image.insecure)
        case "kaniko":
            from selfdeploy.build.builders.kaniko import Kaniko  # noqa: PLC0415 -- start-up is a feature

            place = _place(project)
            return Kaniko(**packing, image=image.kaniko.executor, place=place, insecure=image.insecure)
    argv = nix.argv(image, revision) if image.builder == "nix2container" else image.command.argv
    values = {"base": arguments.get("BASE", ""), "dockerfile": str(dockerfile), "revision": revision.commit}
    more = image.command.without_cache if image.builder == "command" else ()
    return Command(argv=argv, values=values, folder=project.root, timeout=image.timeout, without_cache=more)


def _place(project: config.Project) -> "Container | Pod":
    from selfdeploy.build.builders.kaniko import CAPABILITIES, CONFIG, Container  # noqa: PLC0415 -- start-up is a feature

    kaniko, timeout = project.image.kaniko, project.image.timeout
    if kaniko.environment is None:
        return Container(timeout=timeout)
    from selfdeploy.build.builders.pod import Pod  # noqa: PLC0415 -- start-up is a feature
    from selfdeploy.cluster import kubeconfig  # noqa: PLC0415 -- the same

    place = project.kubernetes(kaniko.environment)
    namespace = kaniko.namespace or place.namespace
    return Pod(
        place=place,
        kubeconfig=kubeconfig.find(project, kaniko.environment),
        namespace=namespace,
        timeout=timeout,
        capabilities=CAPABILITIES,
        logins=CONFIG,
    )


def wants_base(project: config.Project) -> bool:
    """Return True if the image of PROJECT is built on a base image that we name."""
    image = project.image
    if image.builder in {"command", "nix2container"}:
        return image.builder == "command" and "base" in places((*image.command.argv, *image.command.without_cache))
    return True


def has_engine(project: config.Project) -> bool:
    """Return True if building PROJECT's image needs the Docker engine of this machine anyway."""
    image = project.image
    return image.builder != "buildkit" and not (image.builder == "kaniko" and image.kaniko.environment is not None)


def recipe(project: config.Project) -> str:
    """Return the recipe of PROJECT's image if it is not a Dockerfile on a base image; else empty."""
    image = project.image
    if image.builder in {"command", "nix2container"}:
        return json.dumps([image.builder, image.command.argv, image.nix.copy_to])
    return ""
