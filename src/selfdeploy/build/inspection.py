"""Checks of an image in the registry: its labels, command line, user and files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfdeploy import contents, errors, registry, render, source, tree
from selfdeploy.build.builders import layering
from selfdeploy.registry import layers

OCI = "org.opencontainers.image"
REVISION = f"{OCI}.revision"
BASE = f"{OCI}.base.name"
CREATED = f"{OCI}.created"
TREE = f"{render.LABEL}.tree"

LINE = ("node", "/opt/sf/dist/loader.js", "server", "/workspace", "--host", "0.0.0.0", "--port", "4000")  # noqa: S104
"""The contract's command line. It listens on all addresses of the container; the environment's settings publish it."""


def labels(revision: source.Revision, ship: Path, digest: str) -> dict[str, str]:
    """Return the labels that the image of the gated tree SHIP, with the hash DIGEST, must have."""
    package = json.loads((ship / "package.json").read_bytes())
    return {
        REVISION: revision.commit,
        f"{OCI}.source": revision.repository,
        f"{OCI}.title": str(package.get("name", "sf")),
        f"{OCI}.version": str(package.get("version", "0")),
        TREE: digest,
    }


def tag(expected: Mapping[str, str], dockerfile: bytes, base: str, epoch: int) -> str:
    """Return the tag of the image made from EXPECTED labels (and so the tree), DOCKERFILE, BASE and EPOCH."""
    parts = [sorted(expected.items()), hashlib.sha256(dockerfile).hexdigest(), base, epoch, layering.VERSION]
    return f"image-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def read_labels(store: registry.Registry, child: registry.Child) -> dict[str, Any]:
    """Return the labels of the image CHILD in the registry."""
    told = _read_inner(store, child).get("Labels")
    return told if isinstance(told, dict) else {}


def _read_inner(store: registry.Registry, child: registry.Child) -> dict[str, Any]:
    inner = store.config(child.config).get("config")
    return inner if isinstance(inner, dict) else {}


def bases(store: registry.Registry, image: registry.Image, digest: str) -> dict[str, str]:
    """Return the base of IMAGE by platform; empty if it was not built here from the gated tree DIGEST."""
    told = {platform: read_labels(store, child) for platform, child in image.platforms.items()}
    return {name: str(labels.get(BASE, "")) if labels.get(TREE) == digest else "" for name, labels in told.items()}


def check_labels(platform: str, told: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    """Raise `errors.ImageMismatch` at the first label in EXPECTED that TOLD, PLATFORM's labels, has otherwise."""
    for name, value in expected.items():
        if told.get(name) != value:
            raise errors.ImageMismatch(
                f"{platform}: label {name}: expected {value}, actual {str(told.get(name))[:200]}",
                "the image is of something else; build it again: inv release --fresh",
            )


def check_run(platform: str, inner: Mapping[str, Any]) -> None:
    """Raise `errors.ImageMismatch` unless the image config INNER starts the contract's command line, not as root."""
    told = [inner.get(key) for key in ("Entrypoint", "Cmd")]
    line = [word for words in told if isinstance(words, list) for word in words]
    if tuple(line[-len(LINE) :]) != LINE:
        raise errors.ImageMismatch(f"{platform}: starts {line}", f"it has to start {' '.join(LINE)}")
    if str(inner.get("User") or "0").partition(":")[0] in ("0", "root"):
        raise errors.ImageMismatch(f"{platform}: runs as root", "name a user in the image: USER 1000:1000")


def check_contract(store: registry.Registry, image: registry.Image, revision: str) -> None:
    """Raise `errors.ImageMismatch` unless IMAGE has the label of REVISION and starts by the contract."""
    for platform, child in image.platforms.items():
        check_run(platform, _read_inner(store, child))
        check_labels(platform, read_labels(store, child), {REVISION: revision})


def check(
    store: registry.Registry,
    image: registry.Image,
    expected: Mapping[str, str],
    ship: Path,
    *,
    foreign: bool,
    required: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Return the differences of IMAGE's files from the gated tree SHIP, by platform, if FOREIGN accepts them.

    An image with the tree's hash among its labels, as EXPECTED, was built from the tree; of any other, the layers are
    read. An image with other files still needs the loader and the REQUIRED packages (a path for each).

    Raises:
        errors.ImageMismatch: the labels, user or command line are not the contract's; or the files are not acceptable.
    """
    check_contract(store, image, expected[REVISION])
    differing = {}
    for platform, child in image.platforms.items():
        told = read_labels(store, child)
        if told.get(TREE) == expected[TREE]:
            check_labels(platform, told, expected)
            continue
        gated, actual = tree.entries(ship), layers.files(store, child.digest, below="opt/sf")
        if wrong := layers.compare(gated, actual):
            differing[platform] = wrong
            if foreign:
                contents.refuse_incomplete(platform, gated, actual, required)
    if differing and not foreign:
        listed = "".join(f"\n  {platform}: {line}" for platform, lines in differing.items() for line in lines)
        raise errors.ImageMismatch(
            f"{image.digest}: its files are not the gated tree's:{listed}",
            "build it from the gated tree, or accept foreign builds: image.foreign in deploy.toml",
        )
    return differing
