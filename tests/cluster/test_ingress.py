"""What the rendered Ingresses make of the cluster's real Traefik; a small file server stands behind the Service."""

import functools
from collections.abc import Iterator

import pytest
import requests
import yaml

from lab import children
from lab.cluster import Cluster
from lab.values import a_manifest, a_namespace, a_project
from selfdeploy import manifest, render

NODE = "10.250.0.1"
NOBODY_S = {"traefik.ingress.kubernetes.io/router.middlewares": "sf-login@kubernetescrd"}
"""A login that Traefik does not find: what is behind it is reached by nobody."""


@pytest.fixture(scope="module")
def behind(own: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port, on the node's address, of a server that has a page and an answer at every probe path."""
    assert own
    folder = tmp_path_factory.mktemp("served")
    for path in ("/index.html", *manifest.PROBES.values()):
        (folder / path[1:]).parent.mkdir(exist_ok=True)
        (folder / path[1:]).write_text("served")
    port = children.free_port()
    inside = ["nsenter", "--net=/run/netns/selfdeploy-cluster", "python3", "-m", "http.server", str(port)]
    child = children.spawn([*inside, f"--directory={folder}", f"--bind={NODE}"], folder.with_suffix(".log"))
    yield port
    children.end(child)


def serve(own: Cluster, namespace: str, port: int, ingress: dict[str, object]) -> None:
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
    own.apply(behind, *(one for one in rendered if one["kind"] in {"Service", "Ingress"}))


def status(own: Cluster, host: str, path: str) -> int:
    return requests.get(f"http://{own.ingress}{path}", headers={"Host": host}, timeout=10).status_code


def wait_until_served(own: Cluster, host: str, path: str) -> None:
    asked = functools.partial(status, own, host, path)
    children.wait_until(lambda: asked() == requests.codes.ok, f"{host}{path}", seconds=60)


def test_everything_is_reached_where_nothing_asks_for_a_login(own: Cluster, behind: int) -> None:
    with own.namespace() as namespace:
        host = f"{namespace}.example"
        serve(own, namespace, behind, {"host": host})

        wait_until_served(own, host, "/")

        assert [status(own, host, path) for path in manifest.PROBES.values()] == [200, 200, 200]
        assert status(own, f"other.{host}", "/") == 404


def test_the_probe_paths_alone_pass_by_the_login(own: Cluster, behind: int) -> None:
    with own.namespace() as namespace:
        host = f"{namespace}.example"
        serve(own, namespace, behind, {"host": host, "guard": NOBODY_S})

        wait_until_served(own, host, "/api/healthz")

        assert [status(own, host, path) for path in manifest.PROBES.values()] == [200, 200, 200]
        assert status(own, host, "/") != 200
        assert status(own, host, "/index.html") != 200
        assert status(own, host, "/api/healthz/more") != 200
