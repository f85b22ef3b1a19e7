"""The image that runs a live checkout: what the repositories need, for the one person whose they are."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import python_on_whales
from python_on_whales.exceptions import DockerException

from selfdeploy import base, config, errors, process, shipped
from selfdeploy.vega import translate
from selfdeploy.vega.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Image:
    """What names the image, which is what it is made from; and what it is built on."""

    tag: str
    base: str


def choose(project: config.Project, settings: Settings) -> Image:
    """Return what names the image of a server with SETTINGS, and have its base on the engine.

    Raises:
        errors.BuildFailed: the base is not there and could not be made.
    """
    reference = project.image.base
    if not reference:
        reference = base.provide(project, "base")
    dockerfile = shipped.find(project, "docker/Dockerfile.source-server").read_bytes()
    parts = (hashlib.sha256(dockerfile).hexdigest(), reference, str(settings.uid), str(settings.gid))
    recipe = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Image(tag=f"{project.vega.name}:{recipe}", base=reference)


def identify(reference: str) -> str:
    """Return the id of the image that REFERENCE names on the engine; empty when there is none."""
    told = process.run(["docker", "image", "inspect", "--format", "{{.Id}}", reference], timeout=60, check=False)
    return "" if told.code else told.text


def build(rendered: str, timeout: float) -> str:
    """Return the id of the image that RENDERED names; made by buildx, or by the engine's own builder without it.

    Raises:
        errors.BuildFailed: it was not built within TIMEOUT seconds; the end of what the builder said is the hint.
    """
    wanted = translate.build(rendered)
    found = identify(wanted.tag)
    if found:
        return found
    client = python_on_whales.DockerClient(client_call=[*process.guard(timeout), "docker"])
    try:
        if process.run(["docker", "buildx", "version"], timeout=20, check=False).code:
            client.legacy_build(
                wanted.context, file=wanted.file, build_args=wanted.args, network=wanted.network, tags=wanted.tag
            )
        else:
            client.buildx.build(
                wanted.context,
                file=wanted.file,
                build_args=dict(wanted.args),
                network=wanted.network,
                tags=wanted.tag,
                # The engine's own builder, named as the context is: it alone has the base image.
                builder=process.run(["docker", "context", "show"], timeout=20).text,
                load=True,
                progress=False,
                provenance=False,
            )
    except DockerException as exc:
        tail = "\n".join((exc.stderr or "").strip().splitlines()[-15:])
        raise errors.BuildFailed(f"{wanted.tag}: {Path(wanted.file).name} was not built", tail or str(exc)) from exc
    return identify(wanted.tag)
