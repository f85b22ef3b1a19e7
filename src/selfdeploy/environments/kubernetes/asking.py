"""Ask the servers of a namespace which build they are: each pod, and the Service, through the API server's proxy."""

import http.client
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from selfdeploy import probe
from selfdeploy.environments.kubernetes import refusal, verdict
from selfdeploy.environments.kubernetes.api import Api, Object, read
from selfdeploy.witness import Answer, Replica

PORT = 4000

ENDING = {"CrashLoopBackOff": "restarting"}
"""What a container waits for, in the words that a probe knows to be an end."""


def get(api: Api, path: str, timeout: float) -> Answer:
    """Return what PATH, one that leads to a server, answers: within TIMEOUT seconds and `probe.LIMIT` bytes.

    Raises:
        errors.ClusterForbidden: the API server itself does not let us through to it.
    """
    try:
        status, body = api.fetch("GET", path, timeout=timeout, limit=probe.LIMIT)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        return Answer(status=0, body=str(exc) if isinstance(exc, TimeoutError) and str(exc) else type(exc).__name__)
    reply = read(status, body)
    if refusal.bars(status, reply.object):
        raise refusal.explain(api.name, api.kubectl.namespace, status, reply.object, reply.text)
    return Answer(status=status, body=body.decode(errors="replace"))


def ask(
    api: Api, pods: Sequence[str], service: str, url: str, paths: Mapping[str, str], timeout: float
) -> dict[str, dict[str, Answer]]:
    """Return what each of PATHS, by name, answers on each way in: PODS, the SERVICE, and URL where there is one."""
    ways = {pod: api.path("v1", "pods", f"{pod}:{PORT}", "proxy") for pod in pods}
    ways[f"service/{service}"] = api.path("v1", "services", f"{service}:http", "proxy")
    with ThreadPoolExecutor(len(ways) + 1) as pool:
        told = {
            way: pool.submit(lambda root: {name: get(api, root + path, timeout) for name, path in paths.items()}, root)
            for way, root in ways.items()
        }
        if url:
            told[url] = pool.submit(probe.get_all, url, paths, timeout)
        return {way: answers.result() for way, answers in told.items()}


def replicas(deployment: Object, pods: Sequence[Object], slices: Sequence[Object]) -> tuple[Replica, ...]:
    """Return the replicas of DEPLOYMENT: PODS that are there or still serve, and a place for each that is missing."""
    serving = verdict.reached(slices)
    found = [pod for pod in pods if not verdict.is_leaving(pod) or pod["metadata"]["uid"] in serving]
    there = tuple(
        Replica(
            name=pod["metadata"]["name"],
            instance=pod["metadata"]["name"],
            digests=verdict.digests(pod),
            state=state(pod),
        )
        for pod in sorted(found, key=lambda pod: str(pod["metadata"]["name"]))
    )
    name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
    lost = [f"{name} {number} of {wanted}" for number in range(len(there) + 1, wanted + 1)]
    return (*there, *(Replica(name=one, instance=one, digests=frozenset(), state="missing") for one in lost))


def state(pod: Object) -> str:
    """Return in a word how POD is doing."""
    if pod["metadata"].get("deletionTimestamp"):
        return "terminating"
    for one in verdict.containers(pod):
        if reason := ((one.get("state") or {}).get("waiting") or {}).get("reason"):
            return ENDING.get(reason, str(reason))
    return str(pod["status"].get("phase", "Unknown")).lower()
