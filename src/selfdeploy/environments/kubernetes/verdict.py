"""Verdicts on a rollout's state: done, still waiting, or in trouble. Pure comparisons."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
"""Annotation with the number of a template, on a Deployment and its ReplicaSets."""

HASH = "pod-template-hash"
"""Label that distinguishes the pods of one ReplicaSet; its controller adds it to the template."""

IMAGE = {"ImagePullBackOff": 0.0, "ErrImagePull": 3.0, "InvalidImageName": 0.0, "ErrImageNeverPull": 0.0}
PROCESS = {"CrashLoopBackOff": 0.0, "RunContainerError": 3.0}
SETTING = {"CreateContainerConfigError": 2.0, "CreateContainerError": 3.0}
"""Waiting reasons that a container does not recover from, and the seconds allowed for each regardless."""

PLACE = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")
"""Reasons of events about a pod whose containers could not even be created."""

PASSING = ("failed to sync", "no relationship found between node", 'Get "https://')
"""Texts in such events about a node that lags behind the API server, or could not reach it: they pass."""

PATIENCE = 5.0
"""Seconds for others to fix the trouble: a volume is being bound, or an old pod frees its quota."""

PROVISIONING = 30.0
"""Seconds allowed for a volume to be provisioned on demand."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A Deployment, with ReplicaSets, pods, its Service's endpoint slices, and warning events."""

    deployment: Object
    sets: Sequence[Object]
    pods: Sequence[Object]
    slices: Sequence[Object]
    events: Sequence[Object]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """The reason why a rollout cannot finish: ABOUT names the object, PATIENCE is the seconds to tolerate it.

    OURS is True if the release itself is at fault, False for its surroundings.
    """

    about: str
    reason: str
    message: str
    patience: float
    ours: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Identity of the trouble: its message may change."""
        return self.about, self.reason

    def __str__(self) -> str:
        """Return the trouble in one line."""
        return f"{self.about}: {self.reason}{f': {self.message}' if self.message else ''}"


def owner(thing: Object) -> str:
    """Return the uid of THING's controller; empty if it does not have one."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in owners if one.get("controller")), "")


def pods_of(state: State) -> list[Object]:
    """Return the pods of all the Deployment's ReplicaSets."""
    sets = {one["metadata"]["uid"] for one in state.sets if owner(one) == state.deployment["metadata"]["uid"]}
    return [pod for pod in state.pods if owner(pod) in sets]


def newest(state: State) -> Object | None:
    """Return the ReplicaSet of the present template; None until its controller has created it.

    If old pods end first, the controller has seen the new template but still numbers the old one until they are gone.
    """
    deployment = state.deployment
    if not _is_seen(deployment):
        return None
    number = (deployment["metadata"].get("annotations") or {}).get(REVISION)
    found = [
        one
        for one in state.sets
        if owner(one) == deployment["metadata"]["uid"]
        and (one["metadata"].get("annotations") or {}).get(REVISION) == number
        and _is_of(one, deployment)
    ]
    return found[0] if number and found else None


def _is_seen(deployment: Object) -> bool:
    """Return whether the controller has seen DEPLOYMENT's present generation."""
    seen: int = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"]["generation"])


def _is_of(one: Object, deployment: Object) -> bool:
    """Return whether the ReplicaSet ONE has DEPLOYMENT's template, apart from the label `HASH`."""
    return _unmarked(one["spec"]["template"]) == _unmarked(deployment["spec"]["template"])


