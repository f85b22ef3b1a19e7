"""Ask the servers of a namespace which build they are: each pod, and the Service, through the API server's proxy."""

import http.client
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from selfdeploy import probe
from selfdeploy.environments.kubernetes import refusal, verdict
from selfdeploy.environments.kubernetes.api import Api, Object, read
from selfdeploy.witness import Answer, Replica

PORT = 4000

PROXY = "error trying to reach service"
"""How the API server begins its own answer in place of a server's that it cannot reach."""

BRIEFLY = 0.2
"""Seconds that one which was told to end has for an answer: a node that has taken its network away leaves none.

It is asked again with each round, and for as long as the Service leads to it silence says nothing.
"""

ENDING = {"CrashLoopBackOff": "restarting"}
"""What a container waits for, in the words that a probe knows to be an end."""


def get(api: Api, path: str, timeout: float, limit: int = probe.LIMIT) -> Answer:
    """Return what PATH, one that leads to a server, answers: within TIMEOUT seconds and LIMIT bytes.

    Raises:
        errors.ClusterForbidden: the API server itself does not let us through to it.
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
    """Return what each of PATHS, by name, answers on each way in: PODS, the SERVICE, and URL where there is one.

    PODS also answer for EXTRA, each path being its own name.
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
    """Return the replicas of DEPLOYMENT: those of PODS that are to stay, and a place for each that is missing."""
    if deployment is None:
        return ()
    there = _describe([pod for pod in pods if not verdict.is_leaving(pod)])
    name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
    lost = [f"{name} {number} of {wanted}" for number in range(len(there) + 1, wanted + 1)]
    return (*there, *(Replica(name=one, instance=one, digests=frozenset(), state="missing") for one in lost))


def ask_leaving(api: Api, pods: Sequence[Object], path: str) -> dict[str, Answer]:
    """Return what those of PODS that have been told to end, and still run, answer for PATH, by uid."""
    going = [pod["metadata"] for pod in pods if pod["metadata"].get("deletionTimestamp") and verdict.runs(pod)]
    with ThreadPoolExecutor(len(going) + 1) as pool:
        told = pool.map(lambda one: get(api, _pod(api, one["name"]) + path, BRIEFLY), going)
        return {one["uid"]: answer for one, answer in zip(going, told, strict=True)}


def leaving(
    pods: Sequence[Object], slices: Sequence[Object], answers: Mapping[str, Answer] | None = None
) -> tuple[Replica, ...]:
    """Return those of PODS that have been told to end and may still answer, going by their ANSWERS, by uid.

    Those are who run, as their node told last, or are led to by SLICES, and have not shown by then that they are gone.
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
    """Say whether a server that was told to end, and gave ANSWER if it was asked, may give more.

    One that says nothing, or refuses, may where it IS_LED_TO: on connections that are kept.
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
    """Return in a word how POD is doing."""
    if pod["metadata"].get("deletionTimestamp"):
        return "terminating"
    for one in verdict.containers(pod):
        if reason := ((one.get("state") or {}).get("waiting") or {}).get("reason"):
            return ENDING.get(reason, str(reason))
    return str(pod["status"].get("phase", "Unknown")).lower()
