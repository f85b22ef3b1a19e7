"""Probes with the server's own token, from inside its pod: by `kubectl exec`, which needs a right of its own."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from selfdeploy import errors, process
from selfdeploy.cluster import refusal
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer
from selfdeploy.process import surroundings

CONTAINER = "server"
"""Name of the server's container in a pod."""

STARTING = 10.0
"""Seconds allowed for kubectl and node, in addition to the server's own answer."""

RIGHTS = (("get", "pods", ""), ("create", "pods", "exec"))
"""Verb, resource and subresource of each right that `kubectl exec` needs (Kubernetes, Authorization overview)."""

WITHOUT = "; without it: probes.rpc = false, probes.extra_token = false"


def ask(kubectl: Kubectl, pods: Sequence[str], question: str, timeout: float) -> dict[str, dict[str, Answer]]:
    """Return the answers of each of PODS to QUESTION, the argument of `probe.SCRIPT`.

    A pod has TIMEOUT seconds to answer, and `STARTING` seconds more for kubectl and node.
    """
    with ThreadPoolExecutor(len(pods) + 1) as pool:
        answers = pool.map(lambda pod: _ask(kubectl, pod, question, timeout), pods)
        return dict(zip(pods, answers, strict=True))


def _ask(kubectl: Kubectl, pod: str, question: str, timeout: float) -> dict[str, Answer]:
    calm = ["env", *(f"{name}=" for name in surroundings.INSIDE)]
    argv = kubectl.argv("exec", pod, f"--container={CONTAINER}", "--", *calm, "node", "-e", probe.SCRIPT, question)
    try:
        outcome = process.run(argv, timeout=timeout + STARTING, env=surroundings.read("kubectl"), check=False)
    except errors.CommandTimedOut:
        return probe.unanswered(question, "kubectl exec did not end in time")
    if outcome.code == 0:
        return probe.read_answers(outcome.stdout[: 8 * probe.LIMIT])
    if error := refusal.forbidden(kubectl.name, kubectl.namespace, outcome.complaint):
        raise error
    return probe.unanswered(question, f"kubectl exec: {outcome.complaint}")


def merge(
    answers: Mapping[str, Mapping[str, Answer]], more: Mapping[str, Mapping[str, Answer]]
) -> dict[str, dict[str, Answer]]:
    """Return ANSWERS with MORE answers of the same pods; an answer in ANSWERS takes precedence."""
    return {way: {**more.get(way, {}), **of_way} for way, of_way in answers.items()}


def rehearse(kubectl: Kubectl) -> None:
    """Check the credential's right to run a command in a pod of the namespace.

    Raises:
        errors.ClusterForbidden: the credential does not have it.
    """
    for verb, resource, sub in RIGHTS:
        argv = kubectl.argv("auth", "can-i", verb, resource, *([f"--subresource={sub}"] if sub else []))
        argv += [f"--request-timeout={STARTING:g}s"]
        outcome = process.run(argv, timeout=2 * STARTING, env=surroundings.read("kubectl"), check=False)
        # Only `no` denies a right; any other failure is left to the release itself.
        if outcome.code and outcome.text.partition(" ")[0] == "no":
            right = f"{verb} {resource}/{sub}" if sub else f"{verb} {resource}"
            raise refusal.denied_right(kubectl.name, kubectl.namespace, right, otherwise=WITHOUT)
