"""What opens a registry: passwords, tokens, and the programs that keep them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import client, needed
from lab import registry as lab
from lab.client import CI, CLOSED, WRONG, a_record, assert_tells_no_secret, log_in, save, store, trust
from lab.tokens import Login
from selfdeploy import errors


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return client.isolate(tmp_path, monkeypatch)


@pytest.mark.parametrize("make", CLOSED)
@pytest.mark.parametrize("login", [None, WRONG])
def test_a_wrong_password_and_none_are_refused_and_never_told(
    make: Callable[[], lab.Registry], login: Login | None, home: Path
) -> None:
    needed.need(lab.MISSING)
    with make() as there:
        trust(home, there)
        if login:
            log_in(home, there.name, login)

        with pytest.raises(errors.RegistryDenied) as caught:
            store(there.name).ping()

        assert ("the login of ci" if login else "no login in") in caught.value.message
        assert f"docker login {there.name}" in caught.value.hint
        assert_tells_no_secret(caught.value)


def test_who_may_only_pull_is_told_before_anything_is_built(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        there.tokens.allowed = frozenset({"pull"})
        log_in(home, there.name, CI)

        with pytest.raises(errors.RegistryDenied, match="lets us in, and does not let us push"):
            store(there.name).may_push()

        assert "repository:team/sf:pull,push" in there.tokens.asked


def test_a_token_that_expires_on_the_way_is_renewed(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        log_in(home, there.name, CI)
        ours = store(there.name)
        there.tokens.lifetime = -600
        with pytest.raises(errors.RegistryDenied):
            ours.ping()
        there.tokens.lifetime = 300

        record = a_record(ours)

        assert ours.find_record("rev") == record
        assert there.tokens.asked.count("repository:team/sf:pull,push") == 2


def helper(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = home / "bin" / "docker-credential-labtest"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\nhost=$(cat)\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
@pytest.mark.parametrize("identity", [False, True])
def test_a_credential_helper_tells_the_login(
    *, key: str, identity: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        there.tokens.identity = "an identity"
        told = ("<token>", "an identity") if identity else (CI.user, CI.password)
        text = json.dumps({"ServerURL": there.name, "Username": told[0], "Secret": told[1]})
        helper(home, monkeypatch, f"""[ "$host" = {there.name} ] && echo '{text}'""")
        save(home, {key: {there.name: "labtest"} if key == "credHelpers" else "labtest"})

        store(there.name).may_push()


@pytest.mark.parametrize(
    ("script", "error", "what"),
    [
        ("echo a wrong secret; exit 1", errors.RegistryDenied, "labtest get: exit code 1"),
        ("echo a wrong secret", errors.RegistryDenied, "labtest get: no JSON"),
        ("echo credentials not found in native keychain; exit 1", errors.RegistryDenied, "no login in"),
    ],
)
def test_a_credential_helper_that_fails_is_named_and_not_quoted(
    script: str, error: type[errors.SelfdeployError], what: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed.need(lab.MISSING)
    helper(home, monkeypatch, script)
    with lab.Registry(login=CI) as there:
        save(home, {"credsStore": "labtest"})

        with pytest.raises(error, match=what) as caught:
            store(there.name).ping()

        assert_tells_no_secret(caught.value)


def test_a_credential_helper_that_is_not_installed_is_named(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI) as there:
        save(home, {"credsStore": "not-here"})

        with pytest.raises(errors.ToolMissing, match="docker-credential-not-here") as caught:
            store(there.name).ping()

        assert "config.json" in caught.value.hint


def test_an_identity_token_in_the_config_is_good_for_a_token(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        there.tokens.identity = "an identity"
        save(home, {"auths": {there.name: {"identitytoken": "an identity"}}})
        store(there.name).may_push()

        there.tokens.identity = "another"

        with pytest.raises(errors.RegistryDenied, match="refuses a token"):
            store(there.name).ping()
