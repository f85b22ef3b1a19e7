"""Servers that answer nonsense behind the API server's own proxies to a pod and to a Service, or flap there."""

import ctypes
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.liar import NONSENSE, Liar, Script, answer
from lab.values import a_manifest, a_replica, the_answers
from selfdeploy import config, errors, manifest
from selfdeploy.cluster.api import Api
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.environments.kubernetes import asking
from selfdeploy.probes import probe, witness

NODE = "10.250.0.1"
POD = "sf-0"
NEW_NETWORK = 0x40000000
"""Linux's CLONE_NEWNET: what kind of namespace it is that a thread goes to."""


def inside(script: Script) -> Liar:
    """Return a server that answers as SCRIPT says, on the node's own network."""

    def begin() -> Liar:
        with Path("/run/netns/selfdeploy-cluster").open() as network:
            assert ctypes.CDLL(None, use_errno=True).setns(network.fileno(), NEW_NETWORK) == 0, ctypes.get_errno()
        return Liar(script, NODE)

    with ThreadPoolExecutor(1) as elsewhere:  # the thread alone goes there
        return elsewhere.submit(begin).result()


def behind(own: Cluster, namespace: str, port: int) -> None:
    """Have a Service in NAMESPACE that leads to PORT of the pod."""
    pod = {"kind": "Pod", "name": POD, "namespace": namespace}
    metadata = {"name": "sf", "namespace": namespace}
    own.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]},
        },
        # The API server itself goes by these, and by no address that is not a pod's.
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": metadata,
            "subsets": [{"addresses": [{"ip": NODE, "targetRef": pod}], "ports": [{"name": "http", "port": port}]}],
        },
    )


@pytest.fixture(scope="module")
def namespace(own: Cluster) -> Iterator[str]:
    """A namespace with a pod that is told, by its status alone, to be at the node's address."""
    with own.namespace() as name:
        security = {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        spec = {
            "schedulerName": "nobody",
            "containers": [{"name": "server", "image": "none", "securityContext": security}],
        }
        own.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": name}, "spec": spec})
        status = f'{{"status": {{"phase": "Running", "podIP": "{NODE}", "podIPs": [{{"ip": "{NODE}"}}]}}}}'
        own.kubectl(f"--namespace={name}", "patch", "pod", POD, "--subresource=status", f"--patch={status}")
        yield name


@pytest.fixture(scope="module")
def api(own: Cluster, namespace: str) -> Api:
    path = str(own.kubeconfig)
    return Api(
        kubectl=Kubectl(name="test", command=own.command, context=own.context, namespace=namespace, kubeconfig=path)
    )


Ask = Callable[[float], Mapping[str, Mapping[str, witness.Answer]]]


@pytest.fixture
def lead(own: Cluster, namespace: str, api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[[Liar], Ask]:
    """Have both ways lead to a server, and return how it is asked."""

    def ask(there: Liar) -> Ask:
        behind(own, namespace, there.port)
        monkeypatch.setattr(asking, "PORT", there.port)
        return lambda timeout: asking.ask(api, [POD], "sf", "", manifest.PROBES, timeout)

    return ask


@pytest.mark.parametrize("how", list(NONSENSE))
def test_a_probe_of_nonsense_ends_in_time_and_never_finds_the_release(lead: Callable[[Liar], Ask], how: str) -> None:
    def told(*_: object) -> bytes | Iterable[bytes]:
        return NONSENSE[how](there)

    with inside(told) as there:
        ask = lead(there)
        began = time.monotonic()
        seen = ask(1.0)
        took = time.monotonic() - began

    assert len(there.asked) >= 2 * len(manifest.PROBES)
    assert took < 3 * len(manifest.PROBES), took
    listed = (a_replica(POD, POD),)
    wrong = witness.compare(a_manifest(), witness.Round(before=listed, after=listed, answers=seen))
    assert set(seen) == {POD, "service/sf"}
    for way, answers in seen.items():
        assert [line for line in wrong if line.startswith(f"{way}: ")], wrong
        assert all(len(one.body) <= probe.LIMIT for one in answers.values())


def test_a_server_that_flaps_is_not_proven_and_is_once_it_settles(lead: Callable[[Liar], Ask]) -> None:
    made, asked, steady = a_manifest(), 0, False
    good = {manifest.PROBES[name]: one.body for name, one in the_answers(made, instance=POD).items()}

    def flap(what: str, _: object) -> bytes:
        nonlocal asked
        asked += 1
        status = 503 if asked % 5 == 0 and not steady else 200
        return answer(good[f"/{what.partition(' /')[2]}"].encode(), status=status)

    def round_of(ask: Ask) -> witness.Round:
        return witness.Round(before=listed, after=listed, answers=ask(3.0))

    listed, settings = (a_replica(POD, POD),), config.Probes(deadline=4, consecutive=3, interval=0.05)
    with inside(flap) as there:
        ask = lead(there)
        with pytest.raises(errors.NotProven, match="HTTP 503"):
            probe.until_settled(made, settings, lambda: round_of(ask), "test")
        steady = True
        rounds = probe.until_settled(made, settings, lambda: round_of(ask), "test")

    assert rounds.asked == settings.consecutive