def _unmarked(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def current(state: State) -> list[Object]:
    """Return the pods of the present template, except leaving ones."""
    present = newest(state)
    uid = present["metadata"]["uid"] if present else None
    return [pod for pod in state.pods if uid and owner(pod) == uid and not is_leaving(pod)]


def is_leaving(pod: Object) -> bool:
    """Return whether POD is being deleted, or has ended."""
    return bool(pod["metadata"].get("deletionTimestamp")) or pod["status"].get("phase") in {"Succeeded", "Failed"}


def containers(pod: Object) -> list[Object]:
    """Return the status of each container of POD, init containers first."""
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def is_ready(pod: Object) -> bool:
    """Return whether POD's node reports it ready for requests."""
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def is_running(container: Object) -> bool:
    """Return whether CONTAINER, a container's status, is running."""
    return (container.get("state") or {}).get("running") is not None


def runs(pod: Object) -> bool:
    """Return whether any container of POD runs, by its node's last report."""
    return any(map(is_running, containers(pod)))


def digests(pod: Object) -> frozenset[str]:
    """Return the node's digests of the images of POD's server."""
    ids = (str(one.get("imageID", "")).rpartition("@")[2] for one in pod["status"].get("containerStatuses") or ())
    return frozenset(one for one in ids if one.startswith("sha256:"))


def reached(slices: Sequence[Object]) -> dict[str, bool]:
    """Return the pods in a Service's SLICES, by uid; True if a pod gets new requests.

    A terminating pod is included while it serves: requests may still reach it.
    """
    found: dict[str, bool] = {}
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            ready = conditions.get("ready") is not False
            if ready or conditions.get("serving"):
                uid = str((endpoint.get("targetRef") or {}).get("uid", ""))
                found[uid] = found.get(uid, False) or ready
    return found


def missing(state: State, images: Collection[str]) -> str:
    """Return in a few words what a rollout to IMAGES still waits for; empty if it is done.

    Terminating pods may be left then, once the Service knows that they are terminating.
    """
    if not _is_seen(state.deployment):
        return "the Deployment's controller has not seen it yet"
    if newest(state) is None:
        return f"no pod of it is made yet, {len(pods_of(state))} of an older release are there"
    return next(_missing(state, images), "")


def _missing(state: State, images: Collection[str]) -> Iterator[str]:
    status, wanted, pods = state.deployment.get("status", {}), state.deployment["spec"]["replicas"], current(state)
    for pod in pods:
        if not is_ready(pod):
            yield f"pod/{pod['metadata']['name']} is not ready"
    for told in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if status.get(told, 0) < wanted:
            yield f"{status.get(told, 0)} of {wanted} replicas are {told.removesuffix('Replicas')}"
    if status.get("replicas", 0) > wanted:
        yield f"{status['replicas'] - wanted} replicas are of an older release"
    if len(pods) != wanted:
        yield f"{len(pods)} of {wanted} pods"
    for pod in pods:
        if not digests(pod) & set(images):
            yield f"pod/{pod['metadata']['name']} runs {', '.join(digests(pod)) or 'no image yet'}"
    yield from _missing_endpoints(state, {str(pod["metadata"]["uid"]): pod["metadata"]["name"] for pod in pods})


def _missing_endpoints(state: State, pods: dict[str, str]) -> Iterator[str]:
    found = reached(state.slices)
    for uid, name in pods.items():
        if not found.get(uid):
            yield f"the Service does not lead to pod/{name} yet"
    names = {str(pod["metadata"]["uid"]): pod["metadata"]["name"] for pod in state.pods}
    ending = {str(pod["metadata"]["uid"]) for pod in state.pods if is_leaving(pod)}
    for uid in sorted(found.keys() - pods.keys()):
        if found[uid] or uid not in ending:  # a leaving pod gets no new requests once its slice says so
            yield f"the Service still leads to pod/{names.get(uid, uid)}, of an older release"


def troubles(state: State) -> list[Trouble]:
    """Return the reasons why the rollout cannot finish, the surest first."""
    found = list(_refused(state))
    for pod in current(state):
        found += [*_of_containers(pod), *_of_place(pod, state.events)]
    return sorted(found, key=lambda trouble: trouble.patience)


def _refused(state: State) -> Iterator[Trouble]:
    """Yield the reasons why no pod could be created at all: quota, admission."""
    if newest(state) is None:
        return
    for condition in state.deployment.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            about = f"deployment/{state.deployment['metadata']['name']}"
            message = str(condition.get("message", ""))
            yield Trouble(about=about, reason=condition.get("reason", "?"), message=message, patience=PATIENCE / 2)


def _of_containers(pod: Object) -> Iterator[Trouble]:
    about = f"pod/{pod['metadata']['name']}"
    for one in containers(pod):
        waiting = (one.get("state") or {}).get("waiting") or {}
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
        if reason in IMAGE:
            # The registry gave us the image a moment ago, so the fault is the node's.
            yield Trouble(about=about, reason=reason, message=message, patience=IMAGE[reason])
        elif reason in PROCESS:
            ended = (one.get("lastState") or {}).get("terminated") or {}
            told = f"exit code {ended['exitCode']} ({ended.get('reason', '?')})" if "exitCode" in ended else message
            yield Trouble(about=about, reason=reason, message=told, patience=PROCESS[reason], ours=True)
        elif reason in SETTING:
            yield Trouble(about=about, reason=reason, message=message, patience=SETTING[reason])


def _of_place(pod: Object, events: Sequence[Object]) -> Iterator[Trouble]:
    about = f"pod/{pod['metadata']['name']}"
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = str(condition.get("message", ""))
            patience = PROVISIONING if "unbound immediate" in message else PATIENCE
            yield Trouble(about=about, reason="Unschedulable", message=message, patience=patience)
    if runs(pod) or any(one.get("restartCount") for one in containers(pod)):
        return
    told = [
        one
        for one in warnings(pod, events)
        if one.get("reason") in PLACE and not any(said in str(one.get("message")) for said in PASSING)
    ]
    if told:
        yield Trouble(about=about, reason=told[-1]["reason"], message=str(told[-1].get("message")), patience=PATIENCE)


def warnings(thing: Object, events: Sequence[Object]) -> list[Object]:
    """Return the EVENTS about THING, the newest last."""
    uid = thing["metadata"]["uid"]
    found = [event for event in events if (event.get("involvedObject") or {}).get("uid") == uid]
    return sorted(found, key=lambda event: int(event["metadata"]["resourceVersion"]))
