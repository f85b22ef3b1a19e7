"""Who we are to a registry: what is found of a login, where it is shown, and where never."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from selfdeploy import errors
from selfdeploy.registry import credentials
from selfdeploy.registry.tokens import Login, Wanted

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
        ("file:///etc/passwd", "http"),
        ("", "https"),
        ("https//[", "https"),
        ("http://[", "http"),
    ],
)
def test_no_password_goes_where_somebody_can_listen(config: Path, realm: str, scheme: str) -> None:
    with pytest.raises(errors.RegistryUntrusted, match="neither https nor itself"):
        a_login(config).answer(f'Bearer realm="{realm}"', scheme)


@pytest.mark.parametrize(
    ("realm", "service", "scheme", "named"),
    [
        ("http://elsewhere/token", "", "http", "http://elsewhere"),
        ("http://elsewhere:3000/v2/token", "container_registry", "http", "http://elsewhere:3000"),
        ("https://git.example.com/v2/token", "container_registry", "https", "https://git.example.com"),
        ("http://me:pw@elsewhere/token", "", "https", "http://elsewhere"),
    ],
)
def test_a_realm_of_another_host_s_is_refused_with_the_setting_that_it_comes_from(
    config: Path, realm: str, service: str, scheme: str, named: str
) -> None:
    with pytest.raises(errors.RegistryUntrusted) as told:
        a_login(config).answer(f'Bearer realm="{realm}",service="{service}",scope="*"', scheme)

    assert told.value.message == f"there: it sends us for a token to another host, {named}"
    assert "ROOT_URL" in told.value.hint
    assert "image.repository" in told.value.hint


def test_forgejo_s_own_realm_is_taken(config: Path) -> None:
    wanted = a_login(config).answer('Bearer realm="http://there/v2/token",service="container_registry"', "http")

    assert isinstance(wanted, Wanted)
    assert wanted.url.startswith("http://there/v2/token?service=container_registry&")


def test_a_refused_login_says_what_a_workflow_needs(config: Path) -> None:
    hint = a_login(config).refused("GET (401)").hint

    assert hint.startswith("docker login there ")
    assert "SF_REGISTRY_USER" in hint
    assert "SF_REGISTRY_TOKEN" in hint
    assert "scope write:package" in hint


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
