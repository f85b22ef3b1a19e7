"""Tailscale's view of this host: its state, its name in the tailnet, and the ports it forwards.

Sources: Tailscale's `ipn/ipnstate` (Status) and `ipn` (ServeConfig), which `--json` prints.
"""

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from selfdeploy import errors, process

TIMEOUT = 5.0
"""Seconds to wait for each answer; without a status Tailscale counts as absent."""

RUNNING = "Running"


@dataclass(frozen=True, kw_only=True)
class Way:
    """A route by `tailscale serve` to a port of this host, PUBLIC if Funnel opens it to the internet."""

    url: str
    host: str
    port: str
    public: bool

    def leads_to(self, address: str, port: str) -> bool:
        """Return whether this route ends at a server published at PORT of ADDRESS."""
        everywhere = {"0.0.0.0", "::"}  # noqa: S104 -- compared, not bound
        own = {"localhost": "127.0.0.1"}.get(self.host, self.host)
        return self.port == port and (own == address or address in everywhere)


@dataclass(frozen=True, kw_only=True)
class Tailnet:
    """This host in its tailnet; `state` is `Running` if it is up, `userspace` is true without a network interface."""

    state: str
    online: bool = False
    userspace: bool = False
    name: str = ""
    health: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()

    @property
    def trouble(self) -> str:
        """The reason this host is unreachable over the tailnet now; empty if it is reachable."""
        why = f": {self.health[0]}" if self.health else ""
        if self.state != RUNNING:
            return f"Tailscale is {self.state}{why}"
        return "" if self.online else f"Tailscale is not connected{why}"


def find() -> Tailnet | None:
    """Return Tailscale's view of this host; None if it is not installed, or its daemon does not answer."""
    status = _ask("status", "--json")
    if status is None:
        return None
    return read(status, _ask("serve", "status", "--json"))


def _ask(*argv: str) -> object | None:
    try:
        outcome = process.run(["tailscale", *argv], timeout=TIMEOUT, check=False)
        return None if outcome.code else json.loads(outcome.stdout)
    except (errors.ToolMissing, errors.CommandTimedOut, ValueError, RecursionError):
        return None


def read(status: object, serve: object) -> Tailnet | None:
    """Parse STATUS and SERVE, Tailscale's JSON; return None if STATUS has another format."""
    if not isinstance(status, dict) or not isinstance(status.get("BackendState"), str):
        return None
    own, health = _table(status.get("Self")), status.get("Health")
    return Tailnet(
        state=status["BackendState"],
        online=own.get("Online") is True,
        userspace=status.get("TUN") is False,
        name=str(own.get("DNSName") or "").rstrip("."),
        health=tuple(map(str, health)) if isinstance(health, list) else (),
        ways=tuple(_ways(_table(serve), str(own.get("DNSName") or "").rstrip("."))),
    )


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _ways(serve: Mapping[str, Any], name: str) -> Iterator[Way]:
    """Yield the routes in SERVE, including those of foreground sessions and services."""
    public = {host for host, allowed in _table(serve.get("AllowFunnel")).items() if allowed is True}
    ports = _table(serve.get("TCP"))
    for host, web in _table(serve.get("Web")).items():
        scheme = "http" if _table(ports.get(host.rpartition(":")[2])).get("HTTP") is True else "https"
        for path, handler in _table(_table(web).get("Handlers")).items():
            yield from _way(f"{scheme}://{host}{path}", _table(handler).get("Proxy"), public=host in public)
    for port, handler in ports.items():
        target = _table(handler).get("TCPForward")
        yield from _way(f"tcp://{name}:{port}", target and f"tcp://{target}", public=f"{name}:{port}" in public)
    for inner in (*_table(serve.get("Foreground")).values(), *_table(serve.get("Services")).values()):
        yield from _ways(_table(inner), name)


def _way(url: str, target: object, *, public: bool) -> Iterator[Way]:
    """Yield the route from URL to TARGET, if TARGET is a port of a host."""
    if not isinstance(target, str) or not target:
        return
    text = target if "://" in target else f"http://{target}"
    try:
        parts = urlsplit(text)
        port = parts.port or {"https": 443, "https+insecure": 443}.get(parts.scheme, 80)
    except ValueError:
        return
    yield Way(url=url.removesuffix("/"), host=parts.hostname or "", port=str(port), public=public)


def describe(found: Tailnet | None, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: str) -> list[str]:
    """Return a clause for each of FOUND's routes from outside this host to PORT of ADDRESS."""
    if found is None or found.state != RUNNING:
        return []
    clauses = [
        f"{'everybody on the internet' if way.public else 'your tailnet'} reaches it at {way.url} "
        f"(tailscale {'funnel' if way.public else 'serve'})"
        for way in found.ways
        if way.leads_to(str(address), port)
    ]
    passes = address.is_unspecified or str(address) == "127.0.0.1"
    if found.userspace and passes:
        at = f" at http://{found.name}:{port}" if found.name else ""
        clauses.append(f"your tailnet reaches it{at} (tailscaled in userspace mode passes it on to 127.0.0.1)")
    return clauses
