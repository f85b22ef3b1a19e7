"""Hostile clusters: whatever the API server says, it ends in an error of ours or in success."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.fuzz import MISSING, VALUE, changed, data, dump, ends_well, fuzzed, nested, turned
from lab.values import HOLDER, INDEX, a_manifest, a_namespace, a_project, a_proven, an_attempt
from lab.wire import Silent, Wire, answering
from selfdeploy import errors
from selfdeploy.cluster import api, mirror, refusal, shape
from selfdeploy.cluster.api import Api
from selfdeploy.environments import record
from selfdeploy.environments.kubernetes import asking, claim, environment, lease, rolling, verdict
from selfdeploy.environments.kubernetes.record import KEY

pytestmark = pytest.mark.usefixtures("never_hangs", "no_cover", "_threads_end_well")

# What is read of each kind of object.

METADATA = {
    "name": "sf",
    "namespace": "n",
    "uid": "u",
    "resourceVersion": "7",
    "generation": 2,
    "annotations": {verdict.REVISION: "1", "dev.selfdeploy/who": "w"},
    "ownerReferences": [{"uid": "u", "controller": True}],
    "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}, "time": "t"}],
}
CONDITION = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "m"}
WAITING = {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}
STATUS = {"name": "server", "imageID": f"r@{INDEX}", "restartCount": 1, "state": WAITING, "lastState": WAITING}
TEMPLATE = {
    "metadata": {"labels": {"app": "sf", verdict.HASH: "h"}},
    "spec": {"volumes": [{"name": "m", "configMap": {"name": "c"}}]},
}
OBJECTS: dict[str, dict[str, Any]] = {
    "deployments": {
        "metadata": METADATA,
        "spec": {"replicas": 1, "template": TEMPLATE},
        "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "conditions": [CONDITION]},
    },
    "replicasets": {
        "metadata": METADATA,
        "spec": {"template": TEMPLATE},
    },
    "pods": {
        "metadata": METADATA,
        "status": {"phase": "Pending", "conditions": [CONDITION], "containerStatuses": [STATUS]},
    },
    "endpointslices": {
        "metadata": METADATA,
        "endpoints": [{"conditions": {"ready": True, "serving": True}, "targetRef": {"uid": "u"}}],
    },
    "events": {"metadata": METADATA, "involvedObject": {"uid": "u"}, "reason": "FailedMount", "message": "m"},
    "leases": {"metadata": METADATA, "spec": {"holderIdentity": "h", "acquireTime": "t"}},
    "configmaps": {"metadata": METADATA, "data": {KEY: "{}"}},
    "persistentvolumeclaims": {"metadata": METADATA, "spec": {"resources": {"requests": {"storage": "5Gi"}}}},
}


def use_object(kind: str, given: object) -> None:
    """Read the answer GIVEN, an object of KIND, beside others as they are."""
    told = shape.check("test", kind, given)
    have = {**OBJECTS, kind: told}
    state = verdict.State(
        deployment=have["deployments"],
        sets=[have["replicasets"]],
        pods=[have["pods"]],
        slices=[have["endpointslices"]],
        events=[have["events"]],
    )
    lease.describe(have["leases"])
    claim.unshrunk({"kind": "PersistentVolumeClaim", **OBJECTS["persistentvolumeclaims"]}, told)
    verdict.missing(state, [INDEX])
    [str(trouble) for trouble in verdict.troubles(state)]
    rolling.paused("test", state.deployment)
    asking.replicas(state.deployment, state.pods)
    asking.leaving(state.pods, state.slices)


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_an_object_of_another_shape_is_taken_or_refused(kind: str) -> None:
    use_object(kind, OBJECTS[kind])

    for told in turned(OBJECTS[kind]):
        ends_well(lambda told=told: use_object(kind, told))  # type: ignore[misc]


@fuzzed
@given(st.sampled_from(sorted(OBJECTS)), st.data())
def test_what_a_cluster_answers_is_taken_or_refused(kind: str, drawn: st.DataObject) -> None:
    told = drawn.draw(changed(OBJECTS[kind]) | VALUE)

    ends_well(lambda: use_object(kind, told))


@fuzzed
@given(st.integers(200, 599), data({"kind": "Status", "message": "m", "details": {"kind": "pods", "causes": [{}]}}))
def test_a_refusal_of_a_cluster_is_explained(code: int, told: bytes) -> None:
    def use() -> None:
        reply = api.read(code, told)
        refusal.bars(code, reply.object)
        raise refusal.explain("test", "ns", code, reply.object, reply.text)

    ends_well(use)


# The way in: what comes through its socket.


KUBECTL = Silent(name="test", command=("kubectl",), context="c", namespace="sf-test")


WAIT = mirror.Mirror.wait


def connect(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[bytes], tuple[bytes, bool]], *, hurry: int = 6000
) -> Api:
    """Return the API server that answers as ANSWER says; a rollout's seconds are over HURRY times as fast."""
    monkeypatch.setattr(api.Local, "connect", lambda self: setattr(self, "sock", Wire(answer)))
    monkeypatch.setattr(Api, "insist", lambda _, ask, __: ask())
    monkeypatch.setattr(mirror, "AGAIN", 0.01)
    monkeypatch.setattr(mirror, "RECOVERY", -1)
    monkeypatch.setattr(lease, "DURATION", 0)
    monkeypatch.setattr(lease, "RENEWAL", 0.002)
    monkeypatch.setattr(rolling, "time", SimpleNamespace(monotonic=lambda: time.monotonic() * hurry))
    monkeypatch.setattr(mirror.Mirror, "wait", lambda self, seconds: WAIT(self, min(seconds, 0.02)))
    ticks = itertools.count(step=1000)
    monkeypatch.setattr(environment, "time", SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda _: None))
    return Api(kubectl=KUBECTL)


