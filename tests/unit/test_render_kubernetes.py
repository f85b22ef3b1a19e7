from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from lab import golden
from lab.objects import deployment, named, objects, server, text_of
from lab.values import CHILD, INDEX, REVISION, a_manifest, a_namespace, a_namespace_with_everything, a_project
from selfdeploy import render


def test_the_objects_are_what_they_were() -> None:
    assert golden.KUBERNETES.read_text() == golden.kubernetes(), golden.RENEW


@pytest.mark.parametrize("keys", [{}, {"ingress": {"host": "sf.example.test"}}, a_namespace_with_everything()])
def test_every_object_is_one_that_kubernetes_takes(keys: dict[str, object]) -> None:
    for told in objects(**keys):
        kubernetes_validate.validate(told, "1.34", strict=True)


def test_an_object_that_kubernetes_would_refuse_is_seen() -> None:
    told = deployment()
    told["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Never"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(told, "1.34", strict=True)


def test_equal_input_makes_equal_bytes_in_whatever_order_it_is_written() -> None:
    def told(*names: str) -> str:
        variables, secrets = dict.fromkeys(names, "x"), {f"{name}_S": {"name": "s", "key": name} for name in names}
        network = {"namespaces": [name.lower() for name in names]}
        return text_of(variables=variables, secrets=secrets, network=network, pull_secrets=network["namespaces"])

    assert told("A", "B") == told("B", "A")


def empty(value: object) -> bool:
    inner = list(value.values()) if isinstance(value, dict) else value
    return inner == [] or (isinstance(inner, list) and any(map(empty, inner)))


def test_an_empty_variable_is_one_without_a_value_as_the_api_server_keeps_it() -> None:
    assert server(variables={"A": ""})["env"][-1] == {"name": "A"}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        a_namespace_with_everything(),
        {
            "network": {"namespaces": []},
            "resources": {"requests": {}, "limits": {}},
            "ingress": {"host": "h.test", "guard": {"a.test/login": "yes"}},
        },
    ],
)
def test_nothing_empty_is_rendered_which_the_api_server_would_drop(keys: dict[str, object]) -> None:
    assert not any(map(empty, objects(**keys)))


def test_the_least_is_these_objects() -> None:
    told = named(objects())

    assert list(told) == [
        ("ServiceAccount", "sf"),
        ("ConfigMap", render.manifest_name(a_manifest().release)),
        ("PersistentVolumeClaim", "sf-home"),
        ("PersistentVolumeClaim", "sf-workspace"),
        ("NetworkPolicy", "sf"),
        ("Service", "sf"),
        ("Deployment", "sf"),
    ]
    assert {one["metadata"]["namespace"] for one in told.values()} == {"sf-test"}


def test_only_namespaced_objects_that_hold_no_secret_are_applied() -> None:
    kinds = {one["kind"] for one in objects(**a_namespace_with_everything())}

    assert kinds == {
        "ServiceAccount", "ConfigMap", "PersistentVolumeClaim", "NetworkPolicy", "Service", "Deployment",
        "PodDisruptionBudget", "Ingress",
    }  # fmt: skip


def test_another_release_changes_what_is_of_the_release_and_nothing_else() -> None:
    keys = a_namespace_with_everything()
    old = named(objects(**keys))
    new = named(objects(a_manifest(image=a_manifest().image.model_copy(update={"digest": CHILD})), **keys))

    changed = {kind for kind, name in old.keys() | new.keys() if old.get((kind, name)) != new.get((kind, name))}
    assert changed == {"ConfigMap", "Deployment"}


def test_every_selector_is_the_same_for_every_release_and_finds_the_pods() -> None:
    keys = a_namespace_with_everything()
    for made in (a_manifest(), a_manifest(source=a_manifest().source.model_copy(update={"revision": "f" * 40}))):
        told = named(objects(made, **keys))
        selectors = (
            told["Deployment", "sf-one"]["spec"]["selector"]["matchLabels"],
            told["Service", "sf-one"]["spec"]["selector"],
            told["NetworkPolicy", "sf-one"]["spec"]["podSelector"]["matchLabels"],
            told["PodDisruptionBudget", "sf-one"]["spec"]["selector"]["matchLabels"],
        )
        for selector in selectors:
            assert selector == {"app.kubernetes.io/name": "sf", "app.kubernetes.io/instance": "sf-one"}
        labels = told["Deployment", "sf-one"]["spec"]["template"]["metadata"]["labels"]
        assert selectors[0].items() <= labels.items()


def test_a_pod_says_of_which_release_it_is_and_every_object_who_made_it() -> None:
    made = a_manifest()

    said = {
        "dev.selfdeploy/revision": REVISION,
        "dev.selfdeploy/release": made.release,
        "dev.selfdeploy/digest": INDEX,
    }
    told = deployment(made)
    assert told["metadata"]["annotations"] == told["spec"]["template"]["metadata"]["annotations"] == said
    assert told["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] == REVISION
    for one in objects(**a_namespace_with_everything()):
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "selfdeploy"


def test_a_project_s_own_template_wins_and_the_others_stay(tmp_path: Path) -> None:
    own = tmp_path / "templates" / "kubernetes"
    own.mkdir(parents=True)
    (own / "service.yml.j2").write_text("kind: Service\nmetadata: {name: {{ name | tojson }}}\n")

    text = render.kubernetes(a_project(tmp_path, environments={"test": a_namespace()}), "test", a_manifest())

    told = named(list(yaml.safe_load_all(text)))
    assert told["Service", "sf"] == {"kind": "Service", "metadata": {"name": "sf"}}
    assert ("Deployment", "sf") in told
