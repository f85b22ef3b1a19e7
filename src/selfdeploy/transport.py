"""HTTP to one registry: deadlines over all of an answer, bounded redirects, credentials that go nowhere else."""

import contextlib
import http.cookiejar
import ipaddress
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from selfdeploy import connections, errors, tokens

SILENCE = (10.0, 30.0)
"""Seconds until a connection has to be there, and between two parts of an answer."""
REDIRECTS = 5
CHUNK = 1 << 16
PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Say whether HOST, with or without a port, is this machine's loopback."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The beginning of an answer; its body is read from `chunks`, inside the exchange."""

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: Iterator[bytes] = field(repr=False)


@dataclass(kw_only=True)
class Transport:
    """A way to one registry, with the authorization it demanded so far."""

    host: str
    scheme: str
    login: tokens.Login = field(repr=False)
    patience: float = 60.0
    """Seconds for an exchange from its beginning to the last byte of the answer, redirects and logins included."""

    def __post_init__(self) -> None:
        """Make the session: no cookies, no .netrc, no proxy to loopback."""
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(self.host)
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._adapter = connections.Adapter(connections.trust(self.host) if self.scheme == "https" else None)
        for prefix in ("http://", "https://"):
            self._session.mount(prefix, self._adapter)

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
        """Send a request to PATH (or URL) of the registry and give its answer, whatever its status below 500.

        Raises:
            errors.RegistryUnreachable: no answer, an answer that broke off, or none within SECONDS.
            errors.RegistryUntrusted: a certificate nobody vouches for, or a redirect that must not be followed.
            errors.RegistryDenied: 401 or 403, after a login where one was demanded.
            errors.RegistryInvalid: too many redirects, or no HTTP.
        """
        with self._deadline(self.patience if seconds is None else seconds) as spent:
            url = self.target(f"{self.scheme}://{self.host}/v2/", path)
            for _ in range(REDIRECTS + 1):
                response = self._authorized(method, url, dict(headers or {}), data, spent)
                if method not in {"GET", "HEAD"} or not response.is_redirect:
                    break
                response.close()
                url = self.target(url, response.headers["Location"])
            else:
                raise errors.RegistryInvalid(f"{self.host}: more than {REDIRECTS} redirects", "see its log")
            with contextlib.closing(response):
                if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise errors.RegistryUnreachable(
                        f"{self.host}: the registry answers {response.status_code} to {method}", "see its log"
                    )
                chunks = self._chunks(response, spent)
                yield Answer(status=response.status_code, headers=response.headers, url=url, chunks=chunks)

    def target(self, base: str, location: str) -> str:
        """Return the URL that LOCATION, told by what BASE answered, leads to.

        Raises:
            errors.RegistryUntrusted: it leads from https to something else.
            errors.RegistryInvalid: it leads nowhere.
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
        self, method: str, url: str, headers: dict[str, str], data: bytes | None, spent: threading.Event
    ) -> requests.Response:
        if _origin(url) != _origin(f"{self.scheme}://{self.host}"):
            response = self._send(method, url, headers, data, spent)
        else:
            response = self._send(method, url, {**headers, **self.login.header}, data, spent)
            challenge = response.headers.get("WWW-Authenticate", "")
            if response.status_code == HTTPStatus.UNAUTHORIZED and self._log_in(challenge, spent):
                response.close()
                response = self._send(method, url, {**headers, **self.login.header}, data, spent)
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            response.close()
            raise self.login.refused(f"{method} ({response.status_code})")
        return response

    def _log_in(self, challenge: str, spent: threading.Event) -> bool:
        wanted = self.login.answer(challenge, self.scheme)
        if isinstance(wanted, bool):
            return wanted
        response = self._send(wanted.method, wanted.url, wanted.headers, wanted.data, spent)
        with contextlib.closing(response):
            self.login.take(
                response.status_code, whole(self._chunks(response, spent), tokens.LIMIT, f"{self.host}: the token")
            )
        return True

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, spent: threading.Event
    ) -> requests.Response:
        with self._explained(url, spent):
            return self._session.request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **headers},
                data=data,
                timeout=SILENCE,
                allow_redirects=False,
                stream=True,
                auth=lambda request: request,  # or else requests takes a login from the URL or .netrc
            )

    def _chunks(self, response: requests.Response, spent: threading.Event) -> Iterator[bytes]:
        with self._explained(response.url, spent):
            yield from response.iter_content(CHUNK)
            if spent.is_set():  # what was cut looks like an end where no length was told
                raise requests.Timeout

    @contextlib.contextmanager
    def _deadline(self, seconds: float) -> Iterator[threading.Event]:
        spent = threading.Event()

        def end() -> None:
            spent.set()
            self._adapter.cut()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield spent
        finally:
            timer.cancel()

    @contextlib.contextmanager
    def _explained(self, url: str, spent: threading.Event) -> Iterator[None]:
        """Turn what requests raises into errors of ours that name the host alone: a URL may hold a secret."""
        try:
            yield
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
            host = urlsplit(url).netloc.rpartition("@")[2]
            unproven = re.search(r"certificate verify failed: ([^(]+)", str(exc))
            if unproven:
                raise errors.RegistryUntrusted(
                    f"{host}: its certificate is not trusted: {unproven[1].strip()}",
                    f"put its authority into {connections.authority(self.host)}, or name it in SSL_CERT_FILE",
                ) from None
            what = "took too long" if spent.is_set() or isinstance(exc, requests.Timeout) else "does not answer"
            if isinstance(exc, requests.exceptions.SSLError):
                what = "does not speak TLS"
            elif isinstance(exc, requests.exceptions.ChunkedEncodingError):
                what = "broke off its answer"
            raise errors.RegistryUnreachable(
                f"{host}: the registry {what} ({type(exc).__name__})",
                "start it (inv registry.up for the local one), or see image.repository in deploy.toml",
            ) from None


def whole(chunks: Iterator[bytes], limit: int, where: str) -> bytes:
    """Return all of CHUNKS.

    Raises:
        errors.RegistryInvalid: there are more than LIMIT bytes; WHERE names them.
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