@pytest.fixture
def _threads_end_well(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    died, before = list[object](), set(threading.enumerate())
    monkeypatch.setattr(threading, "excepthook", died.append)
    yield
    for thread in {*threading.enumerate()} - before:  # nobody else waits for those of a mirror
        thread.join(30)
    assert died == []


HTTP = [b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Transfer-Encoding: chunked", b"", b"{}", b"2", b"zz", b"{}", b"0"]


@fuzzed
@given(st.binary(max_size=60) | st.lists(st.sampled_from(HTTP) | st.binary(max_size=9), max_size=9).map(b"\r\n".join))
def test_whatever_comes_through_the_socket_is_an_answer_or_none(monkeypatch: pytest.MonkeyPatch, told: bytes) -> None:
    cluster = connect(monkeypatch, lambda _: (told, False))

    def watch() -> None:
        stream = cluster.watch("v1", "pods", "7")
        for event in stream or ():
            str(event)

    ends_well(lambda: cluster.call("GET", "/api/v1"))
    ends_well(lambda: cluster.text("/api/v1", timeout=1))
    ends_well(lambda: asking.get(cluster, "/api/v1", 1))
    ends_well(watch)


# A whole environment.

PROJECT = a_project(environments={"test": a_namespace()})
MADE = a_manifest()
SPEC = {"replicas": 1, "template": {"metadata": {"labels": {"app": "sf"}}, "spec": TEMPLATE["spec"]}}
THINGS: list[dict[str, Any]] = [
    {"apiVersion": version, "kind": kind, "metadata": {"name": "sf", "namespace": "sf-test"}, **more}
    for version, kind, more in (
        ("v1", "ConfigMap", {"data": {"a": "b"}}),
        ("v1", "Service", {}),
        ("apps/v1", "Deployment", {"spec": SPEC}),
    )
]
RENDERED = "\n---\n".join(json.dumps(thing) for thing in THINGS)
SPACE = "namespaces/sf-test"
PLURALS = {
    "v1": {
        "ConfigMap": "configmaps",
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
    },
    "apps/v1": {"Deployment": "deployments"},
    "networking.k8s.io/v1": {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
}
RECORD = record.Record().begin(an_attempt()).prove(a_proven(rendered=json.dumps(THINGS[0])), "t")


def written(kind: str, **more: object) -> dict[str, Any]:
    """The metadata of a KIND that the API server has."""
    told = {"name": "sf", "namespace": "sf-test", "uid": f"{kind}-uid", "resourceVersion": "7", "generation": 2}
    return {**told, "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {verdict.REVISION: "1"}, **more}


def owned(kind: str, by: str) -> dict[str, Any]:
    return written(kind, ownerReferences=[{"uid": f"{by}-uid", "controller": True}])


def a_cluster() -> dict[str, Any]:
    """What a cluster in which the release runs says of each path; a list has one object."""
    told: dict[str, Any] = {}
    for thing in THINGS:
        root = f"{api.root(thing['apiVersion'])}/{SPACE}/{PLURALS[thing['apiVersion']][thing['kind']]}"
        live = {**thing, "metadata": {**written(thing["kind"]), **thing["metadata"]}}
        told |= {root: {"metadata": {"resourceVersion": "7"}, "items": [live]}}
        told |= {f"{root}/{thing['metadata']['name']}": live}
    told[f"/apis/apps/v1/{SPACE}/deployments/sf"]["metadata"]["managedFields"] = METADATA["managedFields"]
    ready = {"observedGeneration": 2} | dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1
    )
    told[f"/apis/apps/v1/{SPACE}/deployments/sf"]["status"] = ready
    running = {**STATUS, "state": {"running": {"startedAt": "t"}}, "lastState": {"terminated": {"exitCode": 1}}}
    lists = {
        f"/apis/apps/v1/{SPACE}/replicasets": {
            "metadata": owned("ReplicaSet", "Deployment"),
            "spec": {"template": SPEC["template"]},
        },
        f"/api/v1/{SPACE}/pods": {
            "metadata": owned("Pod", "ReplicaSet"),
            "spec": {"containers": []},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [running],
            },
        },
        f"/apis/discovery.k8s.io/v1/{SPACE}/endpointslices": {
            "metadata": written("EndpointSlice"),
            "endpoints": [{"conditions": {"ready": True}, "targetRef": {"uid": "Pod-uid"}}],
        },
        f"/api/v1/{SPACE}/events": {**OBJECTS["events"], "metadata": written("Event")},
    }
    told |= {path: {"metadata": {"resourceVersion": "7"}, "items": [one]} for path, one in lists.items()}
    for version, kinds in PLURALS.items():
        listed = [{"kind": kind, "name": plural, "namespaced": True} for kind, plural in kinds.items()]
        told[api.root(version)] = {"resources": listed}
    told[f"/api/v1/{SPACE}/configmaps/sf-record"] = {
        "metadata": written("Record"),
        "data": {KEY: RECORD.model_dump_json()},
    }
    held = {"metadata": written("Lease", name="sf-lock"), "spec": {"holderIdentity": "h", "leaseTransitions": 1}}
    leases = f"/apis/{lease.VERSION}/{SPACE}/leases"
    return told | {leases: held, f"{leases}/sf-lock": held}


CLUSTER = a_cluster()
EVENTS = {
    path: [{"type": "MODIFIED", "object": thing} for thing in told["items"]]
    for path, told in CLUSTER.items()
    if path.rpartition("/")[2] in {"deployments", "replicasets", "pods", "endpointslices", "events"}
}
"""What each watch tells."""


TOLD = {path: dump(told) for path, told in CLUSTER.items()}
WATCHED = {path: b"".join(dump(event) + b"\n" for event in told) for path, told in EVENTS.items()}


def uses(cluster: Api) -> list[Callable[[], object]]:
    """What commands do with an environment."""
    own = environment.Kubernetes(PROJECT, "test")
    vars(own)["api"] = cluster

    def release() -> None:
        with own.hold("i", HOLDER) as lock:
            own.write(lock, own.read(lock))
            own.apply(lock, MADE, RENDERED)

    def end() -> None:
        with own.hold("i", HOLDER) as lock:
            own.down(lock)

    return [
        own.refuse_unfit,
        own.read,
        own.held_by,
        own.replicas,
        own.any_image,
        lambda: own.ask(MADE),
        lambda: own.logs(5),
        lambda: own.difference(RENDERED),
        release,
        end,
    ]


def test_of_a_cluster_that_answers_well_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    *others, end = uses(connect(monkeypatch, answering(TOLD, WATCHED), hurry=60))
    for use in others:
        use()

    with pytest.raises(errors.CommandTimedOut, match="pods are left"):
        end()


ALIKE = ("/deployments", "/services", "/services/sf", "/persistentvolumeclaims", "y/v1", "io/v1", "s/v1", "s/leases")
"""What is read as others are."""
NAMING = ("/sf-record", "/sf-lock")


@pytest.mark.parametrize("path", [path for path in sorted(CLUSTER) if not path.endswith(ALIKE)])
def test_an_answer_that_is_turned_in_one_place_ends_well(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    asked: list[int] = []
    told, now = dict(TOLD), 0

    def answer(sent: bytes) -> tuple[bytes, bool]:
        if sent.split(b" ", 2)[1].decode().partition("?")[0] == path:
            asked.append(now)
        return answering(told, WATCHED)(sent)

    commands = uses(connect(monkeypatch, answer))[:-2]
    for now, use in enumerate(commands):  # noqa: B007 -- told of by what is asked
        use()

    kinds = (MISSING, None, "\ud800") if path.endswith(NAMING) else (MISSING, None)
    for other in [*turned(CLUSTER[path], kinds), {**CLUSTER[path], "more": nested(400)}]:
        told[path] = dump(other)
        for number in sorted({*asked} - {0}) or {*asked}:  # the first asks for all, and reads what others do
            ends_well(commands[number])


def test_a_new_lock_of_another_shape_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = f"/apis/{lease.VERSION}/{SPACE}/leases"
    told = {**TOLD, f"{leases}/sf-lock": None}
    cluster = connect(monkeypatch, answering(told, WATCHED))

    def hold() -> None:
        with lease.hold(cluster, "sf-lock", HOLDER) as lock:
            assert lock.container

    for other in turned(CLUSTER[leases], (MISSING, None, 7)):
        told[leases] = dump(other)
        ends_well(hold)


@settings(fuzzed, max_examples=20)
@given(st.sampled_from(sorted(CLUSTER)), st.data())
def test_whatever_a_cluster_answers_a_release_ends_well(
    monkeypatch: pytest.MonkeyPatch, path: str, drawn: st.DataObject
) -> None:
    told = {**TOLD, path: drawn.draw(data(CLUSTER[path]) | changed(CLUSTER[path]).map(dump))}

    for use in uses(connect(monkeypatch, answering(told, WATCHED))):
        ends_well(use)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/v1", {"resources": [{"name": "configmaps"}]}),
        ("/api/v1", {"resources": []}),
        (f"/api/v1/{SPACE}/configmaps/sf-record", {"metadata": METADATA, "data": {KEY: 7}}),
        (f"/apis/{lease.VERSION}/{SPACE}/leases/sf-lock", {"metadata": METADATA, "spec": {"leaseTransitions": "many"}}),
        (f"/apis/apps/v1/{SPACE}/deployments", {"items": [{**OBJECTS["deployments"], "spec": {"replicas": "1"}}]}),
    ],
)
def test_an_answer_of_another_shape_is_no_cluster_s(monkeypatch: pytest.MonkeyPatch, path: str, told: object) -> None:
    refused = (errors.ClusterUnreachable, errors.ObjectRefused)

    with pytest.raises(refused):  # noqa: PT012 -- whichever asks for it
        for use in uses(connect(monkeypatch, answering({**TOLD, path: dump(told)}, WATCHED))):
            use()


def roll(cluster: Api) -> None:
    """Wait for a rollout as whoever has applied it does, and have a pod testify."""
    applied = CLUSTER[f"/apis/apps/v1/{SPACE}/deployments/sf"]
    rollout = rolling.Rollout(api=cluster, applied=applied, selector="a=b", service="sf", images=[INDEX], deadline=300)
    list(rollout.testify(CLUSTER[f"/api/v1/{SPACE}/pods"]["items"][0]))
    rollout.wait(lambda: None)


DEPLOYMENTS = f"/apis/apps/v1/{SPACE}/deployments"
LIVE = {path: told["items"][0] for path, told in CLUSTER.items() if path in EVENTS}
KINDS = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", ""]


def before(path: str) -> dict[str, bytes]:
    """What is TOLD before a rollout is done, which the watch of PATH is to tell of."""
    late = {**LIVE[DEPLOYMENTS], "status": {"observedGeneration": 1}}
    items = [late] if path == DEPLOYMENTS else []
    return {**TOLD, path: dump({"metadata": {"resourceVersion": "6"}, "items": items})}


WATCHES = sorted(EVENTS.keys() - {f"/api/v1/{SPACE}/events"})
"""Those without which no rollout is done."""


@pytest.mark.parametrize("path", WATCHES)
def test_a_rollout_is_done_once_a_watch_tells_so(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    roll(connect(monkeypatch, answering(before(path), WATCHED), hurry=60))


@settings(fuzzed, max_examples=15)
@given(st.sampled_from(WATCHES), st.data())
def test_whatever_a_watch_tells_a_rollout_ends_well(
    monkeypatch: pytest.MonkeyPatch, path: str, drawn: st.DataObject
) -> None:
    event = st.sampled_from(KINDS).flatmap(lambda kind: data({"type": kind, "object": LIVE[path]}))
    told = b"\n".join(drawn.draw(st.lists(event, min_size=1, max_size=3)))

    ends_well(lambda: roll(connect(monkeypatch, answering(before(path), WATCHED, {path: told}))))


@pytest.mark.parametrize("version", ["\ud800", "\u20ac", None, 7, {}])
def test_a_watch_goes_on_from_whatever_version_it_was_told(monkeypatch: pytest.MonkeyPatch, version: object) -> None:
    told = {DEPLOYMENTS: dump({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}})}

    roll(connect(monkeypatch, answering(before(DEPLOYMENTS), WATCHED, told), hurry=60))


@pytest.mark.parametrize("path", WATCHES)
@pytest.mark.parametrize("key", ["metadata", "uid", "status", "spec", "endpoints"])
def test_a_watch_that_tells_of_another_shape_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, path: str, key: str
) -> None:
    known = LIVE[path]
    thing = {**known, "metadata": {**known["metadata"], **({"uid": 7} if key == "uid" else {})}}
    told = dump({"type": "ADDED", "object": {**thing, **({} if key == "uid" else {key: 7})}})

    ends_well(lambda: roll(connect(monkeypatch, answering(before(path), {}, {path: told}))))
