from pathlib import Path
from typing import Any

import pytest

from lab.values import a_namespace, an_environment
from selfdeploy import config, errors
from selfdeploy.config import deploy_toml, overlay
from selfdeploy.config.overlay import Overlay
from selfdeploy.release import status


def parse(file: Path, text: str, **environments: dict[str, Any]) -> config.Project:
    file.write_text(text)
    told = {"environments": environments} if environments else {}
    return deploy_toml.parse(told, root=file.parent, over=Overlay(file))


@pytest.fixture
def values(tmp_path: Path) -> Path:
    return tmp_path / "values.yaml"


def test_what_the_file_says_wins_and_the_rest_stays(values: Path) -> None:
    text = "environments:\n  prod:\n    engine: ssh://deploy@prod\n    port: 4700\n    url: https://sf.example.com\n"

    project = parse(values, text, test=an_environment(4101), prod=an_environment(4100, grace=3.0))

    prod = project.environment("prod")
    assert isinstance(prod, config.Compose)
    assert (prod.engine, prod.port, prod.url, prod.grace) == ("ssh://deploy@prod", 4700, "https://sf.example.com", 3.0)
    assert project.environment("test") == parse(values, "", test=an_environment(4101)).environment("test")


def test_a_namespace_gets_where_it_is_from_the_file_alone(values: Path) -> None:
    text = """
environments:
  test:
    context: k3s
    namespace: sf-test
    name: sf-web
    replicas: 2
    ingress: {host: test.sf.example.com}
"""
    told = {"kind": "kubernetes", "ingress": {"host": "other", "tls": "sf-tls"}}

    test = parse(values, text, test=told).environment("test")

    assert isinstance(test, config.Kubernetes)
    assert (test.context, test.namespace, test.name, test.replicas) == ("k3s", "sf-test", "sf-web", 2)
    assert test.public_url == "https://test.sf.example.com"


def test_the_environments_that_are_there_without_a_deploy_toml_can_be_placed_too(values: Path) -> None:
    project = parse(values, "environments: {prod: {port: 4700}}")

    assert [e.port for e in project.environments.values() if isinstance(e, config.Compose)] == [4101, 4700]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("environments:\n  test:\n    prot: 1\n", "values.yaml:3: environments.test.prot: unknown key"),
        ("environments:\n  test:\n    variables: {A: b}\n", "3: environments.test.variables: unknown key"),
        ("environments:\n  test:\n    authority: any\n", "3: environments.test.authority: unknown key"),
        ("environments:\n  test:\n    context: k3s\n", "3: environments.test.context: unknown key"),
        ("environments:\n  tset:\n    port: 1\n", "2: environments.tset: no such environment"),
        ("environments:\n  tset: {}\n", "2: environments.tset: no such environment"),
        ("environments:\n  test:\n    prot: {}\n", "3: environments.test.prot: unknown key"),
        ("environments:\n  space:\n    ingress: x\n", "3: environments.space.ingress: unknown key"),
        (
            "environments:\n  space:\n    ingress: {guard: {a/b: c}}\n",
            "3: environments.space.ingress.guard: unknown key",
        ),
        ("environments:\n  test:\n    url: 2001-99-99\n", "3: environments.test.url: expected a text or a number"),
        ("[" * 5000, "nested too deeply"),
        ("image:\n  repository: evil\n", "1: image: unknown key"),
        ("environments:\n  test:\n    port: 70000\n", "3: environments.test.port: "),
        ("environments:\n  test:\n    port: '4100'\n", "3: environments.test.port: "),
        ("environments:\n  test:\n    port:\n", "3: environments.test.port: "),
        ("environments:\n  test:\n    port: [1]\n", "3: environments.test.port: expected a text or a number"),
        ("environments:\n  test: 4101\n", "2: environments.test: expected keys"),
        ("- environments\n", "values.yaml:1: expected keys"),
        ("environments:\n  test:\n    port: 1\n    port: 2\n", "4: environments.test.port: twice"),
        ("a: &a {port: 1}\nenvironments: {test: {<<: *a}}\n", "1: a: unknown key"),
        ("environments:\n  test: {<<: {port: 1}}\n", "2: environments.test.<<"),
        ("environments: {\n", "values.yaml:2: "),
        ("environments:\n  test:\n    port: !!python/object/apply:os.system [echo]\n", "3: environments.test.port: "),
        ("environments:\n  test:\n    port: !!int x\n", "3: environments.test.port: expected a text or a number"),
        ("environments:\n  test:\n    url: !secret x\n", "3: environments.test.url: expected a text or a number"),
        ("environments: {}\n---\nenvironments: {}\n", "values.yaml:2: "),
        ("\x07", "values.yaml"),
    ],
)
def test_what_it_may_not_say_is_refused_with_file_line_and_key(values: Path, text: str, message: str) -> None:
    with pytest.raises(errors.ConfigInvalid) as refused:
        parse(values, text, test=an_environment(4101), prod=an_environment(4100), space=a_namespace())

    assert message in refused.value.message
    assert str(values) in refused.value.message


