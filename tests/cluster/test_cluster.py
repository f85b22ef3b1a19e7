"""The lab's cluster itself: what the other tests here take for granted."""

import json
import subprocess
from pathlib import Path

import pytest
import requests

from lab import children, cluster
from lab.cluster import Cluster
from lab.registry import Registry

PIDS = Path("/run/selfdeploy-cluster")


def a_pod(name: str, **security: object) -> dict[str, object]:
    container = {"name": "c", "image": "127.0.0.1:5010/none", "securityContext": security}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


def test_bringing_it_up_again_starts_nothing_anew(own: Cluster) -> None:
    before = {path.name: path.read_text() for path in PIDS.glob("*.pid")}

    again = cluster.provide()

    assert again == own
    assert before
    assert {path.name: path.read_text() for path in PIDS.glob("*.pid")} == before


def test_a_namespace_takes_only_restricted_pods(real: Cluster) -> None:
    with real.namespace() as namespace:
        given = json.dumps(a_pod("p", privileged=True)).encode()

        with pytest.raises(children.LabError, match='violates PodSecurity "restricted'):
            real.kubectl(f"--namespace={namespace}", "create", "--dry-run=server", "--filename=-", given=given)


def test_a_volume_is_there_for_each_claim(own: Cluster) -> None:
    with own.namespace() as namespace, own.volumes(namespace, "a", "b"):
        for name in ("a", "b"):
            spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}}
            own.apply(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": spec,
                }
            )

        bound = own.kubectl(
            f"--namespace={namespace}", "wait", "--for=jsonpath={.status.phase}=Bound", "pvc", "--all", "--timeout=60s"
        )
    assert bound.count("condition met") == 2


def test_no_two_tests_get_the_same_registry_port() -> None:
    with cluster.registry_port() as first, cluster.registry_port() as second:
        assert first != second
        assert {first, second} <= set(cluster.REGISTRY_PORTS)


def test_the_node_reaches_the_registries_of_this_host_and_nothing_else(own: Cluster) -> None:
    inside = ["nsenter", "--net=/run/netns/selfdeploy-cluster", "curl", "--silent", "--max-time", "5"]
    assert own
    with cluster.registry_port() as port, Registry(port=port) as registry:
        reached = subprocess.run([*inside, f"http://{registry.name}/v2/"], capture_output=True, check=False)
        elsewhere = subprocess.run([*inside, "http://192.0.2.1/"], capture_output=True, check=False)

    assert (reached.returncode, reached.stdout.strip()) == (0, b"{}")
    assert elsewhere.returncode != 0


def test_traefik_answers_for_names_that_no_ingress_has(real: Cluster) -> None:
    answer = requests.get(f"http://{real.ingress}/", headers={"Host": "nobody.example"}, timeout=10)

    assert answer.status_code == 404
