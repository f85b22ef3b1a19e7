"""The image for a live checkout: the repositories' tools, and a user with their owner's ids."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import config, errors, shipped
from selfdeploy.build import base
from selfdeploy.engine import Engine
from selfdeploy.vega import translate
from selfdeploy.vega.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image: the tag, derived from its inputs, and the base image's reference."""

    tag: str
    base: str


def choose(project: config.Project, settings: Settings, tell: Callable[[str], None] = lambda _: None) -> Image:
    """Return the image for a server with SETTINGS.

    Without `image.base` in deploy.toml, build the default base if it is missing; TELL about that build.

    Raises:
        errors.BuildFailed: the default base is missing, and its build failed.
    """
    reference = project.image.base
    if not reference:
        reference = base.provide(project, "base", tell)
    dockerfile = shipped.find(project, "docker/Dockerfile.source-server").read_bytes()
    parts = (hashlib.sha256(dockerfile).hexdigest(), reference, str(settings.uid), str(settings.gid))
    recipe = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Image(tag=f"{project.vega.name}:{recipe}", base=reference)


def identify(engine: Engine, reference: str) -> str:
    """Return the id of the image REFERENCE on ENGINE; empty if it is missing."""
    return str((engine.inspect("image", reference) or {}).get("Id", ""))


def build(engine: Engine, rendered: str, timeout: float, tell: Callable[[str], None]) -> str:
    """Return the id of RENDERED's image on ENGINE, building it if it is missing; TELL about the build.

    The builder is buildx if it is installed, else the engine's own.

    Raises:
        errors.BuildFailed: the build failed or took over TIMEOUT seconds; the hint is the end of the builder's output.
    """
    wanted = translate.build(rendered)
    found = identify(engine, wanted.tag)
    if found:
        return found
    tell(f"building the image {wanted.tag}")
    from python_on_whales.exceptions import DockerException  # noqa: PLC0415 -- start-up is a feature

    try:
        if engine.run("buildx", "version", timeout=20, check=False).code:
            _build_without_buildx(engine, wanted, timeout)
        else:
            engine.client(timeout).buildx.build(
                wanted.context,
                file=wanted.file,
                build_args=dict(wanted.args),
                network=wanted.network,
                tags=wanted.tag,
                builder=engine.builder,
                load=True,
                progress=False,
                provenance=False,
            )
    except DockerException as exc:
        tail = "\n".join((exc.stderr or "").strip().splitlines()[-15:])
        raise errors.BuildFailed(f"{wanted.tag}: {Path(wanted.file).name} was not built", tail or str(exc)) from exc
    return identify(engine, wanted.tag)


def _build_without_buildx(engine: Engine, wanted: translate.Build, timeout: float) -> None:
    # Without `quiet`, the output would be printed among our own results.
    engine.client(timeout).legacy_build(
        wanted.context,
        file=wanted.file,
        build_args=wanted.args,
        network=wanted.network,
        tags=wanted.tag,
        quiet=True,
    )