def test_two_that_end_up_at_one_place_are_refused_where_that_was_said(values: Path) -> None:
    with pytest.raises(errors.ConfigInvalid, match=r"values\.yaml:3: environments\.prod\.port: test has the same"):
        parse(values, "environments:\n  prod:\n    port: 4101\n", test=an_environment(4101), prod=an_environment(4100))


def test_what_deploy_toml_says_wrong_is_still_deploy_toml_s(values: Path) -> None:
    with pytest.raises(errors.ConfigInvalid, match=r"^deploy\.toml: environments\.test\.bind: "):
        parse(values, "environments: {test: {port: 1}}", test=an_environment(4101, bind="everywhere"))


def test_a_file_that_is_not_there_is_named_by_the_variable(values: Path) -> None:
    with pytest.raises(errors.ConfigInvalid, match=f"SF_DEPLOY_VALUES: {values}"):
        Overlay(values)


def test_the_variable_names_it(values: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (values.parent / "deploy.toml").touch()
    values.write_text("environments: {test: {port: 4701}}")
    monkeypatch.setenv(overlay.VARIABLE, str(values))

    test = deploy_toml.load(values.parent).environment("test")
    monkeypatch.setenv(overlay.VARIABLE, "")
    untouched = deploy_toml.load(values.parent).environment("test")

    assert isinstance(test, config.Compose)
    assert isinstance(untouched, config.Compose)
    assert (test.port, untouched.port) == (4701, 4101)


@pytest.mark.parametrize("name", ["root", "origins"])
def test_what_is_not_deploy_toml_s_to_say_is_refused_in_it(name: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match=f"{name}: unknown key"):
        deploy_toml.parse({name: "x"}, root=Path())


def test_status_says_which_value_came_from_where(values: Path) -> None:
    text = "environments:\n  prod:\n    namespace: sf-prod\n    ingress: {host: sf.example.com}\n"
    project = parse(values, text, prod=a_namespace(ingress={"host": "x", "tls": "sf-tls"}))

    told = status.Status(name="prod", url="u", targets=overlay.targets(project, "prod")).in_full()

    assert f'  target   namespace = "sf-prod" ({values}:3)' in told
    assert f'  target   ingress.host = "sf.example.com" ({values}:4)' in told
    assert '  target   ingress.tls = "sf-tls" (deploy.toml)' in told
    assert '  target   context = "lab" (deploy.toml)' in told
    assert "  target   replicas = 1 (the default)" in told
    assert '  target   ingress.class = "traefik" (the default)' in told


def test_status_says_so_of_a_compose_environment_as_well(values: Path) -> None:
    project = parse(values, "environments: {prod: {url: 'https://sf.example.com'}}", prod=an_environment(4100))

    told = [str(target) for target in overlay.targets(project, "prod")]

    assert told == [
        'engine = "" (the default)',
        "project = null (the default)",
        'bind = "127.0.0.1" (the default)',
        "port = 4100 (deploy.toml)",
        f'url = "https://sf.example.com" ({values}:1)',
    ]


def test_status_does_without_an_ingress(values: Path) -> None:
    project = parse(values, "environments: {prod: {replicas: 2}}", prod=a_namespace())

    assert "ingress.host = null (the default)" in map(str, overlay.targets(project, "prod"))


def test_without_such_a_file_status_has_nothing_to_say_of_it() -> None:
    assert overlay.targets(deploy_toml.parse({}, root=Path()), "prod") == []


@pytest.mark.parametrize("told", [3, {"test": 3}, {"test": {"kind": "kubernetes", "ingress": 3}}])
def test_a_deploy_toml_that_is_no_such_thing_is_told_as_its_own(values: Path, told: object) -> None:
    values.write_text("environments: {}")

    with pytest.raises(errors.ConfigInvalid, match=r"^deploy\.toml: environments"):
        deploy_toml.parse({"environments": told}, root=values.parent, over=Overlay(values))
