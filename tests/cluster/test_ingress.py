"""What the rendered Ingresses make of the cluster's real Traefik; a small file server stands behind the Service."""

import functools
import os
from collections.abc import Iterator

import pytest
import requests
import yaml

from lab import children, cluster
from lab.cluster import Cluster
from lab.values import a_manifest, a_namespace, a_project
from selfdeploy import manifest, render

NODE = "10.250.0.1"
NOBODY_S = {"traefik.ingress.kubernetes.io/router.middlewares": "sf-login@kubernetescrd"}
"""A login that Traefik does not find: what is behind it is reached by nobody."""


@pytest.fixture(scope="module")
def mine() -> Cluster:
    if os.environ.get(cluster.KUBECONFIG):
        pytest.skip("this puts a server into the lab's own cluster")
    return cluster.provide()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port, on the node's address, of a server that has a page and an answer at every probe path."""
    folder = tmp_path_factory.mktemp("served")
    for path in ("/index.html", *manifest.PROBES.values()):
        (folder / path[1:]).parent.mkdir(exist_ok=True)
        (folder / path[1:]).write_text("served")
    port = children.free_port()
    inside = ["nsenter", "--net=/run/netns/selfdeploy-cluster", "python3", "-m", "http.server", str(port)]
    child = children.spawn([*inside, f"--directory={folder}", f"--bind={NODE}"], folder.with_suffix(".log"))
    yield port
    children.end(child)


def serve(mine: Cluster, namespace: str, port: int, ingress: dict[str, object]) -> None:
    """Apply the Service and the Ingresses of an environment in NAMESPACE, with the server at PORT behind them."""
    project = a_project(environments={"test": a_namespace(namespace=namespace, ingress=ingress)})
    rendered = yaml.safe_load_all(render.kubernetes(project, "test", a_manifest()))
    behind = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "sf-file", "namespace": namespace, "labels": {"kubernetes.io/service-name": "sf"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [NODE], "conditions": {"ready": True}}],
    }
    mine.apply(behind, *(one for one in rendered if one["kind"] in {"Service", "Ingress"}))


def status(mine: Cluster, host: str, path: str) -> int:
    return requests.get(f"http://{mine.ingress}{path}", headers={"Host": host}, timeout=10).status_code


def wait_until_served(mine: Cluster, host: str, path: str) -> None:
    asked = functools.partial(status, mine, host, path)
    children.wait_until(lambda: asked() == requests.codes.ok, f"{host}{path}", seconds=60)


def test_everything_is_reached_where_nothing_asks_for_a_login(mine: Cluster, behind: int) -> None:
    with mine.namespace() as namespace:
        host = f"{namespace}.example"
        serve(mine, namespace, behind, {"host": host})

        wait_until_served(mine, host, "/")

        assert [status(mine, host, path) for path in manifest.PROBES.values()] == [200, 200, 200]
        assert status(mine, f"other.{host}", "/") == 404


def test_the_probe_paths_alone_pass_by_the_login(mine: Cluster, behind: int) -> None:
    with mine.namespace() as namespace:
        host = f"{namespace}.example"
        serve(mine, namespace, behind, {"host": host, "guard": NOBODY_S})

        wait_until_served(mine, host, "/api/healthz")

        assert [status(mine, host, path) for path in manifest.PROBES.values()] == [200, 200, 200]
        assert status(mine, host, "/") != 200
        assert status(mine, host, "/index.html") != 200
        assert status(mine, host, "/api/healthz/more") != 200
