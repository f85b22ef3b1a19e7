"""What one vega server is started with, and where each value came from."""

import contextlib
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from selfdeploy import config, errors, flags, surroundings
from selfdeploy.config import quantity

DEFAULT = "default"

HIGHEST = 2**32 - 2
"""The highest number of a user or a group; the one above it stands for none (chown(2))."""

HIGHEST_PORT = 65_535

Number = Annotated[int, pydantic.Field(ge=0, le=HIGHEST)]


class Chosen(pydantic.BaseModel):
    """A value and where it came from: a flag, a variable, deploy.toml, or the default."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    value: str
    origin: str

    @property
    def path(self) -> Path:
        """The value as a path."""
        return Path(self.value)

    @property
    def asked(self) -> bool:
        """Whether the command itself asked for it, by a flag or a variable."""
        return self.origin.startswith(("--", "SF_"))

    @property
    def explicit(self) -> bool:
        """Whether somebody asked for it."""
        return self.origin == "deploy.toml" or self.asked


class Settings(pydantic.BaseModel):
    """All that a vega server is started with; the server carries it as a label, so that it can be put back."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    source: Chosen
    workspace: Chosen
    workspaces: Chosen
    state: Chosen
    bind: Chosen
    port: Chosen
    access_control: str
    memory: quantity.Memory | None = None
    cpus: quantity.Cpus | None = None
    uid: Number
    gid: Number

    @pydantic.field_validator("port")
    @classmethod
    def _is_port(cls, port: Chosen) -> Chosen:
        if not re.fullmatch("[1-9][0-9]{0,4}", port.value) or int(port.value) > HIGHEST_PORT:
            raise ValueError("no port")
        return port

    @property
    def limits(self) -> dict[str, object]:
        """What the container is held to, as Compose takes it."""
        return quantity.limits(self.memory, self.cpus)

    @property
    def url(self) -> str:
        """Where the server answers."""
        return url(self.bind.value, self.port.value)


def url(address: str, port: str) -> str:
    """Return where a server answers that is published at PORT of ADDRESS."""
    host = f"[{address}]" if ":" in address else address
    reached = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 -- compared, not bound
    return f"http://{reached}:{port}"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What was asked for on the command line; None where nothing was."""

    source: str | None = None
    workspace: str | None = None
    workspaces: str | None = None
    bind: str | None = None
    port: str | None = None


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who runs this: the files that the server writes belong to them."""

    uid: int
    gid: int
    home: Path


def person(environment: Mapping[str, str]) -> Person:
    """Return who runs this process; the one who said `sudo` when it runs as root for them.

    Raises:
        errors.ConfigInvalid: they have no home.
    """
    uid, gid, home = os.getuid(), os.getgid(), surroundings.home()
    told = [environment.get(name, "") for name in ("SUDO_UID", "SUDO_GID")]
    if uid == 0 and all(re.fullmatch("[0-9]{1,10}", one) and int(one) <= HIGHEST for one in told):
        uid, gid = map(int, told)
        with contextlib.suppress(KeyError):  # a number that nobody has a name for
            home = Path(pwd.getpwuid(uid).pw_dir)
    if home is None:
        raise errors.ConfigInvalid(f"HOME is not set, and user {uid} has no home", "set HOME to a folder of theirs")
    return Person(uid=uid, gid=gid, home=home)


def choose(project: config.Project, flags: Flags, environment: Mapping[str, str], who: Person) -> Settings:
    """Return the settings: flags win over ENVIRONMENT, that over deploy.toml, that over the contract's defaults.

    Paths are whole and without links. Relative ones start at the folder one stands in, or at deploy.toml's.

    Raises:
        errors.MountRefused: a folder is not there or is a file, or an explicit workspace is not below an explicit
            `workspaces`.
        errors.ConfigInvalid: the port is none, or a flag or a variable is given and empty.
    """
    told = project.vega.model_fields_set

    def pick(name: str, flag: str | None, variable: str, default: str) -> Chosen:
        if given := _given(f"--{name}", flag) or _given(variable, environment.get(variable)):
            return given
        value = str(getattr(project.vega, name))
        if name in told and value:
            return Chosen(value=value, origin="deploy.toml")
        return Chosen(value=default or value, origin=DEFAULT)

    def folder(chosen: Chosen, *, needed: bool = True) -> Chosen:
        start = project.root if chosen.origin in ("deploy.toml", DEFAULT) else Path.cwd()
        return chosen.model_copy(update={"value": str(_folder(chosen, start, who.home, needed=needed))})

    source = folder(_source(project, flags, environment))
    workspace = folder(pick("workspace", flags.workspace, "SF_WORKSPACE_DIR", source.value))
    workspaces = folder(pick("workspaces", flags.workspaces, "SF_WORKSPACES_DIR", str(source.path.parent)))
    if not workspace.path.is_relative_to(workspaces.path):
        if workspace.explicit and workspaces.explicit:
            raise errors.MountRefused(
                f"{workspace.origin}: {workspace.value} is not below {workspaces.value} ({workspaces.origin})",
                f"leave {workspaces.origin} out, or name a folder above {workspace.value}",
            )
        if workspace.explicit:
            workspaces = Chosen(value=str(workspace.path.parent), origin=f"the parent of {workspace.origin}")
    return Settings(
        source=source,
        workspace=workspace,
        workspaces=workspaces,
        state=folder(pick("state", None, "", ""), needed=False),
        bind=pick("bind", flags.bind, "SF_VEGA_BIND", ""),
        port=_port(pick("port", flags.port, "", "")),
        access_control=project.vega.access_control,
        memory=project.vega.memory,
        cpus=project.vega.cpus,
        uid=who.uid,
        gid=who.gid,
    )


