"""The connections of one exchange with a registry: the certificates they trust, and a deadline that ends them."""

import contextlib
import functools
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from selfdeploy import errors

CERTIFICATES = Path("/etc/docker/certs.d")
SILENCE = (10.0, 30.0)
"""Seconds allowed to connect, and between two parts of an answer."""
CHUNK = 1 << 16
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "selfdeploy"}


def authority(host: str) -> Path:
    """Return Docker's path for the certificate of an authority trusted for HOST alone."""
    return CERTIFICATES / host / "ca.crt"


def authorities(host: str) -> list[Path]:
    """Return the certificates of the authorities that Docker trusts for HOST alone."""
    return sorted(authority(host).parent.glob("*.crt"))


def trust(host: str) -> ssl.SSLContext:
    """Return a TLS context with the authorities of the system or SSL_CERT_FILE, REQUESTS_CA_BUNDLE, and HOST.

    Raises:
        errors.ConfigInvalid: a file of REQUESTS_CA_BUNDLE or HOST holds no certificate.
    """
    context = ssl.create_default_context()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    for file in [*([Path(bundle)] if bundle else []), *authorities(host)]:
        try:
            context.load_verify_locations(*((None, file) if file.is_dir() else (file,)))
        except OSError as exc:
            raise errors.ConfigInvalid(f"{file}: no certificates: {exc.strerror}", f"it is to prove {host}") from exc
    return context


class _Adapter(HTTPAdapter):
    """HTTP connections that trust one TLS context, and report their sockets."""

    def __init__(self, context: ssl.SSLContext | None, opened: Callable[[socket.socket], None]) -> None:
        self._context, self._opened = context, opened
        super().__init__()

    def cert_verify(self, *_: Any) -> None:  # noqa: ANN401 -- requests'
        """Leave trust to the TLS context; requests would add authorities of its own."""

    def build_connection_pool_key_attributes(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 -- requests'
        """Return the pool's key for requests: the address, and our TLS context for https."""
        place, _ = super().build_connection_pool_key_attributes(*args, **named)
        return place, {"ssl_context": self._context} if place["scheme"] == "https" else {}

    def get_connection_with_tls_context(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 -- requests'
        """Return a pool whose connections report their sockets."""
        pool: Any = super().get_connection_with_tls_context(*args, **named)
        pool.ConnectionCls = functools.partial(self._new, type(pool).ConnectionCls)
        return pool

    def _new(self, kind: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401 -- urllib3's
        connection = kind(*args, **named)
        plain = connection.connect

        def connect() -> None:
            plain()
            self._opened(connection.sock)

        connection.connect = connect
        return connection


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The beginning of an answer; read its body from `chunks` while the connections are open."""

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: Iterator[bytes] = field(repr=False)
    close: Callable[[], None] = field(default=lambda: None, repr=False)


class Connections:
    """The connections of one exchange, closed with the context; SECONDS is the deadline.

    They follow no redirect, keep no cookie, and use no proxy if DIRECT is set.
    """

    def __init__(self, context: ssl.SSLContext | None, seconds: float, *, direct: bool) -> None:
        self._spent = threading.Event()
        self._sockets: list[socket.socket] = []
        self.seconds, self._ends = seconds, 0.0
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._stack = contextlib.ExitStack()
        self._adapter = _Adapter(context, self._opened)
        self._stack.callback(self._adapter.close)
        self._direct = direct

    def __enter__(self) -> Self:
        self._ends = time.monotonic() + self.seconds
        self._timer.start()
        return self

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._ends - time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._stack.close()

    def send(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None) -> Answer:
        """Send one request and return its answer, with any status.

        Raises:
            errors.RegistryUnreachable: there is no answer, or none before the deadline.
            errors.RegistryUntrusted: the server's certificate is not trusted.
        """
        with self._explained(url):
            # Without a session: it would read all of a redirect's body, and take a login from the URL or .netrc.
            request = requests.Request(method, url, {**HEADERS, **headers}, data=data, auth=lambda given: given)
            proxies = {} if self._direct else requests.utils.get_environ_proxies(url)
            response = self._adapter.send(request.prepare(), stream=True, timeout=SILENCE, proxies=proxies)
        self._stack.callback(response.close)
        return Answer(
            status=response.status_code,
            headers=response.headers,
            url=url,
            chunks=self._chunks(response, url),
            close=response.close,
        )

    def _chunks(self, response: requests.Response, url: str) -> Iterator[bytes]:
        with self._explained(url):
            yield from response.iter_content(CHUNK)
            if self._spent.is_set():  # without a length, a cut looks like the end
                raise requests.Timeout

    def _opened(self, made: socket.socket) -> None:
        self._sockets.append(made)
        if self._spent.is_set():
            self._cut()

    def _cut(self) -> None:
        """Shut down every connection; its reader sees the end of the stream."""
        self._spent.set()
        for made in list(self._sockets):
            with contextlib.suppress(OSError):
                # Not SSLSocket's own method: it would take the TLS away under a concurrent reader.
                socket.socket.shutdown(made, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _explained(self, url: str) -> Iterator[None]:
        """Turn the errors of requests into our own, with the host alone: a URL may hold a secret."""
        try:
            yield
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
            host = urlsplit(url).netloc.rpartition("@")[2]
            unproven = re.search(r"certificate verify failed: ([^(]+)", str(exc))
            if unproven:
                raise errors.RegistryUntrusted(
                    f"{host}: its certificate is not trusted: {unproven[1].strip()}",
                    f"put its authority into {authority(host)}, or name it in SSL_CERT_FILE",
                ) from None
            what = f"does not answer ({type(exc).__name__})"
            if self._spent.is_set():
                what = f"has not answered to the end after {self.seconds:g} s"
            elif isinstance(exc, requests.exceptions.SSLError):
                what = "does not speak TLS"
            elif isinstance(exc, requests.exceptions.ChunkedEncodingError):
                what = "broke off its answer"
            raise errors.RegistryUnreachable(
                f"{host}: the registry {what}",
                "start it (inv registry.up for the local one), or see image.repository in deploy.toml",
            ) from None
