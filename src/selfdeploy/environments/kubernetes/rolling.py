"""Rollouts: wait until one is done or cannot be, and report on a pod in trouble."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from selfdeploy import errors
from selfdeploy.cluster.api import Api, Object
from selfdeploy.cluster.mirror import Mirror, Query
from selfdeploy.environments.kubernetes import verdict
from selfdeploy.environments.kubernetes.verdict import State, Trouble

LINES = 8
"""Lines of a failed pod's log, and warnings about it, to include in the error."""


def queries(deployment: str, selector: str, service: str) -> tuple[Query, ...]:
    """Return the queries to follow DEPLOYMENT, its pods with the labels SELECTOR, and its SERVICE."""
    labels = {"labelSelector": selector}
    return (
        Query(version="apps/v1", kind="deployments", selector={"fieldSelector": f"metadata.name={deployment}"}),
        Query(version="apps/v1", kind="replicasets", selector=labels),
        Query(version="v1", kind="pods", selector=labels),
        Query(
            version="discovery.k8s.io/v1",
            kind="endpointslices",
            selector={"labelSelector": f"kubernetes.io/service-name={service}"},
        ),
        Query(version="v1", kind="events", selector={"fieldSelector": "type=Warning"}),
    )


def rehearse(api: Api, followed: Sequence[Query]) -> None:
    """Raise if the queries FOLLOWED would fail, above all for a missing right; changes nothing."""
    for query in followed:
        api.list(query.version, query.kind, limit="1", **query.selector)


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One rollout: APPLIED is the Deployment as it was applied, SELECTOR the labels of all its pods.

    IMAGES are the digests to run, and DEADLINE is in seconds.
    """

    api: Api
    applied: Object
    selector: str
    service: str
    images: Collection[str]
    deadline: float

    def wait(self, refuse_lost: Callable[[], None]) -> None:
        """Wait until the rollout is done; REFUSE_LOST raises if there is no point in waiting longer.

        Raises:
            errors.ReplicaFailed, errors.ReplicaHeldUp: it cannot finish, or did not within the deadline.
            errors.DeploymentPaused, errors.FieldConflict: somebody else keeps it from finishing.
            errors.LockLost: somebody else has deleted the Deployment.
            errors.ClusterUnreachable: the API server went away, and stayed away.
        """
        ends = time.monotonic() + self.deadline
        borne: dict[tuple[str, str], float] = {}
        followed = queries(self.applied["metadata"]["name"], self.selector, self.service)
        with Mirror(self.api, followed) as mirror:
            while True:
                refuse_lost()
                state = self._state(mirror)
                if state and not (left := verdict.missing(state, self.images)):
                    return
                found = verdict.troubles(state) if state else []
                now = time.monotonic()
                borne = {one.key: borne.get(one.key, now) for one in found}
                for trouble in found:
                    if now - borne[trouble.key] >= trouble.patience:
                        raise self._failed(state, trouble)
                if now > ends:
                    raise self._late(state, mirror.trouble, left if state else "")
                mirror.wait(min(0.5, max(0.0, ends - now)))

    def _state(self, mirror: Mirror) -> State | None:
        """Return the state in MIRROR; None until it is complete and has the Deployment as applied."""
        if not mirror.is_complete:
            return None
        deployments = mirror.of("deployments")
        if not deployments:
            raise errors.LockLost(f"{self._about}: somebody has deleted it", "run the command again")
        deployment = deployments[0]
        if deployment["metadata"]["generation"] < self.applied["metadata"]["generation"]:
            return None
        self._refuse_meddling(deployment)
        return State(
            deployment=deployment,
            sets=mirror.of("replicasets"),
            pods=mirror.of("pods"),
            slices=mirror.of("endpointslices"),
            events=mirror.of("events"),
        )

    @property
    def _about(self) -> str:
        return f"{self.api.name}: deployment/{self.applied['metadata']['name']}"

    def _refuse_meddling(self, deployment: Object) -> None:
        if deployment["spec"].get("paused"):
            raise paused(self.api.name, deployment)
        if deployment["spec"]["template"] != self.applied["spec"]["template"]:
            raise errors.FieldConflict(
                f"{self._about}: {meddler(deployment)} has changed the pods' template after it was applied",
                "have it let go of that; the release is not what runs",
            )

    def _failed(self, state: State | None, trouble: Trouble) -> errors.SelfdeployError:
        kind = errors.ReplicaFailed if trouble.ours else errors.ReplicaHeldUp
        pod = (
            next((one for one in state.pods if trouble.about == f"pod/{one['metadata']['name']}"), None)
            if state
            else None
        )
        lines = [f"{self.api.name}: {trouble}", *(self.testify(pod) if pod else ())]
        return kind("\n".join(lines), f"inv logs -e {self.api.name} shows what the server says")

    def _late(self, state: State | None, unseen: str, left: str) -> errors.SelfdeployError:
        if unseen:
            return errors.ClusterUnreachable(f"{unseen}; {self.deadline:g} s were not enough", "run the command again")
        pods = verdict.current(state) if state else []
        waiting = next((pod for pod in pods if not verdict.is_ready(pod)), None)
        # A pod that started and is not ready is the release's fault; a pod that never started is probably not.
        started = waiting is not None and verdict.runs(waiting)
        kind = errors.ReplicaFailed if started else errors.ReplicaHeldUp
        lines = [f"{self._about}: not done after {self.deadline:g} s: {left or 'not seen by its controller'}"]
        lines += self.testify(waiting) if waiting else []
        return kind("\n".join(lines), f"inv logs -e {self.api.name} shows what the server says")

    def testify(self, pod: Object) -> Iterator[str]:
        """Yield lines about POD's trouble: how its containers ended, warnings, and the ends of their logs."""
        name = pod["metadata"]["name"]
        for one in verdict.containers(pod):
            for when in ("state", "lastState"):
                if ended := (one.get(when) or {}).get("terminated"):
                    yield f"  {one['name']} ended with exit code {ended.get('exitCode')} ({ended.get('reason')})"
        with contextlib.suppress(errors.SelfdeployError):
            about = f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
            listed, _ = self.api.list("v1", "events", fieldSelector=about)
            for event in verdict.warnings(pod, listed)[-LINES:]:
                yield f"  event: {event.get('reason')}: {event.get('message')}"
        for one in verdict.containers(pod):
            previous = bool((one.get("lastState") or {}).get("terminated")) and not verdict.is_running(one)
            with contextlib.suppress(errors.SelfdeployError):
                said = read_log(self.api, name, one["name"], LINES, previous=previous)
                yield from (f"  {one['name']}: {line}" for line in said.splitlines())


