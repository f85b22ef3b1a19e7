"""Connections to a registry: whose certificates they trust, and how a deadline ends them."""

import contextlib
import functools
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter

from selfdeploy import errors

CERTIFICATES = Path("/etc/docker/certs.d")


def authority(host: str) -> Path:
    """Return where Docker looks for the certificate of the authority of HOST alone."""
    return CERTIFICATES / host / "ca.crt"


def authorities(host: str) -> list[Path]:
    """Return the certificates of the authorities that Docker, too, trusts for HOST alone."""
    return sorted(authority(host).parent.glob("*.crt"))


def trust(host: str) -> ssl.SSLContext:
    """Return what proves a server to us: the system's authorities or SSL_CERT_FILE's, REQUESTS_CA_BUNDLE's, HOST's own.

    Raises:
        errors.ConfigInvalid: one of these files holds no certificate.
    """
    context = ssl.create_default_context()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    for file in [*([Path(bundle)] if bundle else []), *authorities(host)]:
        try:
            context.load_verify_locations(*((None, file) if file.is_dir() else (file,)))
        except OSError as exc:
            raise errors.ConfigInvalid(f"{file}: no certificates: {exc.strerror}", f"it is to prove {host}") from exc
    return context


class Adapter(HTTPAdapter):
    """Connections that trust one context, and that another thread can cut whatever they wait for."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._opened: list[Any] = []
        super().__init__()

    def cert_verify(self, *_: Any) -> None:  # noqa: ANN401 -- requests'
        """Leave to the context what is trusted; requests would add authorities of its own."""

    def build_connection_pool_key_attributes(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 -- requests'
        """Return what requests asks for: where to connect to, and the context to trust there."""
        place, _ = super().build_connection_pool_key_attributes(*args, **named)
        return place, {"ssl_context": self._context} if place["scheme"] == "https" else {}

    def get_connection_with_tls_context(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 -- requests'
        """Return a pool that tells us its connections."""
        pool: Any = super().get_connection_with_tls_context(*args, **named)
        pool.ConnectionCls = functools.partial(self._open, type(pool).ConnectionCls)
        return pool

    def _open(self, kind: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401 -- urllib3's
        self._opened.append(kind(*args, **named))
        return self._opened[-1]

    def cut(self) -> None:
        """End every connection: who waits for one sees its end."""
        for connection in list(self._opened):
            if isinstance(connection.sock, socket.socket):
                with contextlib.suppress(OSError):
                    # Not the method of an SSLSocket: that one takes its TLS away from who is reading.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