def moves(before: Settings, now: Settings) -> list[str]:
    """Return a line for the address, port and workspace that NOW changes although nobody asks for another.

    That is what a command asked for, BEFORE, and what the next one leaves out.
    """
    pairs = [(name, getattr(before, name), getattr(now, name)) for name in ("bind", "port", "workspace")]
    return [
        f"{name} changes, unasked, from {old.value} ({old.origin}) to {new.value} ({new.origin})"
        for name, old, new in pairs
        if old.asked and not new.asked and old.value != new.value
    ]


def verify(chosen: Settings) -> None:
    """Raise `errors.MountRefused` unless the folders of CHOSEN are there, and are what they were when it was chosen.

    Links are followed in `choose` only: a server that may write in a folder could put a link in its place, and so get
    out of what it was given.
    """
    for folder in (chosen.source, chosen.workspace, chosen.workspaces, chosen.state):
        found = _folder(folder, Path("/"), Path("/"), needed=folder is not chosen.state)
        if found != folder.path:
            raise errors.MountRefused(
                f"{folder.origin}: {folder.path}: now leads to {found}", "inv vega.up chooses anew, and follows links"
            )


def _given(origin: str, value: str | None) -> Chosen | None:
    """Return VALUE, which ORIGIN gives; None if it gives none.

    Raises:
        errors.ConfigInvalid: it is empty: a command that failed wrote it, as a rule, and the default is not meant.
    """
    if value is None:
        return None
    if not value.strip():
        raise errors.ConfigInvalid(
            f"{origin}: given, and empty",
            "leave it out, or see why the command that fills it in prints nothing, as `tailscale ip -4` does while "
            "Tailscale is down",
        )
    return Chosen(value=value, origin=origin)


def _source(project: config.Project, flags: Flags, environment: Mapping[str, str]) -> Chosen:
    variable = "SF_SOURCE_DIR"
    if given := _given("--source", flags.source) or _given(variable, environment.get(variable)):
        return given
    told = "path" in project.source.model_fields_set
    return Chosen(value=str(project.source_path()), origin="deploy.toml" if told else DEFAULT)


def _folder(chosen: Chosen, start: Path, home: Path, *, needed: bool) -> Path:
    first, *rest = Path(chosen.value).parts or (".",)
    try:
        given = home.joinpath(*rest) if first == "~" else Path(chosen.value).expanduser()
        path = (start / given).resolve()
    except (OSError, RuntimeError, ValueError) as exc:  # a circle of links, a home of nobody, no path at all
        raise errors.MountRefused(f"{chosen.origin}: {chosen.value!a}: {exc}", "name a folder") from exc
    if path.exists() and not path.is_dir():
        raise errors.MountRefused(f"{chosen.origin}: {path}: not a folder", "name a folder")
    if needed and not path.exists():
        raise errors.MountRefused(f"{chosen.origin}: {path}: no such folder", "name one that is there")
    if needed and not os.access(path, os.R_OK | os.X_OK):
        raise errors.MountRefused(f"{chosen.origin}: {path}: not yours to read", "name one that is")
    return path


def _port(chosen: Chosen) -> Chosen:
    number = flags.count(chosen.origin, chosen.value, least=1)
    if number > HIGHEST_PORT:
        raise errors.ConfigInvalid(f"{chosen.origin}: {chosen.value}: no port", "a port is 1 to 65535")
    return chosen.model_copy(update={"value": str(number)})
