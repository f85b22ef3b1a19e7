"""Registries that put requests off, and those that refuse a push: real ones, behind what does so in their place.

Distribution has no rate limit and no immutable tags; `lab.gatekeeper` answers as registries do that have them.
"""

import email.utils
import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lab import client, needed
from lab import registry as lab
from lab.client import CI, a_record, log_in, store
from lab.gatekeeper import Gatekeeper, Rule
from lab.liar import Liar, answer
from selfdeploy import errors, registry
from selfdeploy.registry import Registry, artifact

SINGLE = artifact.SINGLE[0]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return client.isolate(tmp_path, monkeypatch)


@pytest.fixture
def here() -> Iterator[lab.Registry]:
    needed.need(lab.MISSING)
    with lab.Registry() as running:
        yield running


def a_manifest(ours: Registry, text: str = "{}") -> bytes:
    """An image manifest whose parts OURS has; not pushed itself."""
    ours.put_blob(text.encode())
    config = {"mediaType": artifact.CONFIG[0], "digest": registry.sha256(text.encode()), "size": len(text)}
    return json.dumps({"schemaVersion": 2, "mediaType": SINGLE, "config": config, "layers": []}).encode()


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "0"}, {}, {"Retry-After": "soon"}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}]
)
def test_every_request_that_is_put_off_is_made_again(headers: Mapping[str, str], here: lab.Registry) -> None:
    everything = Rule(pattern="", status=429, headers=headers, times=1)
    with Gatekeeper(here.name, everything) as keeper:
        ours = store(keeper.name)

        ours.may_push()
        record = a_record(ours)

        assert ours.find_record("rev") == record
        assert ours.find_record("other") is None
        kinds = {re.sub(r" /v2/(team/sf/)?(manifests|blobs|).*", r" \2", line) for line in everything.given}
        assert kinds >= {
            "GET ",
            "GET manifests",
            "GET blobs",
            "POST blobs",
            "PUT blobs",
            "DELETE blobs",
            "PUT manifests",
        }


def test_a_request_is_put_off_for_as_long_as_it_is_asked_for(here: lab.Registry) -> None:
    data = a_manifest(store(here.name))
    store(here.name).put_manifest(data, SINGLE, "1")

    for is_date in (False, True):
        headers = {"Retry-After": email.utils.formatdate(time.time() + 4, usegmt=True) if is_date else "2"}
        with Gatekeeper(here.name, Rule(pattern="GET .*manifests/1", status=429, headers=headers, times=1)) as keeper:
            began = time.monotonic()

            assert store(keeper.name).manifest("1") is not None

            assert 1.5 < time.monotonic() - began < 15


@pytest.mark.parametrize("pattern", ["GET .*manifests/", "GET .*blobs/", "POST ", "PUT .*uploads/", "PUT .*manifests/"])
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}, {"Retry-After": "3600"}])
def test_a_limit_that_does_not_end_is_named_within_the_deadline(
    pattern: str, headers: Mapping[str, str], here: lab.Registry
) -> None:
    with Gatekeeper(here.name, Rule(pattern=pattern, status=429, headers=headers)) as keeper:
        began = time.monotonic()

        with pytest.raises(errors.RegistryUnreachable, match=r"rate limit: .* 429") as caught:
            a_record(store(keeper.name, patience=2.5))

        assert time.monotonic() - began < 10
        assert "the deadline is 2.5 s" in caught.value.message
        assert ("asks to wait 3600 s" in caught.value.message) == (headers.get("Retry-After") == "3600")
        assert keeper.name in caught.value.message
        assert "docker login" in caught.value.hint


