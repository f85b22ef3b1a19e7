"""Network location of hosts: a registry on the internet must not lead us to addresses only this machine can reach.

Otherwise a cloud's metadata service, a router or a database would get requests chosen by the registry's owner, and even
our login, if the registry names it as its token server.
"""

import functools
import ipaddress
import socket
from urllib.parse import urlsplit

from selfdeploy import errors

INTERNET, PRIVATE, LOOPBACK, LINK_LOCAL = range(4)


def refuse_inside(host: str, url: str) -> None:
    """Check that URL, named by the registry HOST (with or without a port), is not further inside than HOST.

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
    """Return the innermost location of NAME's addresses; the internet if they are unknown, as behind a proxy."""
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
