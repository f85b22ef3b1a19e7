"""What a namespace's release is rendered to, as values; keys and a manifest say what differs from the least."""

from typing import Any

import yaml

from lab.values import a_manifest, a_namespace, a_project
from selfdeploy import manifest, render


def text_of(made: manifest.Manifest | None = None, /, **keys: object) -> str:
    project = a_project(environments={"test": a_namespace(**keys)})
    return render.kubernetes(project, "test", made or a_manifest())


def objects(made: manifest.Manifest | None = None, /, **keys: object) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text_of(made, **keys)))


def named(told: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["kind"], one["metadata"]["name"]): one for one in told}


def of_kind(kind: str, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in told if one["kind"] == kind]


def deployment(made: manifest.Manifest | None = None, /, **keys: object) -> dict[str, Any]:
    (told,) = of_kind("Deployment", objects(made, **keys))
    return told


def pod(made: manifest.Manifest | None = None, /, **keys: object) -> dict[str, Any]:
    spec = deployment(made, **keys)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def server(made: manifest.Manifest | None = None, /, **keys: object) -> dict[str, Any]:
    (container,) = pod(made, **keys)["containers"]
    assert isinstance(container, dict)
    return container
