import json
from pathlib import Path

import pytest

from selfdeploy.registry import helper


@pytest.fixture(autouse=True)
def _login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deploy.toml").write_text('[image]\nrepository = "registry.example.com:5000/team/sf"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(helper.USER, "ci")
    monkeypatch.setenv(helper.TOKEN, "s3cret")


@pytest.mark.parametrize("address", ["registry.example.com:5000", "https://registry.example.com:5000/v2/\n"])
def test_the_login_is_told_of_the_project_s_registry(address: str) -> None:
    text, code = helper.answer("get", address)

    told = json.loads(text)
    assert code == 0
    assert (told["Username"], told["Secret"]) == ("ci", "s3cret")


@pytest.mark.parametrize(
    "address",
    [
        "other.example.com",
        "registry.example.com",
        "registry.example.com:5000.evil.example",
        "",
        "evil/registry.example.com:5000",
    ],
)
def test_no_other_registry_is_told_it(address: str) -> None:
    text, code = helper.answer("get", address)

    assert code == 1
    assert text.startswith("credentials not found")
    assert "s3cret" not in text


def test_without_a_token_or_a_project_there_is_no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(helper.TOKEN)
    without_token = helper.answer("get", "registry.example.com:5000")
    monkeypatch.setenv(helper.TOKEN, "s3cret")
    (tmp_path / "deploy.toml").unlink()

    without_project = helper.answer("get", "registry.example.com:5000")

    assert without_token == without_project == ("credentials not found in native keychain", 1)


@pytest.mark.parametrize("action", ["store", "erase", ""])
def test_nothing_is_kept(action: str) -> None:
    text, code = helper.answer(action, '{"ServerURL": "x", "Username": "u", "Secret": "other"}')

    assert code == 1
    assert "other" not in text


def test_what_is_listed_is_nothing() -> None:
    assert helper.answer("list", "") == ("{}", 0)
