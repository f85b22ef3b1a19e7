import dataclasses
from typing import Any

import pytest

from selfdeploy.environments.kubernetes import verdict
from selfdeploy.environments.kubernetes.verdict import State

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
Object = dict[str, Any]


def template(image: str, **labels: str) -> Object:
    return {"metadata": {"labels": {"app": "sf", **labels}}, "spec": {"containers": [{"image": image}]}}


def deployment(**status: object) -> Object:
    numbers = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    return {
        "metadata": {"name": "sf", "uid": "d", "generation": 2, "annotations": {verdict.REVISION: "2"}},
        "spec": {"replicas": 2, "template": template("new")},
        "status": {"observedGeneration": 2, **numbers, **status},
    }


def owned(uid: str, owner: str, **metadata: object) -> Object:
    return {"name": uid, "uid": uid, "ownerReferences": [{"uid": owner, "controller": True}], **metadata}


def replica_set(uid: str, number: int) -> Object:
    spec = {"template": template(uid, **{verdict.HASH: f"hash-of-{uid}"})}
    return {"metadata": owned(uid, "d", annotations={verdict.REVISION: str(number)}), "spec": spec}


def pod(
    uid: str, owner: str = "new", *, digest: str = DIGEST, leaving: bool = False, container: Object | None = None
) -> Object:
    told = {"name": "server", "imageID": f"host/sf@{digest}", "state": {"running": {}}, **(container or {})}
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "conditions": ready, "containerStatuses": [told]}
    return {"metadata": owned(uid, owner, **gone), "status": status}


def unready(uid: str) -> Object:
    found = pod(uid)
    return {**found, "status": {**found["status"], "conditions": [{"type": "Ready", "status": "False"}]}}


def endpoints(**pods: Object) -> Object:
    return {"endpoints": [{"targetRef": {"uid": uid}, "conditions": told} for uid, told in pods.items()]}


READY = {"ready": True, "serving": True, "terminating": False}
DRAINING = {"ready": False, "serving": True, "terminating": True}
SILENT = {"ready": False, "serving": False, "terminating": True}


def state(**parts: Any) -> State:  # noqa: ANN401 -- whatever a State has
    whole = State(
        deployment=deployment(),
        sets=[replica_set("old", 1), replica_set("new", 2)],
        pods=[pod("one"), pod("two")],
        slices=[endpoints(one=READY, two=READY)],
        events=[],
    )
    return dataclasses.replace(whole, **parts)


def waiting(reason: str, last: Object | None = None) -> Object:
    told = {"state": {"waiting": {"reason": reason, "message": "why"}}, "lastState": last or {}}
    return pod("one", container=told)


def test_it_is_done_when_everything_of_it_is() -> None:
    assert verdict.missing(state(), {DIGEST}) == ""
    assert verdict.troubles(state()) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"deployment": deployment(observedGeneration=1)}, "has not seen it"),
        ({"sets": [replica_set("old", 1)]}, "no pod of it is made yet, 0 of an older release are there"),
        ({"sets": [replica_set("old", 2)], "pods": [pod("one", "old")]}, "1 of an older release are there"),
        ({"deployment": deployment(updatedReplicas=1)}, "1 of 2 replicas are updated"),
        ({"deployment": deployment(replicas=3)}, "1 replicas are of an older release"),
        ({"deployment": deployment(readyReplicas=0)}, "0 of 2 replicas are ready"),
        ({"deployment": deployment(availableReplicas=1)}, "1 of 2 replicas are available"),
        ({"pods": [pod("one"), unready("two")]}, "pod/two is not ready"),
        ({"pods": [pod("one")]}, "1 of 2 pods"),
        ({"pods": [pod("one"), pod("two", "old")]}, "1 of 2 pods"),
        ({"pods": [pod("one"), pod("two", leaving=True)]}, "1 of 2 pods"),
        ({"pods": [pod("one"), pod("two", digest=OTHER)]}, f"pod/two runs {OTHER}"),
        ({"slices": []}, "does not lead to pod/one yet"),
        ({"slices": [endpoints(one=READY)]}, "does not lead to pod/two yet"),
        ({"slices": [endpoints(one=READY, two=DRAINING)]}, "does not lead to pod/two yet"),
        ({"slices": [endpoints(one=READY, two=READY, three=READY)]}, "still leads to pod/three"),
        ({"slices": [endpoints(one=READY, two=READY), endpoints(three=DRAINING)]}, "still leads to pod/three"),
        (
            {
                "pods": [pod("one"), pod("two"), pod("three", "old", leaving=True)],
                "slices": [endpoints(one=READY, two=READY, three=READY)],
            },
            "still leads to pod/three",
        ),
    ],
)
def test_it_is_not_done_while_anything_of_it_is_missing(parts: dict[str, Any], expected: str) -> None:
    assert expected in verdict.missing(state(**parts), {DIGEST})


