"""The host folders mounted into the server, and their targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import errors
from selfdeploy.vega.settings import Settings

HOME = "/home/sf"
MANIFEST = "/run/selfdeploy"
IMAGE = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
"""Folders of the image that must stay at their place."""

SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr/bin", "/usr/include"),
    *("/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/usr/share", "/usr/local/bin", "/usr/local/include"),
    *("/usr/local/lib", "/usr/local/sbin", "/usr/local/share", "/var/cache", "/var/lib/dpkg", MANIFEST),
)
"""Folders of the image in which every subfolder is needed too."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One folder of this host, and its path in the server."""

    source: Path
    target: Path
    read_only: bool = False


def mounts(settings: Settings) -> tuple[Mount, ...]:
    """Return the mounts for a server with SETTINGS, outer ones first.

    Raises:
        errors.MountRefused: a mount would hide another, or a part of the image.
    """
    workspaces = settings.workspaces.path
    wanted = {
        Mount(source=settings.source.path, target=Path("/opt/sf"), read_only=True),
        Mount(source=settings.workspace.path, target=Path("/workspace")),
        Mount(source=workspaces, target=Path("/workspaces")),
        Mount(source=workspaces, target=workspaces),
        Mount(source=settings.state.path, target=Path(HOME, ".sf")),
    }
    found = sorted(wanted, key=lambda mount: mount.target.parts)
    _refuse_hidden(found, workspaces)
    return tuple(found)


def _refuse_hidden(found: Sequence[Mount], real: Path) -> None:
    hint = "name another folder above the repositories: --workspaces"
    for place in (*SYSTEM, *IMAGE, HOME):
        needed = Path(place)
        if needed.is_relative_to(real) or (place in SYSTEM and real.is_relative_to(needed)):
            raise errors.MountRefused(f"{real}: mounted at its own place, it would hide the image's {needed}", hint)
    for index, outer in enumerate(found):
        for inner in found[index + 1 :]:
            same = inner.target == outer.target
            if (same and inner != outer) or (not same and _shadows(inner, outer)):
                raise errors.MountRefused(
                    f"{inner.source} at {inner.target} would hide a part of {outer.source} at {outer.target}", hint
                )


def _shadows(inner: Mount, outer: Mount) -> bool:
    """Return whether INNER, mounted inside OUTER, would hide other content of OUTER."""
    if not inner.target.is_relative_to(outer.target):
        return False
    return (outer.source / inner.target.relative_to(outer.target)).resolve() != inner.source
