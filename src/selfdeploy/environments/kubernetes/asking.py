"""Ask the servers of a namespace for their build: each pod, and the Service, through the API server's proxy."""

import http.client
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from selfdeploy.cluster import refusal
from selfdeploy.cluster.api import Api, Object, read
from selfdeploy.environments.kubernetes import verdict
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer, Replica

PORT = 4000

PROXY = "error trying to reach service"
"""Start of the API server's own error if its proxy cannot reach the server."""

BRIEFLY = 0.2
"""Seconds to wait for a terminating pod's answer: none comes once its node has removed the pod's network.

Each round asks the pod again. As long as the Service leads to the pod, silence proves nothing.
"""

ENDING = {"CrashLoopBackOff": "restarting"}
"""Waiting reasons of a container, with the word of a probe for a replica in that state."""


def get(api: Api, path: str, timeout: float, limit: int = probe.LIMIT) -> Answer:
    """Return a server's answer at PATH, an API path through the proxy, within TIMEOUT seconds and LIMIT bytes.

    The status is 0 if the server does not answer.

    Raises:
        errors.ClusterForbidden: the API server does not let us use its proxy.
    """
    try:
        status, body = api.fetch("GET", path, timeout=timeout, limit=limit)
    except TimeoutError as exc:
        return Answer(status=0, body=str(exc) if "did not end" in str(exc) else probe.late(timeout))
    except (OSError, http.client.HTTPException, ValueError) as exc:
        return Answer(status=0, body=type(exc).__name__)
    reply = read(status, body)
    if refusal.bars(status, reply.object):
        raise refusal.explain(api.name, api.kubectl.namespace, status, reply.object, reply.text)
    return Answer(status=status, body=body.decode(errors="replace"))


def _pod(api: Api, name: str) -> str:
    return api.path("v1", "pods", f"{name}:{PORT}", "proxy")


def ask(
    api: Api,
    pods: Sequence[str],
    service: str,
    url: str,
    paths: Mapping[str, str],
    timeout: float,
    extra: Sequence[str] = (),
) -> dict[str, dict[str, Answer]]:
    """Return the answers to PATHS from each of PODS, from SERVICE, and from URL unless it is empty.

    The result maps pod names, `service/SERVICE` and URL to answers by the names in PATHS. PODS are also asked for
    EXTRA, paths that serve as their own names.
    """
    ways = {pod: _pod(api, pod) for pod in pods}
    ways[f"service/{service}"] = api.path("v1", "services", f"{service}:http", "proxy")
    with ThreadPoolExecutor(len(ways) * (len(paths) + len(extra)) + 1) as pool:
        public = pool.submit(probe.get_all, url, paths, timeout) if url else None
        told = {
            way: {name: pool.submit(get, api, root + path, timeout) for name, path in paths.items()}
            for way, root in ways.items()
        }
        for pod in pods:
            told[pod] |= {path: pool.submit(get, api, ways[pod] + path, timeout, probe.LARGE) for path in extra}
        answers = {way: {name: one.result() for name, one in asked.items()} for way, asked in told.items()}
        return {**answers, url: public.result()} if public else answers


def replicas(deployment: Object | None, pods: Sequence[Object]) -> tuple[Replica, ...]:
    """Return the replicas of DEPLOYMENT: each of PODS that stays, and a placeholder for each missing one."""
    if deployment is None:
        return ()
    there = _describe([pod for pod in pods if not verdict.is_leaving(pod)])
    name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
    lost = [f"{name} {number} of {wanted}" for number in range(len(there) + 1, wanted + 1)]
    return (*there, *(Replica(name=one, instance=one, digests=frozenset(), state="missing") for one in lost))


def ask_leaving(api: Api, pods: Sequence[Object], path: str) -> dict[str, Answer]:
    """Ask each terminating and still running pod of PODS for PATH; return the answers by uid."""
    going = [pod["metadata"] for pod in pods if pod["metadata"].get("deletionTimestamp") and verdict.runs(pod)]
    with ThreadPoolExecutor(len(going) + 1) as pool:
        told = pool.map(lambda one: get(api, _pod(api, one["name"]) + path, BRIEFLY), going)
        return {one["uid"]: answer for one, answer in zip(going, told, strict=True)}


def leaving(
    pods: Sequence[Object], slices: Sequence[Object], answers: Mapping[str, Answer] | None = None
) -> tuple[Replica, ...]:
    """Return the terminating pods of PODS that may still answer requests.

    A pod counts if its node last reported it running, or if SLICES lead to it, unless ANSWERS (by uid) show it gone.
    """
    serving, known = verdict.reached(slices), answers or {}
    return _describe(
        [
            pod
            for pod in pods
            if pod["metadata"].get("deletionTimestamp")
            and (pod["metadata"]["uid"] in serving or verdict.runs(pod))
            and may_answer(known.get(pod["metadata"]["uid"]), is_led_to=pod["metadata"]["uid"] in serving)
        ]
    )


def may_answer(answer: Answer | None, *, is_led_to: bool) -> bool:
    """Return whether a terminating server may still answer; ANSWER is its last answer, None if it was not asked.

    If the Service leads to it (IS_LED_TO), it may despite silence or a refusal: on connections kept open.
    """
    if answer is None or is_led_to:
        return True
    return bool(answer.status) and PROXY not in answer.body


def _describe(pods: Sequence[Object]) -> tuple[Replica, ...]:
    return tuple(
        Replica(
            name=pod["metadata"]["name"],
            instance=pod["metadata"]["name"],
            digests=verdict.digests(pod),
            state=state(pod),
        )
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    )


def state(pod: Object) -> str:
    """Return POD's state in one word."""
    if pod["metadata"].get("deletionTimestamp"):
        return "terminating"
    for one in verdict.containers(pod):
        if reason := ((one.get("state") or {}).get("waiting") or {}).get("reason"):
            return ENDING.get(reason, str(reason))
    return str(pod["status"].get("phase", "Unknown")).lower()
