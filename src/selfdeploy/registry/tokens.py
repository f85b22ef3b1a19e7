"""Logins at a registry: the answer to a challenge, and the token; sends no request itself.

Sources: RFC 7617 (Basic); the distribution project's "token authentication" and "OAuth2 token authentication".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import pydantic

from selfdeploy import errors
from selfdeploy.registry import credentials

LIMIT = 1 << 20
CLIENT = "selfdeploy"
FORGEJO = "container_registry"
"""Service in the challenges of Forgejo and Gitea, which are their own token servers."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The request for a token."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    data: bytes | None = field(default=None, repr=False)


class _Token(pydantic.BaseModel):
    token: str = ""
    access_token: str = ""


@dataclass(kw_only=True)
class Login:
    """Our login at HOST, with the rights to pull from and push to REPOSITORY."""

    host: str
    repository: str
    header: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def _known(self) -> credentials.Credentials | None:
        return credentials.find(self.host, credentials.path())

    @property
    def hint(self) -> str:
        """Hint for a refused login."""
        return (
            f"docker login {self.host} (it writes {credentials.path()}); in a workflow the variable SF_REGISTRY_USER "
            "and the secret SF_REGISTRY_TOKEN, a token of that user: in Forgejo with the scope write:package"
        )

    def refused(self, what: str) -> errors.RegistryDenied:
        """Return the error for a refusal of WHAT, with the name of our user."""
        who = f"the login of {self._known.user}" if self._known else f"who has no login in {credentials.path()}"
        return errors.RegistryDenied(f"{self.host}/{self.repository}: the registry refuses {what} to {who}", self.hint)

    def answer(self, challenge: str, scheme: str) -> Wanted | bool:
        """Return True if the request may now succeed with `header`, False if not; or a token request to send first.

        Raises:
            errors.RegistryUntrusted: the token server is not https, and not the http registry itself; or it is another
                host than a Forgejo's own.
        """
        bearer = re.search(r"(?:^|,)\s*bearer\s+(.*)", challenge, re.IGNORECASE)
        if bearer is None:
            basic = re.search(r"(?:^|,)\s*basic\b", challenge, re.IGNORECASE)
            if not basic or self._known is None or self.header:
                return False
            self.header = {"Authorization": self._known.basic}
            return True
        if self._known and self._known.registry_token and not self.header:
            self.header = {"Authorization": f"Bearer {self._known.registry_token}"}
            return True
        told = dict(reversed(re.findall(r'(\w+)="([^"]*)"', bearer[1])))
        realm = told.get("realm", "")
        self._refuse_realm(realm, told.get("service", ""), scheme)
        scope = f"repository:{self.repository}:pull,push"
        query = {"service": told.get("service", ""), "scope": scope}
        if self._known and self._known.identity_token:
            grant = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": self._known.identity_token}
            data = urlencode(query | grant).encode()
            return Wanted(
                method="POST",
                url=realm,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                data=data,
            )
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        return Wanted(method="GET", url=url, headers={"Authorization": self._known.basic} if self._known else {})

    def take(self, status: int, body: bytes) -> None:
        """Keep the token in the token server's answer.

        Raises:
            errors.RegistryDenied: there is none.
        """
        try:
            told = _Token.model_validate_json(body)
        except pydantic.ValidationError:
            told = _Token()
        token = told.token or told.access_token
        if status != HTTPStatus.OK or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise self.refused(f"a token ({status})")
        self.header = {"Authorization": f"Bearer {token}"}

    def _refuse_realm(self, realm: str, service: str, scheme: str) -> None:
        """Check that REALM, the token server for the registry's SERVICE, may see our password."""
        try:
            parts = urlsplit(realm)
            here = self._is_here(parts.hostname)
            safe = parts.scheme == "https" or (scheme == parts.scheme == "http" and here)
        except ValueError:
            parts, here, safe = urlsplit(""), False, False
        if parts.hostname and not here and (service == FORGEJO or not safe):
            raise errors.RegistryUntrusted(
                f"{self.host}: it sends us for a token to another host, {parts.scheme}://{parts.netloc.rpartition('@')[2]}",
                "a registry that is its own token server, as Forgejo, has that address from its settings (ROOT_URL): "
                "name its host in image.repository, or correct it there",
            )
        if not safe:
            raise errors.RegistryUntrusted(
                f"{self.host}: it sends us for a token to what is neither https nor itself", "see the registry's realm"
            )

    def _is_here(self, name: str | None) -> bool:
        return name is not None and name == urlsplit(f"//{self.host}").hostname
