"""Docker's config.json as docker itself reads it (docker/cli v28.2.2: configfile, credentials)."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from selfdeploy import errors, process
from selfdeploy.build.builders import kaniko
from selfdeploy.registry import Reference, Registry, credentials
from selfdeploy.registry.credentials import Credentials
from selfdeploy.registry.tokens import Login

HUB = "https://index.docker.io/v1/"
AUTH = base64.b64encode(b"ci:a:b").decode()
CI = Credentials(user="ci", password="a:b")
NO = ("no", "no")
HELPED = Credentials(user="helped", password="h")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> dict[str, process.Outcome | errors.SelfdeployError]:
    """The answers of credential helpers by `PROGRAM KEY`; without one a helper knows nothing."""
    known: dict[str, process.Outcome | errors.SelfdeployError] = {}

    def run(argv: list[str], *, stdin: str, **_: object) -> process.Outcome:
        said = known.get(f"{argv[0].removeprefix('docker-credential-')} {stdin}")
        if isinstance(said, errors.SelfdeployError):
            raise said
        nothing = process.Outcome(
            argv=tuple(argv), code=1, stdout=b"credentials not found in native keychain\n", stderr=b""
        )
        return said or nothing

    monkeypatch.setattr(process, "run", run)
    return known


def told(user: str = HELPED.user, secret: str = HELPED.password, code: int = 0) -> process.Outcome:
    data = json.dumps({"ServerURL": "x", "Username": user, "Secret": secret}).encode()
    return process.Outcome(argv=(), code=code, stdout=data, stderr=b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "null",
        "{}",
        '{"auths": null, "credHelpers": null, "credsStore": null}',
        '{"auths": {"h": null}}',
        '{"auths": {"h": {}}}',
        '{"auths": {"h": {"auth": null, "username": null, "password": null, "identitytoken": null}}}',
        '{"auths": {"h": {"auth": ""}}, "credsStore": "", "proxies": null, "HttpHeaders": {"x": "y"}}',
    ],
)
def test_nulls_and_empty_values_are_no_login_and_no_error(text: str, config: Path) -> None:
    config.write_text(text)

    assert credentials.find("h", config) is None


@pytest.mark.parametrize("auth", [f"{AUTH[:4]}\n{AUTH[4:]}", f"{AUTH}\r\n", f" {AUTH[:5]}\t{AUTH[5:]} "])
def test_wrapped_base64_is_read(auth: str, config: Path) -> None:
    config.write_text(json.dumps({"auths": {"h": {"auth": auth}}}))

    assert credentials.find("h", config) == CI


@pytest.mark.parametrize(
    "auth", ["x", AUTH[:-1], "\u20ac", base64.b64encode(b"ci").decode(), "OmFiYw==", "====", "Y2k6eA==Y2k6"]
)
def test_an_auth_without_a_user_and_a_password_is_refused_and_not_quoted(auth: str, config: Path) -> None:
    config.write_text(json.dumps({"auths": {"h": {"auth": auth}, "other": {"auth": AUTH}}}))

    with pytest.raises(errors.ConfigInvalid, match=r"auths\.h\.auth: no ") as caught:
        credentials.find("h", config)

    assert len(auth) < 5 or auth not in caught.value.message
    assert credentials.find("other", config) == CI


@pytest.mark.parametrize(
    ("decoded", "password"),
    [(b"ci:p\0\0", b"p"), (b"ci:", b""), (b"ci:\xff\xfe", b"\xff\xfe"), ("ci:\u20ac".encode(), "\u20ac".encode())],
)
def test_a_password_is_bytes_without_the_zeros_around_it(decoded: bytes, password: bytes, config: Path) -> None:
    config.write_text(json.dumps({"auths": {"h": {"auth": base64.b64encode(decoded).decode()}}}))

    found = credentials.find("h", config)

    assert found is not None
    assert base64.b64decode(found.basic.removeprefix("Basic ")) == b"ci:" + password


@pytest.mark.parametrize(
    "key", ["h:5000", "https://h:5000", "https://h:5000/v1/", "http://h:5000/v2", "h:5000/", "h:5000/team"]
)
def test_a_host_is_found_under_its_old_names(key: str, config: Path) -> None:
    config.write_text(json.dumps({"AUTHS": {"h": {"auth": "bad"}, key: {"Auth": AUTH}}}))

    assert credentials.find("h:5000", config) == CI


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_a_key_of_its_own(
    host: str, config: Path, helpers: dict[str, process.Outcome | errors.SelfdeployError]
) -> None:
    config.write_text(json.dumps({"auths": {HUB: {"auth": AUTH}}}))
    assert credentials.find(host, config) == CI
    assert json.loads(kaniko.logins([host])) == {"auths": {HUB: {"auth": AUTH}}}

    helpers[f"desktop {HUB}"] = told()
    for key in ({"credsStore": "desktop"}, {"credHelpers": {HUB: "desktop"}}):
        config.write_text(json.dumps(key))
        assert credentials.find(host, config) == HELPED
    assert credentials.find("elsewhere", config) is None


def test_docker_hubs_registry_answers_under_another_name() -> None:
    store = Registry(Reference(host="docker.io", repository="team/sf"), scheme="https")

    assert store._transport.target("https://registry-1.docker.io/v2/", "x").startswith("https://registry-1")  # noqa: SLF001
    assert store._transport.host == "registry-1.docker.io"  # noqa: SLF001
    assert str(store.reference) == "docker.io/team/sf"


IDENTITY = Credentials(user="<token>", identity_token="t")
FAILED = errors.ToolMissing("docker-credential-desktop: not found", "install it")


@pytest.mark.parametrize(
    ("keys", "said", "expected"),
    [
        ({"credsStore": "desktop"}, {"desktop h": told()}, HELPED),
        ({"credHelpers": {"h": "desktop"}}, {"desktop h": told()}, HELPED),
        (
            {"credHelpers": {"h": "one"}, "credsStore": "desktop"},
            {"one h": told(), "desktop h": told(*NO)},
            HELPED,
        ),
        ({"credHelpers": {"other": "one"}, "credsStore": "desktop"}, {"desktop h": told()}, HELPED),
        ({"credHelpers": {"h": ""}, "credsStore": "desktop"}, {"desktop h": told()}, CI),
        ({"credHelpers": {"h": None}, "credsStore": "desktop"}, {"desktop h": told()}, CI),
        ({"credHelpers": {"h": ""}}, {}, CI),
        ({"credsStore": "desktop"}, {}, None),  # it knows nothing: the file is not asked
        ({"credsStore": "desktop"}, {"desktop h": FAILED}, CI),
        ({"credsStore": "desktop"}, {"desktop h": told(code=1)}, CI),
        (
            {"credsStore": "desktop"},
            {"desktop h": told("<token>", "t")},
            Credentials(user="<token>", identity_token="t"),
        ),
    ],
)
def test_helpers_and_the_file_take_precedence_as_for_docker(
    keys: Mapping[str, Any],
    said: Mapping[str, process.Outcome | errors.SelfdeployError],
    expected: Credentials | None,
    config: Path,
    helpers: dict[str, process.Outcome | errors.SelfdeployError],
) -> None:
    helpers.update(said)
    config.write_text(json.dumps({"auths": {"h": {"auth": AUTH}}, **keys}))

    assert credentials.find("h", config) == expected


def test_a_helper_that_fails_is_an_error_where_the_file_has_no_login(
    config: Path, helpers: dict[str, process.Outcome | errors.SelfdeployError]
) -> None:
    helpers["desktop h"] = FAILED
    config.write_text(json.dumps({"auths": {"other": {"auth": AUTH}}, "credsStore": "desktop"}))

    with pytest.raises(errors.ToolMissing, match="docker-credential-desktop"):
        credentials.find("h", config)


def test_a_registry_token_is_shown_as_it_is(config: Path) -> None:
    config.write_text(json.dumps({"auths": {"h": {"registrytoken": "t"}}}))
    login = Login(host="h", repository="sf")

    assert login.answer('Bearer realm="https://tokens/x"', "https") is True
    assert login.header == {"Authorization": "Bearer t"}
    assert not isinstance(login.answer('Bearer realm="https://tokens/x"', "https"), bool)  # it was refused
    assert json.loads(kaniko.logins(["h"])) == {"auths": {"h": {"registrytoken": "t"}}}


def test_an_identity_token_without_a_user_makes_no_file_that_docker_refuses(config: Path) -> None:
    config.write_text(json.dumps({"auths": {"h": {"identitytoken": "t"}}}))

    assert json.loads(kaniko.logins(["h"])) == {"auths": {"h": {"identitytoken": "t"}}}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '"x"',
        '{"auths": []}',
        '{"auths": {"h": "x"}}',
        '{"auths": {"h": {"auth": 1}}}',
        '{"credsStore": {}}',
        "{",
    ],
)
def test_another_shape_is_refused(text: str, config: Path) -> None:
    config.write_text(text)

    with pytest.raises(errors.ConfigInvalid, match="not what docker writes"):
        credentials.find("h", config)
