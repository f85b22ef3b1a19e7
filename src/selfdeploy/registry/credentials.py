"""Our login at a registry: from `docker login`'s config.json, or from a credential helper.

Source: docker/cli, packages `cli/config/configfile` and `cli/config/credentials`, whose behaviour this follows.
"""

import base64
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pydantic
import pydantic_core

from selfdeploy import errors, process
from selfdeploy.process import docker_config, surroundings

IDENTITY_TOKEN = "<token>"  # noqa: S105 -- the user name by which a helper says that its secret is an identity token
HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
HUB_KEY = "https://index.docker.io/v1/"
NOT_FOUND = b"credentials not found"
"""Start of a helper's output if it has no login (docker-credential-helpers, `credentials` package)."""
TIMEOUT = 20.0
NOWHERE = Path("/nonexistent")
"""Home folder of a user without one (Debian Policy Manual, 9.2.3)."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user and a password, or an identity token to get other tokens with (OAuth 2's refresh token)."""

    user: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    """A bearer token for the registry itself."""

    @property
    def basic(self) -> str:
        """Value of the Authorization header for the password (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode(errors="surrogateescape")).decode()


class _Auth(pydantic.BaseModel):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None


class _Config(pydantic.BaseModel):
    auths: dict[str, _Auth | None] | None = None
    credhelpers: dict[str, str | None] | None = None
    credsstore: str | None = None

    def helper(self, key: str) -> str:
        """Return the credential helper for KEY; empty if the file itself has the login."""
        helpers = self.credhelpers or {}
        return helpers.get(key, self.credsstore) or ""


class _Told(pydantic.BaseModel):
    username: str = pydantic.Field(alias="Username")
    secret: str = pydantic.Field(alias="Secret")


def path() -> Path:
    """Return the path of Docker's config.json, whether it exists or not."""
    folder = docker_config.find(os.environ.get("DOCKER_CONFIG", ""), surroundings.home())
    return (folder or NOWHERE) / docker_config.NAME


def key(host: str) -> str:
    """Return docker's name for the login of HOST: Docker Hub's is an address of its first API."""
    return HUB_KEY if host in HUB else host


def find(host: str, file: Path) -> Credentials | None:
    """Return the login for HOST from Docker's config FILE, or the credential helper it names; None without one.

    Raises:
        errors.ConfigInvalid: FILE cannot be read, or has another form than Docker's.
        errors.ToolMissing: the helper is not installed, and FILE has no login of its own.
        errors.RegistryDenied: the helper failed, and FILE has no login of its own.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise errors.ConfigInvalid(f"{file}: {exc.strerror}", "make it readable to you") from exc
    config = _parse(data, host, file)
    helper = config.helper(key(host))
    if not helper:
        return _stored(config, host, file)
    try:
        return _ask(helper, key(host), file)
    except (errors.ToolMissing, errors.RegistryDenied):
        stored = _stored(config, host, file)
        if stored is None:
            raise
        return stored


def _parse(data: bytes, host: str, file: Path) -> _Config:
    """Return the config in DATA; null means absent, an empty file an empty config, and keys match in any case."""
    try:
        value = pydantic_core.from_json(data) if data.strip() else None
        value = {} if value is None else {name.lower(): each for name, each in value.items()}
        auths = {} if value.get("auths") is None else value["auths"]
        lowered = {name: each and {key.lower(): part for key, part in each.items()} for name, each in auths.items()}
        return _Config.model_validate({**value, "auths": lowered})
    except (ValueError, AttributeError):
        # Drop the cause and its text: both quote the file.
        raise errors.ConfigInvalid(f"{file}: not what docker writes", f"docker login {host} writes it") from None


def _ask(helper: str, host: str, file: Path) -> Credentials | None:
    """Return the login from HELPER's program (docker-credential-helpers protocol: the host on stdin, JSON back)."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", helper):
        raise errors.ConfigInvalid(f"{file}: {helper!a} is no credential helper's name", "see credHelpers, credsStore")
    program = f"docker-credential-{helper}"
    try:
        told = process.run([program, "get"], timeout=TIMEOUT, stdin=host, check=False)
    except errors.ToolMissing as exc:
        raise errors.ToolMissing(f"{program}: not found", f"install it, or take {helper} out of {file}") from exc
    if told.code:
        if told.stdout.strip().startswith(NOT_FOUND):
            return None
        # Never show its output: it may be the secret.
        raise errors.RegistryDenied(f"{program} get: exit code {told.code} for {host}", f"try it: {program} get")
    try:
        answer = _Told.model_validate_json(told.stdout)
    except pydantic.ValidationError:
        raise errors.RegistryDenied(f"{program} get: no JSON for {host}", f"try it: {program} get") from None
    if answer.username == IDENTITY_TOKEN:
        return Credentials(user=answer.username, identity_token=answer.secret)
    return Credentials(user=answer.username, password=answer.secret)


def _stored(config: _Config, host: str, file: Path) -> Credentials | None:
    auths = config.auths or {}
    # Old versions of Docker wrote URLs instead of hosts.
    by_host = {re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://|/.*", "", name): auth for name, auth in auths.items()}
    stored = auths[key(host)] if key(host) in auths else by_host.get(key(host))
    if stored is None:
        return None
    user, password = stored.username or "", stored.password or ""
    if stored.auth:
        user, password = _decode(stored.auth, host, file)
    if stored.identitytoken or stored.registrytoken:
        return Credentials(
            user=user, identity_token=stored.identitytoken or "", registry_token=stored.registrytoken or ""
        )
    return Credentials(user=user, password=password) if user else None


def _decode(auth: str, host: str, file: Path) -> tuple[str, str]:
    """Return user and password from AUTH, base64 with possible line breaks."""
    try:
        decoded = base64.b64decode(re.sub(r"\s", "", auth), validate=True)
    except ValueError:
        raise errors.ConfigInvalid(f"{file}: auths.{host}.auth: no base64", f"docker login {host}") from None
    user, colon, password = decoded.decode(errors="surrogateescape").partition(":")
    if not colon or not user:
        raise errors.ConfigInvalid(f"{file}: auths.{host}.auth: no user:password", f"docker login {host}")
    return user, password.strip("\0")
