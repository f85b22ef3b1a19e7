"""Who we are to a registry: what `docker login` left in config.json, or in a credential helper."""

import base64
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pydantic

from selfdeploy import docker_config, errors, process, surroundings

IDENTITY_TOKEN = "<token>"  # noqa: S105 -- the user name by which a helper says that its secret is an identity token
NOT_FOUND = b"credentials not found"
"""How a helper begins to say that it knows nothing (docker-credential-helpers, `credentials` package)."""
TIMEOUT = 20.0
NOWHERE = Path("/nonexistent")
"""The home of a person without one (Debian Policy Manual, 9.2.3)."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user and a password, or an identity token that is good for other tokens (OAuth 2's refresh token)."""

    user: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header's value for the password (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class _Auth(pydantic.BaseModel):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(pydantic.BaseModel):
    auths: dict[str, _Auth] = {}
    cred_helpers: dict[str, str] = pydantic.Field({}, alias="credHelpers")
    creds_store: str = pydantic.Field("", alias="credsStore")


class _Told(pydantic.BaseModel):
    username: str = pydantic.Field(alias="Username")
    secret: str = pydantic.Field(alias="Secret")


def path() -> Path:
    """Return where Docker's config.json is, whether it is there or not."""
    folder = docker_config.find(os.environ.get("DOCKER_CONFIG", ""), surroundings.home())
    return (folder or NOWHERE) / docker_config.NAME


def find(host: str, file: Path) -> Credentials | None:
    """Return what Docker's config FILE, or the credential helper it names for HOST, knows; None where it is nothing.

    Raises:
        errors.ConfigInvalid: the file is not what Docker writes.
        errors.ToolMissing: there is no such helper.
        errors.RegistryDenied: the helper failed.
    """
    try:
        config = _Config.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise errors.ConfigInvalid(f"{file}: {exc.strerror}", "make it readable to you") from exc
    except pydantic.ValidationError:
        # Neither the cause nor its text: both quote what is in the file.
        raise errors.ConfigInvalid(f"{file}: not what docker writes", f"docker login {host} writes it") from None
    helper = config.cred_helpers.get(host) or config.creds_store
    found = _ask(helper, host, file) if helper else None
    return found or _stored(config, host, file)


def _ask(helper: str, host: str, file: Path) -> Credentials | None:
    """Return what the program of HELPER tells (docker-credential-helpers protocol: the host on stdin, JSON back)."""
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
        # What it wrote is left out: it may be the secret.
        raise errors.RegistryDenied(f"{program} get: exit code {told.code} for {host}", f"try it: {program} get")
    try:
        answer = _Told.model_validate_json(told.stdout)
    except pydantic.ValidationError:
        raise errors.RegistryDenied(f"{program} get: no JSON for {host}", f"try it: {program} get") from None
    if answer.username == IDENTITY_TOKEN:
        return Credentials(user=answer.username, identity_token=answer.secret)
    return Credentials(user=answer.username, password=answer.secret)


def _stored(config: _Config, host: str, file: Path) -> Credentials | None:
    # Docker of old wrote URLs for hosts.
    by_host = {re.sub(r"^https?://|/.*", "", name): auth for name, auth in config.auths.items()}
    stored = config.auths.get(host) or by_host.get(host)
    if stored is None:
        return None
    user, password = stored.username, stored.password
    if stored.auth:
        try:
            user, _, password = base64.b64decode(stored.auth, validate=True).decode().partition(":")
        except ValueError:
            raise errors.ConfigInvalid(f"{file}: auths.{host}.auth: no base64", f"docker login {host}") from None
    if stored.identitytoken:
        return Credentials(user=user, identity_token=stored.identitytoken)
    return Credentials(user=user, password=password) if user else None
