"""Where on the network a host is: a registry on the internet must not lead us to what only this machine can reach.

A cloud's metadata service, a router or a database would get requests that the registry's owner chose, with a login
among them where it is named as the server of tokens.
"""

import functools
import ipaddress
import socket
from urllib.parse import urlsplit

from selfdeploy import errors

INTERNET, PRIVATE, LOOPBACK, LINK_LOCAL = range(4)


def refuse_inside(host: str, url: str) -> None:
    """Return unless the registry HOST (with or without a port) leads to URL, further inside than it is itself.

    Raises:
        errors.RegistryUntrusted: it leads from the internet to a private address, from there to this machine's
            loopback, or from anywhere to a link-local address.
    """
    target = urlsplit(url).hostname or ""
    own = urlsplit(f"//{host}").hostname or ""
    if target != own and _place(target) > _place(own):
        raise errors.RegistryUntrusted(
            f"{host}: it leads to {target}, a private or link-local address, and is not there itself",
            "see the registry's realm and redirects; name it in image.repository by its address inside, if it has one",
        )


@functools.cache
def _place(name: str) -> int:
    """Return the innermost place of the addresses of NAME; outside if it cannot be resolved, as behind a proxy."""
    try:
        found = [ipaddress.ip_address(name)]
    except ValueError:
        try:
            found = [ipaddress.ip_address(str(info[4][0])) for info in socket.getaddrinfo(name, None)]
        except (OSError, ValueError):
            found = []
    return max(map(_rank, found), default=INTERNET)


def _rank(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_link_local:
        return LINK_LOCAL
    if address.is_loopback or address.is_unspecified:
        return LOOPBACK
    return INTERNET if address.is_global else PRIVATE
