"""What applying a release makes of an API server that answers late, or nonsense; none is asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from lab.values import a_manifest, a_namespace, a_project
from selfdeploy import errors
from selfdeploy.cluster import api, shape
from selfdeploy.cluster.api import Api
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.environments.kubernetes import rolling
from selfdeploy.environments.kubernetes.environment import Kubernetes
from selfdeploy.environments.kubernetes.lease import LeaseLock
from selfdeploy.environments.kubernetes.objects import Objects

KUBECTL = Kubectl(name="test", command=["none"], context="lab", namespace="sf-test")
METADATA = {"name": "sf", "namespace": "sf-test", "uid": "u", "resourceVersion": "1", "generation": 1}
SERVICE: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": METADATA}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": METADATA,
    "spec": {"replicas": 1, "template": {"spec": {}}},
}
SERVICES, DEPLOYMENTS = "/api/v1/namespaces/sf-test/services/sf", "/apis/apps/v1/namespaces/sf-test/deployments/sf"
CLUSTER: dict[str, Any] = {
    "/api/v1": {"resources": [{"kind": "Service", "name": "services", "namespaced": True}]},
    "/apis/apps/v1": {"resources": [{"kind": "Deployment", "name": "deployments", "namespaced": True}]},
    SERVICES: SERVICE,
    DEPLOYMENTS: DEPLOYMENT,
    "/api/v1/namespaces/sf-test/configmaps/sf-record": None,
}


@dataclass(frozen=True, kw_only=True)
class Waking(Api):
    """Has what is TOLD of a path, or nothing; answers each question from the second time on, and each write at once."""

    told: Mapping[str, Any]
    asked: set[str] = field(default_factory=set)
    written: list[str] = field(default_factory=list)

    def fetch(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
        **_: object,
    ) -> tuple[int, bytes]:
        question = f"{method} {path} {query}"
        if method == "PATCH" and "dryRun" not in (query or {}):
            assert data
            self.written.append(f"{path} {(query or {})['fieldManager']}")
        elif question not in self.asked:
            self.asked.add(question)
            raise ConnectionRefusedError
        found = self.told.get(path, {"items": [], "metadata": {}})
        return (404 if found is None else 200), json.dumps(found or {"kind": "Status"}).encode()


def test_an_api_server_that_is_away_is_waited_for_by_all_that_can_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "AGAIN", 0)
    monkeypatch.setattr(rolling.Rollout, "wait", mock.Mock())
    environment = Kubernetes(a_project(root=Path("/x"), environments={"test": a_namespace()}), "test")
    cluster = Waking(kubectl=KUBECTL, told=CLUSTER)
    environment.__dict__["api"] = cluster
    lock = mock.create_autospec(LeaseLock, instance=True)

    environment.apply(lock, a_manifest(), yaml.safe_dump_all([SERVICE, DEPLOYMENT]), recreate=True)

    assert cluster.written == [f"{DEPLOYMENTS} selfdeploy", f"{DEPLOYMENTS} selfdeploy-restart"]


def without(key: str) -> dict[str, Any]:
    metadata = {name: value for name, value in METADATA.items() if name != key}
    return {**DEPLOYMENT, "metadata": metadata, **({"spec": {"replicas": 1}} if key == "template" else {})}


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        (without("generation"), "metadata.generation: Field required"),
        (without("namespace"), "metadata.namespace: Field required"),
        (without("template"), "spec.template: Field required"),
    ],
)
def test_a_deployment_without_what_a_rollout_goes_by_is_none(told: dict[str, Any], missing: str) -> None:
    cluster = Waking(kubectl=KUBECTL, told={**CLUSTER, DEPLOYMENTS: told})
    applied = Objects(api=cluster, selector="a=b", _kinds={"apps/v1": {"Deployment": "deployments"}})

    with pytest.raises(errors.ClusterUnreachable, match="what answers is no Kubernetes API server") as refused:
        applied.apply(DEPLOYMENT, None)

    assert refused.value.message.endswith(f"it answers none of deployments: {missing}")


def test_what_is_wrong_with_an_object_is_told_in_one_line() -> None:
    assert shape.complaint("deployments", DEPLOYMENT) == ""
    assert shape.complaint("pods", {"metadata": 7, "status": 7}).startswith("metadata: Input should be ")
    assert len(shape.complaint("pods", {}).splitlines()) == 1
    assert shape.complaint("pods", 7)