def test_an_old_pod_that_serves_no_more_is_not_waited_for() -> None:
    slices = [endpoints(one=READY, two=READY, three=SILENT)]

    assert verdict.missing(state(slices=slices), {DIGEST}) == ""


def test_an_old_pod_that_gets_nothing_new_and_is_ending_is_left_to_who_asks_it() -> None:
    pods = [pod("one"), pod("two"), pod("three", "old", leaving=True)]
    slices = [endpoints(one=READY, two=READY, three=DRAINING)]

    assert verdict.missing(state(pods=pods, slices=slices), {DIGEST}) == ""


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("ErrImagePull", False),
        ("ImagePullBackOff", False),
        ("CrashLoopBackOff", True),
        ("CreateContainerConfigError", False),
        ("CreateContainerError", False),
    ],
)
def test_a_container_that_cannot_start_is_trouble(reason: str, *, ours: bool) -> None:
    (trouble,) = verdict.troubles(state(pods=[waiting(reason), pod("two")]))

    assert (trouble.about, trouble.reason, trouble.ours) == ("pod/one", reason, ours)
    assert trouble.patience <= 3


def test_a_container_that_is_being_made_is_none() -> None:
    assert verdict.troubles(state(pods=[waiting("ContainerCreating"), waiting("PodInitializing")])) == []


def test_how_a_crashed_container_ended_is_told() -> None:
    crashed = waiting("CrashLoopBackOff", last={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})

    (trouble,) = verdict.troubles(state(pods=[crashed]))

    assert str(trouble) == "pod/one: CrashLoopBackOff: exit code 137 (OOMKilled)"


def test_trouble_of_an_older_release_is_none_of_ours() -> None:
    older = waiting("ImagePullBackOff")
    older["metadata"]["ownerReferences"][0]["uid"] = "old"

    assert verdict.troubles(state(pods=[older, pod("two")])) == []


def test_trouble_of_an_older_release_is_none_of_ours_while_its_set_still_has_the_deployment_s_number() -> None:
    older = waiting("CrashLoopBackOff")
    older["metadata"]["ownerReferences"][0]["uid"] = "old"

    assert verdict.troubles(state(sets=[replica_set("old", 2)], pods=[older])) == []


@pytest.mark.parametrize("key", ["labels", "annotations"])
def test_a_set_whose_pods_are_marked_otherwise_is_of_another_template(key: str) -> None:
    other = replica_set("new", 2)
    other["spec"]["template"]["metadata"] = {**template("new")["metadata"], key: {"app": "other"}}

    assert verdict.newest(state()) == replica_set("new", 2)
    assert verdict.newest(state(sets=[other])) is None


def test_a_pod_that_fits_nowhere_is_trouble_after_a_while() -> None:
    pending = pod("one", container={"state": {}})
    pending["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]

    (trouble,) = verdict.troubles(state(pods=[pending]))

    assert trouble.reason == "Unschedulable"
    assert 0 < trouble.patience <= 10


def test_a_volume_that_does_not_mount_is_trouble_until_something_runs() -> None:
    event = {
        "metadata": {"resourceVersion": "9"},
        "involvedObject": {"uid": "one"},
        "reason": "FailedMount",
        "message": 'configmap "x" not found',
    }

    (trouble,) = verdict.troubles(state(pods=[waiting("ContainerCreating")], events=[event]))

    assert str(trouble) == 'pod/one: FailedMount: configmap "x" not found'
    assert verdict.troubles(state(pods=[pod("one")], events=[event])) == []
    for passing in (
        "failed to sync configmap cache: timed out waiting for the condition",
        'failed to fetch PVC from API server: Get "https://127.0.0.1:6443/api": dial tcp: connection refused',
    ):
        late = {**event, "message": passing}
        assert verdict.troubles(state(pods=[waiting("ContainerCreating")], events=[late])) == []


def test_pods_that_may_not_be_made_are_trouble() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}

    (trouble,) = verdict.troubles(state(deployment=deployment(conditions=[condition])))
    unseen = verdict.troubles(state(deployment=deployment(conditions=[condition], observedGeneration=1)))

    assert str(trouble) == "deployment/sf: FailedCreate: exceeded quota"
    assert not trouble.ours
    assert unseen == []