def test_a_blob_behind_a_limit_is_not_called_absent(here: lab.Registry) -> None:
    data = a_manifest(store(here.name))
    store(here.name).put_manifest(data, SINGLE, "1")
    with Gatekeeper(here.name, Rule(pattern="(GET|HEAD) .*blobs/", status=429)) as keeper:
        with pytest.raises(errors.RegistryUnreachable, match="rate limit"):
            store(keeper.name, patience=1).absent(registry.sha256(data))

        keeper.rules[0].times = 1
        keeper.rules[0].given.clear()

        assert store(keeper.name).absent(registry.sha256(data)) == []


def test_a_token_that_is_put_off_is_asked_for_again(home: Path) -> None:
    tokens = [answer(status=429, headers={"Retry-After": "1"}), answer(status=503), answer(b'{"token": "good"}')]

    def closed(asked: str, headers: Mapping[str, str]) -> bytes:
        if asked.startswith("GET /token"):
            return tokens.pop(0)
        if headers.get("authorization") == "Bearer good":
            return answer(b"{}")
        return answer(status=401, headers={"WWW-Authenticate": f'Bearer realm="http://{there.name}/token"'})

    with Liar(closed) as there:
        log_in(home, there.name, CI)

        store(there.name).ping()

    assert tokens == []


@pytest.mark.parametrize(("status", "what"), [(429, "rate limit: .*429"), (502, "answers 502 to GET of a token")])
def test_a_token_that_is_never_given_is_no_wrong_login(status: int, what: str, home: Path) -> None:
    def closed(asked: str, _: object) -> bytes:
        if asked.startswith("GET /token"):
            return answer(status=status)
        return answer(status=401, headers={"WWW-Authenticate": f'Bearer realm="http://{there.name}/token"'})

    with Liar(closed) as there:
        log_in(home, there.name, CI)

        with pytest.raises(errors.RegistryUnreachable, match=what):
            store(there.name, patience=2).ping()


def test_an_outage_that_states_its_end_is_waited_out_by_a_write_too(here: lab.Registry) -> None:
    down = Rule(pattern="PUT|POST", status=503, headers={"Retry-After": "1"}, times=1)
    with Gatekeeper(here.name, down) as keeper:
        a_record(store(keeper.name))

        assert store(here.name).find_record("rev") is not None
        assert len(down.given) == 3  # an upload begun, ended, and a tag


@pytest.mark.parametrize("status", [400, 404, 405, 429, 500])
def test_an_upload_that_cannot_be_given_up_keeps_nobody_from_pushing(status: int, here: lab.Registry) -> None:
    with Gatekeeper(here.name, Rule(pattern="DELETE", status=status)) as keeper:
        store(keeper.name).may_push()

        assert any(line.startswith("DELETE") for line in keeper.asked)


def code(name: str) -> bytes:
    return json.dumps({"errors": [{"code": name, "message": f"secret {CI.password}"}]}).encode()


