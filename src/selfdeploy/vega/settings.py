"""The settings of one vega server, and the origin of each value."""

import contextlib
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from selfdeploy import config, errors
from selfdeploy.config import flags, quantity
from selfdeploy.process import surroundings

DEFAULT = "default"

HIGHEST = 2**32 - 2
"""The highest user or group id; the next number means none (chown(2))."""

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
        """True if it came from a flag or a variable of the command."""
        return self.origin.startswith(("--", "SF_"))

    @property
    def explicit(self) -> bool:
        """True if it came from deploy.toml, a flag or a variable."""
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
        """The container's memory and CPU limits, as Compose's keys."""
        return quantity.limits(self.memory, self.cpus)

    @property
    def url(self) -> str:
        """The server's URL."""
        return url(self.bind.value, self.port.value)


def url(address: str, port: str) -> str:
    """Return the URL, for this host, of a server published at PORT of ADDRESS."""
    host = f"[{address}]" if ":" in address else address
    reached = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 -- compared, not bound
    return f"http://{reached}:{port}"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Values of the command's flags; None for a flag not given."""

    source: str | None = None
    workspace: str | None = None
    workspaces: str | None = None
    bind: str | None = None
    port: str | None = None


@dataclass(frozen=True, kw_only=True)
class Person:
    """The user running this command, and owner of the files the server writes."""

    uid: int
    gid: int
    home: Path


def person(environment: Mapping[str, str]) -> Person:
    """Return the user running this process; under `sudo`, the user behind it.

    Raises:
        errors.ConfigInvalid: the user has no home.
    """
    uid, gid, home = os.getuid(), os.getgid(), surroundings.home()
    told = [environment.get(name, "") for name in ("SUDO_UID", "SUDO_GID")]
    if uid == 0 and all(re.fullmatch("[0-9]{1,10}", one) and int(one) <= HIGHEST for one in told):
        uid, gid = map(int, told)
        with contextlib.suppress(KeyError):  # an id without a passwd entry
            home = Path(pwd.getpwuid(uid).pw_dir)
    if home is None:
        raise errors.ConfigInvalid(f"HOME is not set, and user {uid} has no home", "set HOME to a folder of theirs")
    return Person(uid=uid, gid=gid, home=home)


def choose(project: config.Project, flags: Flags, environment: Mapping[str, str], who: Person) -> Settings:
    """Return the settings: FLAGS override ENVIRONMENT, then deploy.toml, then the contract's defaults.

    Paths become absolute, with links resolved. Relative ones start at the current folder, or at deploy.toml's folder
    if they come from it or are defaults.

    Raises:
        errors.MountRefused: a folder is missing or is a file, or an explicit workspace is not below an explicit
            `workspaces`.
        errors.ConfigInvalid: the port is not valid, or a flag or variable is given but empty.
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
    """Return a line for each unrequested change of address, port or workspace from BEFORE to NOW.

    A change is unrequested if the earlier command set the value explicitly and the later one does not.
    """
    pairs = [(name, getattr(before, name), getattr(now, name)) for name in ("bind", "port", "workspace")]
    return [
        f"{name} changes, unasked, from {old.value} ({old.origin}) to {new.value} ({new.origin})"
        for name, old, new in pairs
        if old.asked and not new.asked and old.value != new.value
    ]


def verify(chosen: Settings) -> None:
    """Raise `errors.MountRefused` unless the folders of CHOSEN still have the same real paths.

    The state folder alone may be missing. Only `choose` follows links: a server with write access to a folder could
    replace it by a link, and so escape its mounts.
    """
    for folder in (chosen.source, chosen.workspace, chosen.workspaces, chosen.state):
        found = _folder(folder, Path("/"), Path("/"), needed=folder is not chosen.state)
        if found != folder.path:
            raise errors.MountRefused(
                f"{folder.origin}: {folder.path}: now leads to {found}", "inv vega.up chooses anew, and follows links"
            )


def _given(origin: str, value: str | None) -> Chosen | None:
    """Return VALUE as chosen from ORIGIN; None if it is None.

    Raises:
        errors.ConfigInvalid: VALUE is empty, usually the output of a failed command, so the default is not meant.
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
    except (OSError, RuntimeError, ValueError) as exc:  # a loop of links, a missing home, or not a path
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
