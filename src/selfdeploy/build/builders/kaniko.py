"""The kaniko builder: the executor in a container or a pod, with all its input on standard input."""

import gzip
import io
import json
import os
import stat
import tarfile
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from selfdeploy import errors, process, registry
from selfdeploy.build.builders import docker, record
from selfdeploy.build.builders.pod import Pod
from selfdeploy.registry import connections, credentials

THERE = "/kaniko/buildcontext"
"""The folder into which the executor unpacks its input; nothing below /kaniko goes into the image."""
CONFIG = f"{THERE}/docker"
"""The folder of the executor's config.json."""
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SETGID", "SETUID")
"""Capabilities needed to unpack a base image as root, out of the defaults of Docker and Kubernetes."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container on the engine of this machine, or of DOCKER_HOST, under TIMEOUT seconds."""

    timeout: float

    def refuse_unready(self) -> None:
        """Raise `errors.BuilderUnready` unless the engine answers."""
        docker.refuse_silent_engine()

    def node(self, base: str) -> str:
        """Return the version of the Node that tini starts in the image BASE."""
        return docker.run_node(base)

    def run(self, image: str, argv: list[str], what: str, give: process.Giver, *, loopback: bool) -> str:
        """Return the digest that the executor writes at the end of its standard output."""
        name = f"selfdeploy-build-{uuid.uuid4().hex[:12]}"
        start = ["docker", "run", "--rm", "--interactive", "--name", name, "--cap-drop", "ALL"]
        start += [part for name_ in CAPABILITIES for part in ("--cap-add", name_)]
        start += ["--security-opt", "no-new-privileges", "--env", f"DOCKER_CONFIG={CONFIG}"]
        start += ["--network", "host"] if loopback else []
        try:
            outcome = record.run(
                [*start, image, *argv, "--digest-file", "/dev/stdout"], what, timeout=self.timeout, give=give
            )
        finally:
            process.run(["docker", "rm", "--force", "--volumes", name], timeout=60, check=False)
        return outcome.text[-len("sha256:") - 64 :]


@dataclass(frozen=True, kw_only=True)
class Kaniko:
    """Builds with the executor IMAGE in PLACE."""

    dockerfile: Path
    arguments: Mapping[str, str]
    image: str
    place: Container | Pod
    insecure: bool = False
    own_files: bool = False

    def refuse_unready(self) -> None:
        """Raise `errors.BuilderUnready` unless an executor could start."""
        self.place.refuse_unready()

    def node(self, base: str) -> str:
        """Return the version of the Node that tini starts in the image BASE; empty if PLACE does not try it."""
        return self.place.node(base)

    def push(self, root: Path, to: str, labels: Mapping[str, str], epoch: int, *, cached: bool = True) -> str:  # noqa: ARG002 -- it keeps no cache
        """Return the digest of the image of ROOT, built and pushed to TO, from the executor's digest file."""
        hosts = {registry.Reference.parse(to.rpartition(":")[0]).host}
        hosts |= {base.partition("/")[0] for base in (self.arguments.get("BASE", ""),) if "/" in base}
        argv = ["--context", "tar://stdin", "--context-sub-path", "root", "--destination", to]
        argv += ["--dockerfile", f"{THERE}/docker/Dockerfile", "--log-format", "text", "--verbosity", "info"]
        for name, value in {**self.arguments, "SOURCE_DATE_EPOCH": str(epoch)}.items():
            argv += ["--build-arg", f"{name}={value}"]
        for name, value in labels.items():
            argv += ["--label", f"{name}={value}"]
        files = {"docker/Dockerfile": self.dockerfile.read_bytes(), "docker/config.json": logins(hosts)}
        for host in sorted(hosts):
            if registry.is_plain(host, insecure=self.insecure):
                argv += ["--insecure-registry", host]
            elif authorities := connections.authorities(host):
                name = f"docker/{host.replace(':', '-')}.crt"
                files[name] = b"\n".join(file.read_bytes() for file in authorities)
                argv += ["--registry-certificate", f"{host}={THERE}/{name}"]
        loopback = any(registry.is_loopback(host) for host in hosts)
        told = self.place.run(self.image, argv, to, lambda stdin: pack(stdin, root, files, epoch), loopback=loopback)
        return record.digest(told, f"{to}: the executor's digest file")


def logins(hosts: Iterable[str]) -> bytes:
    """Return our logins for HOSTS, as a config.json of Docker's: an executor does not have our credential helpers."""
    auths: dict[str, dict[str, str]] = {}
    for host in sorted(hosts):
        found = credentials.find(host, credentials.path())
        if found is not None:
            login = {"identitytoken": found.identity_token, "registrytoken": found.registry_token}
            if found.user:  # docker refuses a whole file for an `auth` without a user
                login["auth"] = found.basic.removeprefix("Basic ")
            auths[credentials.key(host)] = {name: value for name, value in login.items() if value}
    return json.dumps({"auths": auths}).encode()


def pack(to: IO[bytes], root: Path, files: Mapping[str, bytes], epoch: int) -> None:
    """Write to TO, as a gzipped tar, FILES of EPOCH by name and ROOT's content below `root`, all owned by root."""
    with (
        gzip.GzipFile(fileobj=to, mode="wb", compresslevel=1, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o600, epoch
            tar.addfile(info, io.BytesIO(data))
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in (".", *sorted(names), *(name for name in folders if Path(folder, name).is_symlink())):
                _add(tar, Path(folder, name), root)


def _add(tar: tarfile.TarFile, path: Path, root: Path) -> None:
    told = path.lstat()
    info = tarfile.TarInfo(f"root/{path.relative_to(root).as_posix()}")
    info.mode, info.mtime = stat.S_IMODE(told.st_mode), int(told.st_mtime)
    if stat.S_ISLNK(told.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
        tar.addfile(info)
    elif stat.S_ISDIR(told.st_mode):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif stat.S_ISREG(told.st_mode):
        info.size = told.st_size
        with path.open("rb") as file:
            tar.addfile(info, file)
    else:
        raise errors.TreeChanged(f"{path}: neither file, folder nor link", "run the gates again: inv gates --fresh")
