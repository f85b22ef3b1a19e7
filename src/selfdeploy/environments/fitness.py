"""Checks that a release can succeed on a Docker engine, made before minutes are spent on it."""

import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from selfdeploy import config, errors, net, registry
from selfdeploy.config import quantity
from selfdeploy.engine import Engine

ROOM = 2 << 30
"""Free disk space that a release needs at least, in bytes: an export with its dependencies and an image fit."""

COPIES = 5
"""Copies of the shipped files on a disk: laid out, in a build's context and cache, in the image, in the registry."""

GROWTH, MOST = 250, 6 << 30
"""Growth of an application over its source by packages, builds and copies: a factor, and a limit in bytes."""


def need(source: int, last: Mapping[str, int]) -> int:
    """Return the bytes a release may need, from the tree sizes of the LAST one, or else from the SOURCE's size."""
    if "export" in last and "ship" in last:
        return max(ROOM, last["export"] + COPIES * last["ship"] + ROOM // 4)
    return max(ROOM, (COPIES + 1) * source + min(GROWTH * source, MOST))


def refuse_out_of_reach(engine: Engine, project: config.Project, url: str) -> None:
    """Raise `errors.ConfigInvalid` if ENGINE is on another host and the registry or URL is on loopback."""
    if not engine.is_remote:
        return
    where = f"deploy.toml: environments.{engine.name}"
    if registry.is_loopback(project.image.repository.partition("/")[0]):
        raise errors.ConfigInvalid(
            f"{where}: {engine.host} is another host, and {project.image.repository} is on this one's loopback: "
            "it cannot pull from there",
            "set image.repository to a registry that both reach",
        )
    if net.is_here(urlsplit(url).hostname or ""):
        raise errors.ConfigInvalid(
            f"{where}: {engine.host} is another host, and {url} is on loopback: it cannot be probed from here",
            "bind an address of that host, or set url to a way in",
        )


def refuse_full_disk(engine: Engine) -> None:
    """Raise `errors.DiskFull` if the data disk of ENGINE, on this machine, is nearly full."""
    root = engine.run("info", "--format", "{{.DockerRootDir}}", timeout=30).text
    with contextlib.suppress(OSError, ValueError):
        refuse_full(Path(root))


def refuse_full(folder: Path, needed: int = ROOM) -> None:
    """Raise `errors.DiskFull` if the disk of FOLDER has less than NEEDED bytes free."""
    stat = os.statvfs(folder)
    free = stat.f_bavail * stat.f_frsize
    if free < needed:
        raise errors.DiskFull(
            f"{folder}: {free >> 20} MiB free, and a release may need {needed >> 20}", "make room: docker system df"
        )


def refuse_few_cpus(engine: Engine, wanted: str | None, key: str) -> None:
    """Raise `errors.ConfigInvalid` if ENGINE has fewer CPUs than WANTED, the value of KEY in deploy.toml."""
    if wanted is None:
        return
    there = engine.run("info", "--format", "{{.NCPU}}", timeout=30).text
    if there.isdecimal() and quantity.cpus(wanted) > int(there):
        raise errors.ConfigInvalid(
            f"deploy.toml: {key}: {wanted}: the engine has {there} CPUs",
            "name no more than it has, or leave the key out",
        )


def why_taken(bind: str, port: int) -> str:
    """Return why PORT on the address BIND is not free; empty if it is free, or if only the engine may try."""
    with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((bind, port))
        except OSError as exc:
            return "" if exc.errno == errno.EACCES else str(exc.strerror)  # below 1024 this process may not listen
    return ""
