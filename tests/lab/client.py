"""Our side of a registry, and the logins and authorities that a test gives it."""

import json
import shutil
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab import registry as lab
from lab.tokens import Login
from selfdeploy import errors, registry
from selfdeploy.registry import Registry, artifact, connections

CI = Login(user="ci", password="the right one")
WRONG = Login(user="ci", password="a wrong secret")
CLOSED: list[Callable[[], lab.Registry]] = [
    lambda: lab.Registry(login=CI),
    lambda: lab.Registry(login=CI, token=True),
    lambda: lab.Registry(tls=True, login=CI, token=True),
]


def isolate(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have no login, no authority and no proxy but those that are put into HOME; return it."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    monkeypatch.setattr(connections, "CERTIFICATES", home / "certs.d")
    (home / "docker").mkdir()
    return home


def save(home: Path, config: Mapping[str, object]) -> None:
    (home / "docker" / "config.json").write_text(json.dumps(config))


def log_in(home: Path, host: str, login: Login) -> None:
    save(home, {"auths": {host: {"auth": login.header.removeprefix("Basic ")}}})


def store(host: str, *, patience: float = 20.0) -> Registry:
    if patience == 20.0:
        return registry.connect(registry.Reference(host=host, repository="team/sf"))
    return Registry(registry.Reference(host=host, repository="team/sf"), scheme="http", patience=patience)


def trust(home: Path, there: lab.Registry) -> None:
    if there.ca:
        shutil.copytree(there.ca.parent, home / "certs.d" / there.name)


def a_record(there: Registry) -> registry.Record:
    subject = registry.Descriptor(media_type=artifact.SINGLE[0], digest=registry.sha256(b"x"), size=1)
    record = registry.Record(subject=subject, manifest=b"{}", evidence=b"[]")
    there.put_record(record, "rev")
    return record


def secrets() -> set[str]:
    header = WRONG.header.removeprefix("Basic ")
    return {WRONG.password, header, CI.password, CI.header.removeprefix("Basic "), "token-of-the-test"}


def assert_tells_no_secret(error: errors.SelfdeployError) -> None:
    told = "".join(traceback.format_exception(error)) + error.hint
    assert error.message
    assert error.hint
    for secret in secrets():
        assert secret not in told, told
