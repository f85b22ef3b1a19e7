"""The images of one repository on a Docker engine: list them, and remove the unneeded ones."""

from collections.abc import Mapping

from selfdeploy import render
from selfdeploy.engine import Engine


def digests(engine: Engine, repository: str) -> list[str]:
    """Return the digests of REPOSITORY's images on ENGINE."""
    argv = ["image", "ls", "--digests", "--no-trunc", "--format", "{{.Digest}}", repository]
    told = engine.run(*argv, timeout=30).text.split()
    return [digest for digest in dict.fromkeys(told) if digest.startswith("sha256:")]


def forget(engine: Engine, repository: str, releases: Mapping[str, str]) -> list[str]:
    """Remove RELEASES' manifests, and their images in REPOSITORY, from ENGINE, unless a container uses them.

    RELEASES maps release ids to image digests. Returns the digests and volume names of the removed ones.
    """
    held = set(digests(engine, repository)) & set(releases.values())
    dropped = [digest for digest in sorted(held) if _drop(engine, repository, digest)]
    told = engine.run("volume", "ls", "--quiet", "--filter", "name=sf-manifest-", timeout=30).text.split()
    volumes = {render.manifest_name(release) for release in releases} & set(told)
    # The engine refuses to remove a volume in use.
    return dropped + [name for name in sorted(volumes) if not engine.run("volume", "rm", name, check=False).code]


def _drop(engine: Engine, repository: str, digest: str) -> bool:
    told = engine.inspect("image", f"{repository}@{digest}") or {}
    using = ["container", "ls", "--all", "--quiet", "--filter", f"ancestor={told.get('Id')}"]
    if not told or engine.run(*using, timeout=30).text:
        return False
    names = [*(told.get("RepoTags") or ()), *(told.get("RepoDigests") or ())]
    ours = [name for name in names if name.startswith((f"{repository}:", f"{repository}@"))]
    return not engine.run("image", "rm", *ours, timeout=120, check=False).code
