"""A pod that builds: kubectl starts it, feeds its standard input, reads its result, and removes it."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfdeploy import config, errors, process
from selfdeploy.build.builders import record
from selfdeploy.cluster import shape
from selfdeploy.process import surroundings

LABEL = "dev.selfdeploy/build"
ENDED = ("Succeeded", "Failed")
PATIENCE = 120.0
"""Seconds for the cluster to place the pod, pull the executor's image and start it."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod in a NAMESPACE of the cluster of the environment PLACE, reached by KUBECONFIG, under TIMEOUT seconds.

    The cluster itself ends it when its time is up, even if our process is gone. CAPABILITIES are all that its root user
    has. The executor looks for Docker's config.json in the pod's folder LOGINS.
    """

    place: config.Kubernetes
    kubeconfig: str
    namespace: str
    timeout: float
    capabilities: tuple[str, ...]
    logins: str

    def refuse_unready(self) -> None:
        """Raise `errors.BuilderUnready` unless the cluster answers, and lets us manage pods and attach to them."""
        for verb, resource in (("create", "pods"), ("create", "pods/attach"), ("get", "pods/log"), ("delete", "pods")):
            argv = self._argv("auth", "can-i", "--quiet", verb, resource)
            try:
                outcome = process.run(argv, timeout=30, env=surroundings.read("kubectl"), check=False)
            except (errors.ToolMissing, errors.CommandTimedOut) as exc:
                raise errors.BuilderUnready(f"kaniko: {exc.message}", exc.hint) from exc
            if outcome.code:
                why = outcome.complaint or f"not allowed to {verb} {resource} in {self.namespace}"
                raise errors.BuilderUnready(
                    f"kaniko: {self.place.context}: {why}", "docs/builders.md has the role it needs"
                )

    def node(self, base: str) -> str:  # noqa: ARG002 -- the cluster may not have it, and the rollout proves it
        """Return an empty string: a pod does not try the base image in advance."""
        return ""

    def run(self, image: str, argv: list[str], what: str, give: process.Giver, *, loopback: bool) -> str:
        """Return the digest in the executor's termination message."""
        name = f"selfdeploy-build-{uuid.uuid4().hex[:12]}"
        self._remove_ended()
        try:
            made = json.dumps(self.manifest(name, image, argv, loopback=loopback))
            self._run(what, "create", "--filename", "-", stdin=made)
            self._wait(name, what, ("Running", *ENDED), PATIENCE)
            # Its input and output share one connection; the cluster reports its end.
            attach = self._argv("attach", name, "--stdin", "--quiet", "--pod-running-timeout=30s")
            try:
                process.feed(attach, give, timeout=self.timeout, env=surroundings.read("kubectl"))
            except errors.CommandTimedOut as exc:
                raise errors.CommandTimedOut(
                    f"{what}: {exc.message}", f"{self._said(name)}\nimage.timeout in deploy.toml gives it more time"
                ) from exc
            pod = self._wait(name, what, ENDED, 30)
            ended = how_ended(pod, what)
            if ended["exitCode"]:
                raise errors.BuildFailed(
                    f"{what}: the executor ended with exit code {ended['exitCode']} ({ended.get('reason', '')})",
                    self._said(name),
                )
            return str(ended.get("message", ""))
        finally:
            self._kubectl("delete", "pod", name, "--ignore-not-found", "--grace-period=1", "--wait=true")

    def manifest(self, name: str, image: str, argv: list[str], *, loopback: bool) -> dict[str, Any]:
        """Return the pod NAME that runs IMAGE with ARGV; on the node's network for a registry on its LOOPBACK."""
        executor = {
            "name": "executor",
            "image": image,
            "args": [*argv, "--digest-file", "/dev/termination-log"],
            "env": [{"name": "DOCKER_CONFIG", "value": self.logins}],
            "stdin": True,
            "stdinOnce": True,
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"], "add": list(self.capabilities)},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {LABEL: "kaniko"}},
            "spec": {
                "restartPolicy": "Never",
                "activeDeadlineSeconds": int(self.timeout + PATIENCE),
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "hostNetwork": loopback,
                "imagePullSecrets": [{"name": secret} for secret in self.place.pull_secrets],
                "containers": [executor],
            },
        }

    def _wait(self, name: str, what: str, phases: tuple[str, ...], seconds: float) -> dict[str, Any]:
        """Return the cluster's description of the pod NAME, once it is in one of PHASES."""
        ends = time.monotonic() + seconds
        while True:
            pod = parse(self._run(what, "get", "pod", name, "--output", "json").stdout, what)
            status = pod.get("status") or {}
            if status.get("phase") in phases:
                return pod
            if time.monotonic() > ends:
                states = [each.get("state") or {} for each in status.get("containerStatuses") or ()]
                waiting = [state.get("waiting") or {} for state in states]
                why = [": ".join(filter(None, (each.get("reason"), each.get("message")))) for each in waiting]
                why += [each["message"] for each in status.get("conditions") or () if each.get("message")]
                raise errors.BuildFailed(
                    f"{what}: the pod is {status.get('phase')} after {seconds:g} s", "\n".join(filter(None, why))
                )
            time.sleep(0.3)

    def _said(self, name: str) -> str:
        return self._kubectl("logs", name, f"--tail={record.LINES}").text

    def _remove_ended(self) -> None:
        """Remove the ended pods of builds whose own process was killed."""
        for phase in ENDED:
            selectors = ("--selector", LABEL, "--field-selector", f"status.phase={phase}")
            self._kubectl("delete", "pods", *selectors, "--wait=false")

    def _run(self, what: str, *argv: str, stdin: str | None = None) -> process.Outcome:
        outcome = self._kubectl(*argv, stdin=stdin)
        if outcome.code:
            raise errors.BuildFailed(
                f"{what}: kubectl {' '.join(argv[:2])}: exit code {outcome.code}", outcome.complaint
            )
        return outcome

    def _kubectl(self, *argv: str, stdin: str | None = None) -> process.Outcome:
        env = surroundings.read("kubectl")
        return process.run(self._argv(*argv), timeout=60, env=env, stdin=stdin, check=False)

    def _argv(self, *argv: str) -> list[str]:
        place = self.place
        kubeconfig = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        return [*place.kubectl, *kubeconfig, "--context", place.context, "--namespace", self.namespace, *argv]


def parse(data: bytes, what: str) -> dict[str, Any]:
    """Return the pod in DATA; it builds WHAT.

    Raises:
        errors.BuildFailed: DATA does not describe a pod.
    """
    try:
        told: dict[str, Any] = json.loads(data)
        why = shape.complaint("pods", told)
    except (ValueError, RecursionError):
        why = f"no JSON: {data[:80]!r}"
    if why:
        raise errors.BuildFailed(
            f"{what}: not what a cluster says of a pod: {why}", "is that a kubectl? kubectl version"
        )
    return told


def how_ended(pod: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the final state of the executor of POD, which builds WHAT.

    Raises:
        errors.BuildFailed: it never ran: the node had no room for it, or evicted the pod before.
    """
    status = pod.get("status") or {}
    for each in status.get("containerStatuses") or ():
        if ended := (each.get("state") or {}).get("terminated"):
            return dict(ended)
    why = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
    raise errors.BuildFailed(
        f"{what}: the pod is {status.get('phase')}, and its executor did not run to an end: {why or 'no reason given'}",
        "kubectl get events says more; then run this again",
    )
