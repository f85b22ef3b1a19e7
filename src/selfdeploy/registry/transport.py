"""HTTP to one registry: bounded redirects, rate limits waited out, and logins hidden from redirects' targets."""

import contextlib
import ipaddress
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from selfdeploy import errors
from selfdeploy.registry import backoff, connections, places, refusal, tokens
from selfdeploy.registry.connections import Answer, Connections

REDIRECT = frozenset({301, 302, 303, 307, 308})
REDIRECTS = 5
READING = frozenset({"GET", "HEAD"})
PAUSES = 0.2, 0.5
"""Seconds before each further attempt to read: some registries answer 500 while a tag is being written."""
NOWHERE = "nowhere:"
"""Location of an answer that does not name one."""
PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return whether HOST, with or without a port, is this machine's loopback."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost":
            return True
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(kw_only=True)
class Transport:
    """Access to one registry, with the authorization it has demanded so far."""

    host: str
    scheme: str
    login: tokens.Login = field(repr=False)
    patience: float = 60.0
    """Seconds for one exchange, from its beginning to the answer's last byte, with redirects and logins."""

    def __post_init__(self) -> None:
        """Load the certificates once."""
        self._trust = connections.trust(self.host) if self.scheme == "https" else None

    @contextlib.contextmanager
    def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        seconds: float | None = None,
    ) -> Iterator[Answer]:
        """Send a request to PATH (or URL) of the registry and yield its answer, with any status below 500.

        If the answer puts the request off (429), it is sent again, as long as SECONDS allow.

        Raises:
            errors.RegistryUnreachable: no answer, an answer that broke off, none within SECONDS, or 5xx.
            errors.RegistryUntrusted: an untrusted certificate, or a forbidden redirect.
            errors.RegistryDenied: 401 or 403, after a login if one was demanded.
            errors.RegistryInvalid: too many redirects, or one without a valid target.
        """
        limit = self.patience if seconds is None else seconds
        with Connections(self._trust, limit, direct=is_loopback(self.host)) as wire:
            pauses = PAUSES if method in READING else ()
            answer = _steady(lambda: self._followed(wire, method, path, headers or {}, data), pauses)
            if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise refusal.trouble(self.host, method, answer.status)
            yield answer

    def _send(
        self, wire: Connections, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None
    ) -> Answer:
        """Send one request, again after each answer that puts it off, and return the first other answer.

        A 503 that outlasts the deadline is returned, too.

        Raises:
            errors.RegistryUnreachable: the rate limit outlasts the deadline.
        """
        for attempt in itertools.count():
            answer = wire.send(method, url, headers, data)
            if not backoff.is_put_off(answer.status, answer.headers):
                break
            pause = backoff.seconds(answer.headers, attempt)
            if pause >= wire.left:
                if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                    break
                raise refusal.limited(_named(url), method, backoff.retry_after(answer.headers), wire.seconds)
            answer.close()  # else each attempt would keep its socket until the end
            time.sleep(pause)
        return answer

    def _followed(
        self, wire: Connections, method: str, path: str, headers: Mapping[str, str], data: bytes | None
    ) -> Answer:
        url = self.target(f"{self.scheme}://{self.host}/v2/", path)
        for _ in range(REDIRECTS + 1):
            answer = self._authorized(wire, method, url, headers, data)
            if method not in READING or answer.status not in REDIRECT:
                return answer
            url = self.target(url, answer.headers.get("Location", NOWHERE))
        raise errors.RegistryInvalid(f"{self.host}: more than {REDIRECTS} redirects", "see its log")

    def target(self, base: str, location: str) -> str:
        """Return the absolute URL of LOCATION, from the answer of BASE.

        Raises:
            errors.RegistryUntrusted: it leads from https to http.
            errors.RegistryInvalid: it is not an http or https address.
        """
        try:
            url = urljoin(base, location)
            scheme, name, _ = _origin(url)
        except ValueError:
            scheme = name = ""
        if scheme == "http" and self.scheme == "https":
            raise errors.RegistryUntrusted(
                f"{self.host}: it leads from https to http, at {name}",
                "a proxy before it has to tell it X-Forwarded-Proto: https",
            )
        if scheme not in PORTS or not name:
            raise errors.RegistryInvalid(f"{self.host}: it leads to what is no address", "see its log")
        return url

    def _authorized(
        self, wire: Connections, method: str, url: str, headers: Mapping[str, str], data: bytes | None
    ) -> Answer:
        if _origin(url) != _origin(f"{self.scheme}://{self.host}"):
            places.refuse_inside(self.host, url)
            answer = self._send(wire, method, url, headers, data)
            if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise errors.RegistryDenied(
                    f"{self.host}: {_named(url)}, where it leads to, refuses {method} ({answer.status})",
                    "the address that the registry signs for its storage is not accepted: see its log, and its clock",
                )
        else:
            answer = self._send(wire, method, url, {**headers, **self.login.header}, data)
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status == HTTPStatus.UNAUTHORIZED and self._log_in(wire, challenge):
                answer = self._send(wire, method, url, {**headers, **self.login.header}, data)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self.login.refused(f"{method} ({answer.status})")
        return answer

    def _log_in(self, wire: Connections, challenge: str) -> bool:
        wanted = self.login.answer(challenge, self.scheme)
        if isinstance(wanted, bool):
            return wanted
        places.refuse_inside(self.host, wanted.url)
        answer = _steady(lambda: self._send(wire, wanted.method, wanted.url, wanted.headers, wanted.data), PAUSES)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise refusal.trouble(_named(wanted.url), f"{wanted.method} of a token", answer.status)
        self.login.take(answer.status, whole(answer.chunks, tokens.LIMIT, f"{self.host}: the token"))
        return True


def _steady(send: Callable[[], Answer], pauses: Sequence[float]) -> Answer:
    """Return the first answer of SEND below 500, or the last one after PAUSES (seconds)."""
    answer = send()
    for pause in pauses:
        if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            break
        answer.close()
        time.sleep(pause)
        answer = send()
    return answer


def whole(chunks: Iterator[bytes], limit: int, where: str) -> bytes:
    """Return all of CHUNKS as one value.

    Raises:
        errors.RegistryInvalid: there are more than LIMIT bytes; WHERE is their name in the message.
    """
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise errors.RegistryInvalid(f"{where}: more than {limit} bytes", "see the log of what answered")
    return bytes(data)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)


def _named(url: str) -> str:
    """Return URL's host and port, without the login."""
    return urlsplit(url).netloc.rpartition("@")[2]
