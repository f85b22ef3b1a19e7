"""The bind guard: check the address to publish the server on, and describe its audience."""

import ipaddress
import json
from collections.abc import Mapping

from selfdeploy import errors, process
from selfdeploy.vega import tailnet

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TAILSCALE = tuple(map(ipaddress.ip_network, ("100.64.0.0/10", "fd7a:115c:a1e0::/48")))
"""Tailscale's address ranges (Tailscale, "What are these 100.x.y.z addresses?"). RFC 6598 shares the first."""

PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7"))
)
"""Ranges of RFC 1918, RFC 3927 and RFC 4193; `is_private` covers many more."""


HOST_ALONE = "only this host reaches it"
TAILNET = "your tailnet reaches it"
IPV6 = 6


def host_addresses() -> dict[str, str]:
    """Return this host's addresses, except IPv6 link-local ones, and the interface of each.

    Raises:
        errors.CommandFailed: `ip` failed, or its output is not the expected JSON.
    """
    told = process.run(["ip", "-json", "address", "show"], timeout=10).stdout
    try:
        return {
            str(address["local"]): str(interface["ifname"])
            for interface in json.loads(told or b"[]")
            for address in interface.get("addr_info", ())
            if not str(address.get("local", "fe80:")).startswith("fe80:")
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.CommandFailed(f"ip -json address show: no list of interfaces: {exc}", "ip -V") from exc


def check(address: Address, access_control: str) -> None:
    """Raise `errors.BindRefused` unless the server may be published on ADDRESS of this host.

    If a Tailscale address is missing, the hint gives the reason that Tailscale reports.
    """
    _judge_here(address, access_control)


def reach(address: Address, port: str, access_control: str) -> str:
    """Describe the audience of PORT of ADDRESS on this host, Tailscale included; raise as `check` does."""
    return describe(_judge_here(address, access_control), address, port, tailnet.find())


def _judge_here(address: Address, access_control: str) -> str:
    try:
        return judge(address, access_control, {} if address.is_loopback else host_addresses())
    except errors.BindRefused as exc:
        found = tailnet.find() if _is_tailscale(address) else None
        if found and found.userspace:
            exc.hint = (
                "tailscaled is in userspace mode, without an interface: bind 127.0.0.1, where it passes peers on to"
            )
        elif found and found.trouble:
            exc.hint = f"{found.trouble}; tailscale up, then run the command again"
        raise


def describe(reached: str, address: Address, port: str, found: tailnet.Tailnet | None) -> str:
    """Add Tailscale's ways to PORT of ADDRESS to REACHED, the audience by this host's interfaces."""
    more = tailnet.describe(found, address, port)
    if _is_tailscale(address) and found and reached.startswith(TAILNET):
        if found.trouble:
            more.insert(0, f"but nobody does now: {found.trouble}")
        elif found.name and address.version == IPV6:
            more.insert(0, f"by its address alone: {found.name} has no AAAA record")
        elif found.name:
            more.insert(0, f"at http://{found.name}:{port}")
    if reached == HOST_ALONE and more:
        return "; ".join(["this host reaches it", *more])
    return "; ".join([reached, *more])


def _is_tailscale(address: Address) -> bool:
    return any(address in network for network in TAILSCALE)


def parse(text: str) -> Address:
    """Parse TEXT as an address, with IPv4-mapped IPv6 addresses as IPv4.

    Raises:
        errors.BindRefused: TEXT is not an address.
    """
    bare = text.strip().removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address("127.0.0.1" if bare == "localhost" else bare)
    except ValueError as exc:
        raise errors.BindRefused(f"bind: {text!r} is no address", "name an address of this host: --bind") from exc
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def judge(address: Address, access_control: str, interfaces: Mapping[str, str]) -> str:
    """Describe the audience of ADDRESS on a host with INTERFACES (address to interface).

    Raises:
        errors.BindRefused: ADDRESS is IPv6 link-local, is not the host's, or is public without access control.
    """
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.is_link_local):
        raise errors.BindRefused(f"bind: {address} holds on one link only", "name another address of this host")
    if not address.is_loopback and not address.is_unspecified and str(address) not in interfaces:
        listed = ", ".join(f"{known} ({interface})" for known, interface in interfaces.items())
        raise errors.BindRefused(f"bind: this host has no address {address}", f"it has {listed}")
    interface = interfaces.get(str(address), "")
    if address.is_loopback:
        return HOST_ALONE
    if _is_tailscale(address) and interface.startswith("tailscale"):
        return f"{TAILNET} ({interface})"
    if address in TAILSCALE[0]:
        return f"the shared address space at {interface} reaches it, which is a provider's network, or an overlay's"
    if any(address in network for network in PRIVATE):
        return f"the private network at {interface} reaches it"
    if access_control == "none":
        raise errors.BindRefused(
            f"bind: {address}: everybody who reaches this host would reach the server",
            "bind a Tailscale or private address; or, where a proxy or a firewall owns access control, say so: "
            'vega.access_control = "proxy" or "firewall" in deploy.toml',
        )
    return f"everybody reaches it whom the {access_control} lets pass"
