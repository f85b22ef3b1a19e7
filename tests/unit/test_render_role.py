from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import yaml

from lab.objects import named, objects
from lab.values import a_namespace, a_namespace_with_everything, a_project
from selfdeploy import render


def rights(**keys: object) -> dict[tuple[str, str], dict[str, Any]]:
    text = render.rights(a_project(environments={"test": a_namespace(**keys)}), "test")
    return named(list(yaml.safe_load_all(text)))


def allowed(**keys: object) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Return each verb and resource of the Role, with the names that it is limited to."""
    for rule in rights(**keys)["Role", "sf-deploy"]["rules"]:
        for resource in rule["resources"]:
            yield from ((verb, resource, tuple(rule.get("resourceNames", ()))) for verb in rule["verbs"])


def test_the_rights_are_objects_that_kubernetes_takes_and_belong_together() -> None:
    told = rights()

    for one in told.values():
        kubernetes_validate.validate(one, "1.34", strict=True)
    binding = told["RoleBinding", "sf-deploy"]
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sf-deploy"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "sf-deploy", "namespace": "sf-test"}]
    assert ("ServiceAccount", "sf-deploy") in told
    assert {one["metadata"]["namespace"] for one in told.values()} == {"sf-test"}


def test_the_rights_are_those_of_no_object_that_a_release_would_prune() -> None:
    for one in rights().values():
        assert "labels" not in one["metadata"]


def test_the_rights_reach_no_secret_and_no_rights_and_name_what_they_can() -> None:
    told = list(allowed(**a_namespace_with_everything() | {"name": "sf"}))

    assert not {"secrets", "roles", "rolebindings", "serviceaccounts/token", "pods/exec", "*"} & {r for _, r, _ in told}
    assert "*" not in {verb for verb, _, _ in told}
    nameless = {(verb, resource) for verb, resource, names in told if not names}
    changing = {(verb, resource) for verb, resource in nameless if verb not in {"get", "list", "watch"}}
    assert changing == {
        ("create", "leases"), ("create", "configmaps"), ("update", "configmaps"), ("patch", "configmaps"),
        ("delete", "configmaps"),
    }  # fmt: skip


def test_every_rendered_kind_may_be_applied() -> None:
    plural = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}
    kinds = {one["kind"] for one in objects(**a_namespace_with_everything())}

    resources = {resource for verb, resource, _ in allowed() if verb == "patch"}

    assert resources == {plural.get(kind, f"{kind.lower()}s") for kind in kinds}


def test_a_claim_that_is_there_already_is_nobody_s_to_change() -> None:
    claims = {"home": {"claim": "kept"}, "workspace": {"claim": "kept"}}

    assert not [told for told in allowed(storage=claims) if told[1] == "persistentvolumeclaims"]
    assert ("patch", "persistentvolumeclaims", ("sf-home", "sf-workspace")) in list(allowed())


def test_only_a_probe_with_the_server_s_token_adds_kubectl_exec_rights() -> None:
    project = a_project(probes={"rpc": True}, environments={"test": a_namespace()})
    role = next(one for one in yaml.safe_load_all(render.rights(project, "test")) if one["kind"] == "Role")

    kubernetes_validate.validate(role, "1.34", strict=True)
    assert role["rules"][-2:] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
    ]
    assert role["rules"][:-2] == rights()["Role", "sf-deploy"]["rules"]
