"""A real registry that leads elsewhere, for a token or for a blob: never further inside than it is itself."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import client, needed
from lab import registry as lab
from lab.client import CI, a_record, assert_tells_no_secret, log_in, store, trust
from selfdeploy import errors, registry

LOOPBACK = "127.0.0.1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = client.isolate(tmp_path, monkeypatch)
    monkeypatch.setenv("NO_PROXY", "*")
    return folder


@pytest.fixture
def outside() -> str:
    """An address of this machine that is not loopback."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("198.51.100.1", 9))  # sends nothing, and has the kernel choose the address
        address = str(asking.getsockname()[0])
        if not address.startswith("127."):
            return address
    needed.need(["an address that is not loopback"])
    raise AssertionError


@contextlib.contextmanager
def leading(at: str, to: str) -> Iterator[tuple[registry.Registry, list[str]]]:
    """Give a registry at the address AT that leads to a storage at TO, and what the storage is asked."""
    there, asked = lab.Registry(address=at), list[str]()

    class Storage(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return f"{there.data}{path}"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's own name
            asked.append(format % args)

    with ThreadingHTTPServer((to, 0), Storage) as server:
        there.storage = f"http://{to}:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with there:
            reference = registry.Reference(host=there.name, repository="team/sf")
            yield registry.connect(reference, insecure=True), asked
        server.shutdown()


def test_a_registry_that_sends_for_a_token_further_inside_is_not_followed(home: Path, outside: str) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(address=outside, tls=True, login=CI, token=True, tokens_at=LOOPBACK) as there:
        assert there.tokens is not None
        trust(home, there)
        log_in(home, there.name, CI)

        with pytest.raises(errors.RegistryUntrusted, match=f"leads to {LOOPBACK}, a private or link-local") as caught:
            store(there.name).ping()

        assert (there.tokens.asked, there.tokens.refused) == ([], 0)
        assert_tells_no_secret(caught.value)


def test_a_registry_that_leads_to_a_blob_further_inside_is_not_followed(outside: str) -> None:
    needed.need(lab.MISSING)
    with leading(outside, LOOPBACK) as (ours, asked):
        with pytest.raises(errors.RegistryUntrusted, match=f"leads to {LOOPBACK}, a private or link-local"):
            a_record(ours)

        assert asked == []


def test_a_registry_that_leads_to_a_blob_further_out_is_followed(outside: str) -> None:
    needed.need(lab.MISSING)
    with leading(LOOPBACK, outside) as (ours, asked):
        record = a_record(ours)

        assert ours.find_record("rev") == record
        assert any("/docker/registry/v2/blobs/sha256/" in line for line in asked)