@pytest.mark.parametrize(
    ("rule", "error", "what", "hint"),
    [
        (Rule(pattern="POST", status=404), errors.PushRefused, "no such repository", "create team/sf"),
        (Rule(pattern="POST", status=405), errors.PushRefused, "takes no pushes", "mirror"),
        (Rule(pattern="POST", status=308), errors.PushRefused, "leads a push elsewhere", "image.repository"),
        (Rule(pattern="POST", status=418), errors.PushRefused, "answers 418 .*to the upload", "log"),
        (
            Rule(pattern="PUT .*uploads", status=404, body=code("BLOB_UPLOAD_UNKNOWN")),
            errors.PushRefused,
            "forgot the upload",
            "http.secret",
        ),
        (Rule(pattern="PUT .*uploads", status=413), errors.PushRefused, "too large", "client_max_body_size"),
        (Rule(pattern="PUT .*manifests", status=413), errors.PushRefused, "too large", "client_max_body_size"),
        (Rule(pattern="PUT .*manifests", status=404), errors.PushRefused, "no such repository", "create team/sf"),
        (
            Rule(pattern="PUT .*manifests", status=400, body=code("MANIFEST_INVALID")),
            errors.PushRefused,
            r"does not accept this kind of manifest \(HTTP 400, MANIFEST_INVALID\)",
            "OCI",
        ),
        (
            Rule(pattern="PUT .*manifests", status=404, body=code("MANIFEST_BLOB_UNKNOWN")),
            errors.PushLost,
            "lacks a part",
            "restart the registry",
        ),
        (Rule(pattern="PUT .*manifests", status=409), errors.PushRefused, "may not be overwritten", "delete that tag"),
        (Rule(pattern="PUT .*manifests", status=412), errors.PushRefused, "may not be overwritten", "delete that tag"),
        (Rule(pattern="PUT .*manifests", status=507), errors.RegistryUnreachable, "answers 507", "storage is full"),
        (Rule(pattern="PUT .*manifests", status=502), errors.RegistryUnreachable, "answers 502", "proxy"),
        (Rule(pattern="PUT .*manifests", status=503), errors.RegistryUnreachable, "answers 503", "later"),
        (Rule(pattern="PUT .*manifests", status=599), errors.RegistryUnreachable, "answers 599", "log"),
        (Rule(pattern="PUT .*manifests", status=403), errors.RegistryDenied, r"refuses PUT \(403\)", "docker login"),
    ],
    ids=lambda value: f"{value.pattern} {value.status}" if isinstance(value, Rule) else "",
)
def test_each_refusal_of_a_push_has_its_own_reason_and_a_way_on(
    rule: Rule, error: type[errors.SelfdeployError], what: str, hint: str, here: lab.Registry
) -> None:
    with Gatekeeper(here.name, rule) as keeper:
        with pytest.raises(error, match=what) as caught:
            a_record(store(keeper.name))

        assert hint in caught.value.hint
        assert CI.password not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("status", [400, 409, 412])
def test_a_tag_that_may_not_be_overwritten_is_fine_where_it_is_right_already(status: int, here: lab.Registry) -> None:
    first, second = (a_manifest(store(here.name), text) for text in ("{}", "[]"))
    store(here.name).put_manifest(first, SINGLE, "1")
    immutable = Rule(pattern="PUT .*manifests/1", status=status, body=code("TAG_INVALID"))
    with Gatekeeper(here.name, immutable) as keeper:
        store(keeper.name).put_manifest(first, SINGLE, "1")

        with pytest.raises(errors.PushRefused, match="this tag may not be overwritten there"):
            store(keeper.name).put_manifest(second, SINGLE, "1")


@pytest.mark.parametrize("status", [400, 405, 406, 410, 451])
def test_absent_is_what_a_registry_says_with_404_alone(status: int, here: lab.Registry) -> None:
    data = a_manifest(store(here.name))
    store(here.name).put_manifest(data, SINGLE, "1")
    for pattern in ("GET .*manifests/", "GET .*blobs/"):
        with Gatekeeper(here.name, Rule(pattern=pattern, status=status)) as keeper:
            for ask in (store(keeper.name).absent, store(keeper.name).image):
                with pytest.raises(errors.RegistryInvalid, match=f"expected HTTP 200, actual {status}"):
                    ask(registry.sha256(data))


def test_a_blob_that_is_gone_is_told_from_a_registry_that_is_damaged(here: lab.Registry) -> None:
    ours = store(here.name)

    with pytest.raises(errors.ImageGone, match="the registry does not have it") as caught:
        ours.blob(registry.sha256(b"never pushed"))

    assert "inv release --fresh" in caught.value.hint


def test_storage_that_a_registry_leads_to_and_that_refuses_is_named(home: Path) -> None:
    with (
        Liar(lambda *_: answer(status=403)) as storage,
        Liar(lambda *_: answer(status=307, headers={"Location": f"http://{storage.name}/b"})) as there,
    ):
        log_in(home, there.name, CI)

        with pytest.raises(errors.RegistryDenied, match=rf"{storage.name}, where it leads to, refuses GET \(403\)"):
            store(there.name).blob(registry.sha256(b"x"))
