"""What is no registry, and what is one and lies."""

import base64
import gzip
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab import client, needed
from lab import registry as lab
from lab.client import WRONG, assert_tells_no_secret, log_in, store
from lab.liar import Liar, answer
from selfdeploy import errors, registry
from selfdeploy.registry import Registry, artifact

MANIFEST = json.dumps({"config": {"mediaType": artifact.CONFIG[0], "digest": registry.sha256(b"{}"), "size": 2}})
OCI = {"Content-Type": artifact.SINGLE[0]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return client.isolate(tmp_path, monkeypatch)


def test_the_registry_retries_a_failed_read_of_a_tag_but_never_a_write() -> None:
    def told(asked: str, _: object) -> bytes:
        times = [what for what, _ in there.asked].count(asked)
        if not asked.startswith("GET"):
            return answer(status=500)
        return answer(MANIFEST.encode(), headers=OCI) if times > 1 else answer(status=500)

    with Liar(told) as there:
        found = store(there.name).manifest("1")
        with pytest.raises(errors.RegistryUnreachable, match="answers 500 to PUT"):
            store(there.name).put_manifest(b"{}", OCI["Content-Type"], "1")

    assert found is not None
    assert [what.partition(" ")[0] for what, _ in there.asked] == ["GET", "GET", "PUT"]


@pytest.mark.parametrize(
    ("told", "error", "what"),
    [
        (b"", errors.RegistryUnreachable, "does not answer"),
        (b"\x00\xff garbage\r\n\r\n", errors.RegistryUnreachable, "does not answer"),
        (b"SSH-2.0-OpenSSH\r\n", errors.RegistryUnreachable, "does not answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", errors.RegistryUnreachable, "does not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", errors.RegistryInvalid, "is not an OCI registry"),
        (answer(b"<html>", headers={"Docker-Distribution-Api-Version": ""}), errors.RegistryInvalid, None),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", errors.RegistryInvalid, "is not an OCI registry"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", errors.RegistryInvalid, r"not an OCI registry \(HTTP 404\)"),
        (answer(status=500), errors.RegistryUnreachable, "answers 500 to GET"),
        (answer(status=503), errors.RegistryUnreachable, "answers 503 to GET"),
        (answer(status=403), errors.RegistryDenied, r"refuses GET \(403\)"),
        (answer(status=401), errors.RegistryDenied, r"refuses GET \(401\)"),
        (answer(status=401, headers={"WWW-Authenticate": "Basic"}), errors.RegistryDenied, "the login of ci"),
        (answer(status=401, headers={"WWW-Authenticate": 'Bearer realm="http://x/"'}), errors.RegistryUntrusted, None),
        (
            answer(status=401, headers={"WWW-Authenticate": 'Bearer realm="https://127.0.0.1:1/"'}),
            errors.RegistryUnreachable,
            "127.0.0.1:1: the registry does not answer",
        ),
        (
            answer(status=401, headers={"WWW-Authenticate": 'Bearer realm="https://127.0.0.1:99999/"'}),
            errors.RegistryUnreachable,
            "127.0.0.1:99999: the registry does not answer",
        ),
        (answer(status=302), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "/v2/"}), errors.RegistryInvalid, "more than 5 redirects"),
        (answer(status=302, headers={"Location": "file:///etc/passwd"}), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "http://["}), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "http://h:99999/"}), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "//"}), errors.RegistryInvalid, None),
    ],
)
def test_what_is_no_registry_is_told_as_what_it_is(
    told: bytes, error: type[errors.SelfdeployError], what: str | None, home: Path
) -> None:
    with Liar(lambda *_: told) as there:
        log_in(home, there.name, WRONG)

        with pytest.raises(error, match=what) as caught:
            store(there.name).ping()

        assert_tells_no_secret(caught.value)


