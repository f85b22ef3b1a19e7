from pathlib import Path

import pytest

from lab.values import a_manifest, a_project, an_environment
from selfdeploy import config, errors, render
from selfdeploy.environments.compose import secrets


def with_secrets(root: Path, **named: dict[str, str]) -> config.Project:
    return a_project(root, environments={"test": an_environment(4101, secrets=named, variables={"EMPTY": ""})})


def test_the_values_are_those_of_now_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("THE_TOKEN", "from a variable")
    project = with_secrets(tmp_path, TOKEN={"env": "THE_TOKEN"}, KEY={"file": "key"})
    rendered = render.compose(project, "test", a_manifest())

    monkeypatch.setenv("THE_TOKEN", "renewed")

    assert secrets.read_for(project, "test", rendered) == {"TOKEN": "renewed", "KEY": "from a file"}


@pytest.mark.parametrize("named", [{"TOKEN": {"env": "NOT_SET"}}, {"TOKEN": {"file": "not-there"}}])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, named: dict[str, dict[str, str]]) -> None:
    with pytest.raises(errors.ConfigInvalid, match=r"environments\.test\.secrets\.TOKEN: (NOT_SET|not-there)"):
        secrets.read(with_secrets(tmp_path, **named), "test")


def test_a_secret_that_is_named_no_longer_is_not_taken_from_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("x")
    rendered = render.compose(with_secrets(tmp_path, KEY={"file": "key"}), "test", a_manifest())
    monkeypatch.setenv("KEY", "of somebody else")

    with pytest.raises(errors.ConfigInvalid, match=r"environments\.test\.secrets: no KEY, "):
        secrets.read_for(with_secrets(tmp_path), "test", rendered)


def test_the_names_are_found_in_either_way_that_compose_takes_them() -> None:
    assert secrets.named("services: {server: {environment: {A: null, B: '', C: x}}}") == {"A"}
    assert secrets.named("services: {server: {environment: [A, B=, C=x]}}") == {"A"}
    assert secrets.named("services: {server: {}}") == set()