def read_log(api: Api, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
    """Return the last LINES log lines of CONTAINER in POD; with PREVIOUS, of its run before the restart."""
    query = {
        "container": container,
        "tailLines": str(lines),
        "previous": str(previous).lower(),
        "limitBytes": "1000000",
    }
    return api.text(api.path("v1", "pods", pod, "log"), timeout=10, **query)


def tell(api: Api, pod: Object, lines: int) -> Iterator[str]:
    """Yield the last LINES log lines of each container of POD; a run before a restart comes first."""
    for one in verdict.containers(pod):
        for previous in (True, False) if one.get("restartCount") else (False,):
            yield f"== {pod['metadata']['name']} {one['name']}{', before its restart' if previous else ''}"
            try:
                yield read_log(api, pod["metadata"]["name"], one["name"], lines, previous=previous).rstrip("\n")
            except errors.SelfdeployError as exc:
                yield exc.message


def meddler(deployment: Object) -> str:
    """Return the last manager of DEPLOYMENT's spec, except us and the cluster's own controllers."""
    told = [
        one
        for one in deployment["metadata"].get("managedFields") or ()
        if one.get("manager") != "selfdeploy"
        and one.get("subresource") != "status"
        and "f:spec" in (one.get("fieldsV1") or {})
    ]
    last: Object = max(told, key=lambda one: str(one.get("time")), default={})
    return str(last.get("manager", "somebody"))


def paused(name: str, deployment: Object) -> errors.DeploymentPaused:
    """Return the error for the paused DEPLOYMENT of the environment NAME."""
    metadata = deployment["metadata"]
    return errors.DeploymentPaused(
        f"{name}: deployment/{metadata['name']} is paused by {meddler(deployment)}: nothing rolls",
        f"kubectl --namespace {metadata['namespace']} rollout resume deployment/{metadata['name']}",
    )
