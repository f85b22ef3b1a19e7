import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic.fields import FieldInfo

from lab import golden
from lab.values import a_manifest, a_namespace, a_project
from selfdeploy import config, errors, manifest, render, tasks
from selfdeploy.config import deploy_toml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text()


def rows(name: str, first: str) -> set[str]:
    return set(re.findall(rf"^\| {first} \|.*", page(name), re.MULTILINE))


def kinds(base: type[config.Value]) -> set[type[config.Value]]:
    return {kind for child in base.__subclasses__() for kind in {child, *kinds(child)}}


def toml(value: object) -> str:
    """Return VALUE as it is written in deploy.toml."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name} = {toml(part)}" for name, part in value.items()) + "}"
        case tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
        case float():
            return f"{value:g}"
        case _:
            return json.dumps(value)


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    if field.default is None:
        return "none"
    return "below" if isinstance(field.default, config.Value) else f"`{toml(field.default)}`"


def shape(kind: Any) -> str:  # noqa: ANN401 -- annotations are of any type
    """Return what a value of the type KIND is written as in deploy.toml."""
    inner = [part for part in get_args(kind) if part not in {NoneType, ...}]
    match get_origin(kind):
        case None if issubclass(kind, config.Value):
            return "table"
        case None:
            return {str: "text", int: "whole number", float: "number", bool: "true or false"}[kind]
        case origin if origin is Literal:
            return ", ".join(f"`{value}`" for value in inner)
        case origin if origin in {Union, UnionType, Annotated}:
            return shape(inner[0])
        case origin if origin is tuple:
            return f"list of {shape(inner[0])}s"
        case _:
            return "table"


def keys() -> Iterator[str]:
    for kind in kinds(config.Value) - {config.Common, config.Gate, config.Project}:
        for name, field in kind.model_fields.items():
            yield f"| `{field.alias or name}` | {field.description} | {shape(field.annotation)} | {default(field)} |"


def test_the_docs_list_every_exit_code_and_no_other() -> None:
    kinds = errors.SelfdeployError.__subclasses__()

    assert rows("operations.md", "[0-9]+") == {
        f"| {kind.exit_code} | {kind.__name__} | {kind.__doc__} |" for kind in kinds
    }


def test_the_docs_list_every_key_with_its_type_and_its_default_and_no_other() -> None:
    assert rows("configuration.md", "`[a-z_]+`") == set(keys())


def test_the_docs_have_a_heading_for_every_section() -> None:
    text = (DOCS / "configuration.md").read_text()

    for name, field in config.Project.model_fields.items():
        assert field.exclude or f"\n## `[{name}" in text


def test_the_published_schema_is_the_one_that_the_model_makes() -> None:
    assert golden.SCHEMA.read_text() == golden.schema(), golden.RENEW


@pytest.mark.parametrize("name", ["deploy.toml", "templates/repository/deploy.toml"])
def test_the_schema_of_deploy_toml_takes_ours_and_no_word_that_is_none_of_its_keys(name: str) -> None:
    text = (ROOT / name).read_text()
    told = tomllib.loads(text)
    takes = jsonschema.Draft202012Validator(json.loads(golden.DEPLOY.read_text())).is_valid

    assert golden.DEPLOY.read_text() == golden.deploy(), golden.RENEW
    assert takes(told)
    assert not takes({**told, "enviroments": {}})
    assert not takes({**told, "image": {**told["image"], "repositroy": "x"}})
    assert text.startswith("#:schema ./")
    assert text.splitlines()[0].endswith("deploy.schema.json")


def test_the_schema_has_a_name_and_a_dialect() -> None:
    schema = json.loads(golden.SCHEMA.read_text())

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:selfdeploy:release-manifest:1"
    assert schema["properties"]["schema"]["const"] == 1
    assert schema == manifest.schema()


def test_the_schema_has_every_key_stand_and_no_other() -> None:
    schema = json.loads(golden.SCHEMA.read_text())

    for part in (schema, *schema["$defs"].values()):
        assert part["additionalProperties"] is False
        assert set(part["properties"]) - set(part["required"]) == ({"redefined"} if part["title"] == "Gate" else set())
    assert schema["$defs"]["Gate"]["properties"]["redefined"]["const"] is True


def test_the_schema_wants_the_contract_s_gates_and_probes() -> None:
    told = json.loads(golden.SCHEMA.read_text())["properties"]

    gates = [part["contains"]["properties"]["name"]["const"] for part in told["gates"]["allOf"]]
    assert tuple(gates) == manifest.REQUIRED_GATES
    assert set(told["probes"]["required"]) == set(manifest.PROBES)


def test_the_schema_takes_no_tag_for_a_digest_and_no_short_revision() -> None:
    schema = json.loads(golden.SCHEMA.read_text())
    digest, commit = "^sha256:[0-9a-f]{64}$", "^[0-9a-f]{40}$"
    parts = schema["$defs"]

    assert parts["Image"]["properties"]["digest"]["pattern"] == digest
    assert {told["pattern"] for told in parts["Platform"]["properties"].values()} == {digest}
    assert {parts["Source"]["properties"][name]["pattern"] for name in ("revision", "tree")} == {commit}


def test_the_docs_list_every_right_of_a_ci_job_and_no_other() -> None:
    project = a_project(environments={"test": a_namespace()})
    roles = [one for one in yaml.safe_load_all(render.rights(project, "test")) if one["kind"] == "Role"]
    (table,) = re.findall(r"^\| of these objects .*\n\| --- .*\n((?:\|.*\n)*)", page("kubernetes.md"), re.MULTILINE)

    rights = [
        f"| {code(rule['resources'])} | {code(rule.get('resourceNames', [])) or 'any'} | {', '.join(rule['verbs'])} |"
        for rule in roles[0]["rules"]
    ]

    assert table.splitlines() == rights


def code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def test_the_example_of_a_namespace_is_one_that_can_be_rendered() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "kubernetes.md").read_text(), re.DOTALL)

    project = deploy_toml.parse(tomllib.loads(example), root=DOCS)

    for told in yaml.safe_load_all(render.kubernetes(project, "prod", a_manifest())):
        kubernetes_validate.validate(told, "1.34", strict=True)
    assert project.kubernetes("prod").rolls


def test_the_settings_of_a_first_release_are_ones_that_can_be_released_with() -> None:
    (probes, whole) = re.findall(r"```toml\n(.*?)```", page("first-release.md"), re.DOTALL)

    project = deploy_toml.parse({**tomllib.loads(whole), **tomllib.loads(probes)}, root=DOCS)

    assert project.source_path() == DOCS
    assert [name for name in project.environments if render.compose(project, name, a_manifest())] == ["test", "prod"]
    assert project.gates.redefined == ()
    assert project.probes.needs_token


def test_the_docs_name_commands_and_flags_that_there_are() -> None:
    given = r"\binv ([a-z]+(?:\.[a-z]+)?)((?:[^\S\n]+(?!inv )[^\s`#]+)*)"
    pages = [*DOCS.glob("*.md"), DOCS.parent / "README.md"]

    found = [named for page in pages for named in re.findall(given, page.read_text())]
    known = {name: tasks.namespace[name].get_arguments() for name in tasks.namespace.task_names}

    assert len(found) > 50
    for command, rest in found:
        flags = {"dry"} | {flag for argument in known[command] for flag in argument.names}
        assert set(re.findall(r"--([a-z]+)", rest)) <= flags, (command, rest)


def test_every_message_that_is_explained_is_one_of_ours() -> None:
    written = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    explained = re.findall(r"^\| `([^`]+)` \|", page("troubleshooting.md"), re.MULTILINE)

    assert len(explained) > 20
    assert [message for message in explained if message not in written.replace("{FILE}", "deploy.toml")] == []
