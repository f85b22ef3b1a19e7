"""Host names and addresses: whether they denote this machine."""

import contextlib
import ipaddress
import socket


def is_here(name: str) -> bool:
    """Return whether NAME's form alone denotes this machine: a loopback name or address, or the unspecified address.

    A client of the unspecified address (0.0.0.0) reaches its own machine (RFC 1122, 3.2.1.3).
    """
    bare = name.lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(bare)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback or (mapped or address).is_unspecified
    return False


def is_own(name: str) -> bool:
    """Return whether the host NAME leads to this machine: by its form, or since it resolves to an address of ours."""
    if is_here(name):
        return True
    try:
        found = {info[4][0] for info in socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)}
    except (OSError, UnicodeError):
        return False
    return any(_has(str(address)) for address in found)


def _has(address: str) -> bool:
    """Return whether this machine has ADDRESS: only its own addresses can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as attempt:
            attempt.bind((address.partition("%")[0], 0))
    except OSError:
        return False
    return True
