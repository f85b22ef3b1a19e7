"""Where a registry may lead us, and where not; names are resolved here by a table."""

import socket

import pytest

from selfdeploy import errors
from selfdeploy.registry import places

NAMES = {
    "registry.example": ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "storage.example": ["151.101.1.69"],
    "rebound.example": ["151.101.1.69", "10.0.0.7"],
    "metadata.internal": ["169.254.169.254"],
    "registry.lan": ["192.168.1.5"],
    "tailnet.lan": ["100.64.0.9"],
    "localhost": ["127.0.0.1", "::1"],
}


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str, _: object) -> list[tuple[object, ...]]:
        if name not in NAMES:
            raise socket.gaierror("unknown")
        return [(0, 0, 0, "", (address, 0)) for address in NAMES[name]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    places._place.cache_clear()  # noqa: SLF001 -- of the real names


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("registry.example", "https://169.254.169.254/latest"),
        ("registry.example", "https://metadata.internal/"),
        ("registry.example", "https://[fe80::1]/"),
        ("registry.example", "https://10.0.0.1/"),
        ("registry.example", "https://192.168.1.5:8443/"),
        ("registry.example", "https://100.64.0.9/"),
        ("registry.example", "https://[fd7a:115c:a1e0::1]/"),
        ("registry.example:5000", "https://registry.lan/token"),
        ("registry.example", "https://rebound.example/"),
        ("registry.example", "https://localhost/"),
        ("registry.example", "https://127.0.0.1/"),
        ("registry.example", "https://[::ffff:127.0.0.1]/"),
        ("registry.example", "https://0.0.0.0/"),
        ("registry.lan", "https://127.0.0.1:2375/"),
        ("registry.lan", "https://169.254.169.254/"),
        ("127.0.0.1:5000", "https://169.254.169.254/"),
    ],
)
def test_a_registry_leads_nobody_further_inside_than_it_is(host: str, target: str) -> None:
    with pytest.raises(errors.RegistryUntrusted, match="a private or link-local address"):
        places.refuse_inside(host, target)


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("registry.example", "https://storage.example/bucket"),
        ("registry.example", "https://registry.example:8443/token"),
        ("registry.example", "https://unknown.example/"),
        ("registry.lan", "https://10.0.0.1/minio"),
        ("registry.lan:5000", "https://registry.lan/"),
        ("tailnet.lan", "https://100.64.0.10/"),
        ("127.0.0.1:5000", "http://localhost:9000/"),
        ("127.0.0.1:5000", "https://192.168.1.5/"),
        ("[::1]:5000", "http://127.0.0.1:9000/"),
        ("169.254.1.1:5000", "https://169.254.1.2/"),
        ("registry.lan", "https://storage.example/"),
    ],
)
def test_a_registry_leads_to_where_it_is_itself_or_further_out(host: str, target: str) -> None:
    places.refuse_inside(host, target)
