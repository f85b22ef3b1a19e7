"""What a registry stores and demands, as values."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from selfdeploy import artifact, credentials, errors, registry
from selfdeploy.artifact import Descriptor
from selfdeploy.tokens import Login, Wanted

DIGEST = "sha256:" + "1" * 64
SECRET = "a very secret thing"  # noqa: S105 -- to be looked for where it must not be


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def a_login(config: Path, auth: Mapping[str, str] | None = None) -> Login:
    config.write_text(json.dumps({"auths": {"there": {"auth": encoded(f"ci:{SECRET}")} if auth is None else auth}}))
    return Login(host="there", repository="team/sf")


def test_a_release_record_survives_a_round_trip_and_not_a_change() -> None:
    subject = Descriptor(media_type="m", digest=DIGEST, size=3)
    data = artifact.encode_record(artifact.Record(subject=subject, manifest=b"m", evidence=b"e"))

    found, parts = artifact.decode_record(data, "x")

    assert found == subject
    assert parts[artifact.MANIFEST].digest == artifact.sha256(b"m")
    for old, new in ((b"selfdeploy.release", b"other"), (b"selfdeploy.evidence", b"other"), (b"{", b"")):
        with pytest.raises(errors.RecordInvalid, match="no release record"):
            artifact.decode_record(data.replace(old, new), "x")


@pytest.mark.parametrize("text", ["sf", "host/", "host/sf:tag", "host/sf@sha256:1", "ho st/sf"])
def test_a_reference_with_a_tag_or_without_a_host_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigInvalid):
        registry.Reference.parse(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:5000", True),
        ("127.8.8.8", True),
        ("localhost:1", True),
        ("[::1]:5000", True),
        ("10.0.0.1:5000", False),
        ("registry.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_known_by_its_address_and_not_by_its_looks(host: str, *, expected: bool) -> None:
    assert registry.is_loopback(host) is expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"[" * 100_000,
        b'{"manifests": {}}',
        b'{"manifests": [1]}',
        b'{"manifests": [{"digest": "sha256:1", "mediaType": "m", "size": 1}]}',
        b'{"manifests": [{"digest": "' + DIGEST.encode() + b'", "mediaType": "m", "size": -1}]}',
        b'{"manifests": [{"digest": "' + DIGEST.encode() + b'", "mediaType": "m", "size": "1"}]}',
        b'{"manifests": [{"digest": "../../blobs", "mediaType": "m", "size": 1}]}',
        b'{"manifests": [{"digest": "'
        + DIGEST.encode()
        + b'", "mediaType": "m", "size": 1, "platform": {"os": "\\u001b[2J", "architecture": "x"}}]}',
    ],
)
def test_an_index_of_another_shape_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(errors.RegistryInvalid, match="^where: "):
        artifact.parse(artifact.Index, data, "where")
    if data != b"{}" and b"manifests" not in data:
        with pytest.raises(errors.RegistryInvalid, match="^where: no JSON object"):
            artifact.parse_object(data, "where")


def test_a_login_is_found_as_docker_login_left_it(config: Path) -> None:
    for key in ("there", "https://there/v1/", "http://there"):
        config.write_text(json.dumps({"auths": {"other": {}, key: {"auth": encoded("ci:a:b")}}}))

        found = credentials.find("there", config)

        assert found == credentials.Credentials(user="ci", password="a:b")
    assert credentials.find("nowhere", config) is None
    assert credentials.find("there", config.with_name("none")) is None


def test_a_login_shows_its_secret_to_nobody_who_prints_it(config: Path) -> None:
    login = a_login(config)
    login.answer('Basic realm="x"', "https")

    assert SECRET not in repr(credentials.find("there", config))
    assert encoded(f"ci:{SECRET}") not in repr(login)
    assert encoded(f"ci:{SECRET}") in login.header["Authorization"]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"auths": {{"there": {{"auth": "{SECRET}"}}}}}}',
        f'{{"auths": ["{SECRET}"]}}',
        f"{SECRET}",
        '{"credsStore": "../../bin/sh"}',
    ],
)
def test_a_config_that_docker_did_not_write_is_refused_and_not_quoted(config: Path, text: str) -> None:
    config.write_text(text)

    with pytest.raises(errors.ConfigInvalid) as caught:
        credentials.find("there", config)

    assert str(config) in caught.value.message
    assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "challenge",
    ['Bearer realm="https://tokens/x",service="s"', 'Basic realm="b", Bearer realm="https://tokens/x",service="s"'],
)
def test_a_token_is_asked_for_with_the_scope_that_pushing_needs(config: Path, challenge: str) -> None:
    wanted = a_login(config).answer(challenge, "https")

    assert isinstance(wanted, Wanted)
    assert wanted.url == "https://tokens/x?service=s&scope=repository%3Ateam%2Fsf%3Apull%2Cpush"
    assert wanted.headers == {"Authorization": "Basic " + encoded(f"ci:{SECRET}")}


def test_an_identity_token_is_sent_in_a_body_and_never_in_a_url(config: Path) -> None:
    wanted = a_login(config, {"identitytoken": SECRET}).answer('Bearer realm="https://tokens"', "https")

    assert isinstance(wanted, Wanted)
    assert (wanted.method, wanted.url) == ("POST", "https://tokens")
    assert SECRET.replace(" ", "+").encode() in (wanted.data or b"")
    assert SECRET not in repr(wanted)


@pytest.mark.parametrize(
    ("realm", "scheme"),
    [
        ("http://there/token", "https"),
        ("http://elsewhere/token", "http"),
        ("file:///etc/passwd", "http"),
        ("", "https"),
        ("https//[", "https"),
        ("http://[", "http"),
    ],
)
def test_no_password_goes_where_somebody_can_listen(config: Path, realm: str, scheme: str) -> None:
    with pytest.raises(errors.RegistryUntrusted, match="neither https nor itself"):
        a_login(config).answer(f'Bearer realm="{realm}"', scheme)


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Digest realm=x", "xBasic"])
def test_a_challenge_that_nobody_can_answer_ends_the_asking(config: Path, challenge: str) -> None:
    assert a_login(config).answer(challenge, "https") is False


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b"<html>"),
        (200, b'{"token": 1}'),
        (200, b'{"token": "a\\nb"}'),
        (200, '{"token": "ü"}'.encode()),
        (401, b'{"token": "t"}'),
        (500, b""),
    ],
)
def test_an_answer_without_a_token_is_a_refusal(config: Path, status: int, body: bytes) -> None:
    with pytest.raises(errors.RegistryDenied, match=rf"refuses a token \({status}\) to the login of ci"):
        a_login(config).take(status, body)