@pytest.mark.parametrize(
    ("told", "error", "what"),
    [
        (answer(b"{}", headers=OCI), errors.RegistryInvalid, "config: Field required"),
        (answer(b"[1]", headers=OCI), errors.RegistryInvalid, "team/sf@sha256:"),
        (answer(b"{", headers=OCI), errors.RegistryInvalid, "Invalid JSON"),
        (answer(MANIFEST.encode(), headers=OCI), errors.RegistryInvalid, "layers: Field required"),
        (answer(b"{}", headers={"Content-Type": "text/html"}), errors.RegistryInvalid, "no image's media type"),
        (answer(b"{}", headers={"Content-Type": artifact.INDEX[0]}), errors.RegistryInvalid, "manifests: Field"),
        (
            answer(b'{"mediaType": "m", "manifests": []}', headers={"Content-Type": artifact.INDEX[0]}),
            errors.RegistryInvalid,
            "and it says 'm'",
        ),
        (answer(b"{}", size=9, headers=OCI), errors.RegistryUnreachable, "broke off its answer"),
        (answer(b"{" * (registry.LIMIT + 1), headers=OCI), errors.RegistryInvalid, f"more than {registry.LIMIT}"),
        (answer(b"{}", headers={**OCI, "Content-Encoding": "gzip"}), errors.RegistryUnreachable, "does not answer"),
        (
            answer(gzip.compress(b" " * (200 << 20)), headers={**OCI, "Content-Encoding": "gzip"}),
            errors.RegistryInvalid,
            f"more than {registry.LIMIT}",
        ),
        (answer(b"{}", status=204, headers=OCI), errors.RegistryInvalid, "expected HTTP 200, actual 204"),
        (answer(b"{}", status=500), errors.RegistryUnreachable, "answers 500"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    told: bytes, error: type[errors.SelfdeployError], what: str, home: Path
) -> None:
    with Liar(lambda *_: told) as there:
        log_in(home, there.name, WRONG)

        with pytest.raises(error, match=what) as caught:
            store(there.name).image("1")

        assert_tells_no_secret(caught.value)


def test_other_bytes_than_a_digest_names_are_refused() -> None:
    digest = registry.sha256(b"asked for")
    with Liar(lambda *_: answer(b"{}", headers=OCI)) as there:
        for ask in (store(there.name).manifest, store(there.name).blob):
            with pytest.raises(errors.RegistryInvalid, match=f"expected {digest}, actual sha256:44136fa3"):
                ask(digest)


def test_a_missing_image_is_missing_only_where_a_registry_says_so() -> None:
    with (
        Liar(lambda *_: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as there,
        pytest.raises(errors.RegistryInvalid, match="is not an OCI registry"),
    ):
        store(there.name).find_record("1")


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nx:", b"HTTP/1.1 200 OK\r\n\r\n", answer(b"", size=1 << 40, headers=OCI)],
)
def test_an_answer_that_comes_drop_by_drop_is_given_up_at_the_deadline(first: bytes) -> None:
    with Liar(lambda *_: there.dribble(first, b"x")) as there:
        began = time.monotonic()

        with pytest.raises(errors.RegistryUnreachable, match="has not answered to the end after 0.5 s"):
            store(there.name, patience=0.5).manifest("1")

        assert time.monotonic() - began < 5


def test_a_redirect_with_a_body_that_never_ends_is_followed_all_the_same() -> None:
    head = b"HTTP/1.1 307 Told\r\nLocation: /elsewhere\r\n\r\n"
    with Liar(lambda asked, _: there.dribble(head, b"x") if asked.startswith("GET /v2/") else answer(b"blob")) as there:
        assert store(there.name, patience=5).blob(registry.sha256(b"blob")) == b"blob"


def test_a_blob_that_never_ends_is_given_up_at_its_limit() -> None:
    with (
        Liar(lambda *_: there.dribble(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * (4 << 20))) as there,
        pytest.raises(errors.RegistryInvalid, match=f"more than {registry.LIMIT} bytes"),
    ):
        store(there.name).blob(registry.sha256(b"x"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_is_found_elsewhere_and_the_login_is_not_shown_there(status: int, home: Path) -> None:
    def closed(_: str, headers: Mapping[str, str]) -> bytes:
        if headers.get("authorization") != WRONG.header:
            return answer(status=401, headers={"WWW-Authenticate": "Basic"})
        place = f"http://{elsewhere.name}/bucket?signature=token-of-the-test"
        return answer(status=status, headers={"Location": place, "Set-Cookie": "a=token-of-the-test"})

    with Liar(lambda *_: answer(b"blob")) as elsewhere, Liar(closed) as there:
        log_in(home, there.name, WRONG)

        assert store(there.name).blob(registry.sha256(b"blob")) == b"blob"

        ((asked, headers),) = elsewhere.asked
        assert asked.startswith("GET /bucket")
        assert {"authorization", "cookie"}.isdisjoint(headers)
        assert headers["accept-encoding"] == "identity"


def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    needed.need(lab.MISSING)
    ours = Registry(registry.Reference(host="registry.example", repository="team/sf"), scheme="https")

    for location in ("http://registry.example/v2/", "http://elsewhere/"):
        with pytest.raises(errors.RegistryUntrusted, match="from https to http"):
            ours._transport.target("https://registry.example/v2/x", location)  # noqa: SLF001 -- no server for both


def test_what_the_server_writes_is_not_repeated_when_it_may_be_our_password(home: Path) -> None:
    def echo(asked: str, headers: Mapping[str, str]) -> bytes:
        given = headers.get("authorization", "")
        decoded = base64.b64decode(given.removeprefix("Basic ")) if given else b""
        if not given:
            return answer(status=401, headers={"WWW-Authenticate": "Basic"})
        if asked == "GET /v2/":
            return answer(b"{}")
        body = json.dumps({"errors": [{"code": given, "message": decoded.decode()}]}).encode()
        kind = {"Content-Type": decoded.decode(), "Location": f"{decoded.decode()}://{given}"}
        return answer(body, status=400, headers=kind)

    with Liar(echo) as there:
        log_in(home, there.name, WRONG)
        ours = store(there.name)

        for act in (lambda: ours.blob(registry.sha256(b"")), lambda: ours.put_manifest(b"", "m", "1"), ours.may_push):
            with pytest.raises(errors.SelfdeployError) as caught:
                act()
            assert_tells_no_secret(caught.value)


@pytest.mark.parametrize(
    ("told", "error", "what"),
    [
        (answer(status=202), errors.RegistryInvalid, "no address"),
        (answer(status=202, headers={"Location": "ftp://x/"}), errors.RegistryInvalid, "no address"),
        (answer(status=200), errors.RegistryInvalid, "expected HTTP 202, actual 200"),
        (answer(status=507), errors.RegistryUnreachable, "answers 507 to POST"),
    ],
)
def test_an_upload_that_leads_nowhere_is_refused(told: bytes, error: type[errors.SelfdeployError], what: str) -> None:
    with (
        Liar(lambda asked, _: told if asked.startswith("POST") else answer(b"{}")) as there,
        pytest.raises(error, match=what),
    ):
        store(there.name).may_push()
