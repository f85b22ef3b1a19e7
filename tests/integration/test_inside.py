"""What is asked inside a pod; a script stands for kubectl, and says what kubectl 1.34 was seen to say."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from selfdeploy import config, errors
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.environments.kubernetes import inside
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer

QUESTION = probe.token_question(config.Probes(rpc=True))
PONG = {"rpc": {"status": 200, "body": "{}"}}
DENIED = (
    'Error from server (Forbidden): pods "sf-1" is forbidden: User "system:serviceaccount:ns:robot" cannot create '
    'resource "pods/exec" in API group "" in the namespace "ns"'
)


@pytest.fixture
def kubectl(tmp_path: Path) -> Callable[[str], Kubectl]:
    def make(script: str) -> Kubectl:
        file = tmp_path / "kubectl"
        file.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{tmp_path}/argv"\n{script}\n')
        file.chmod(0o755)
        return Kubectl(name="prod", command=[str(file)], context="c", namespace="ns")

    return make


def test_each_pod_is_asked_in_its_own_container(kubectl: Callable[[str], Kubectl], tmp_path: Path) -> None:
    pod = kubectl(f"echo '{json.dumps(PONG)}'")

    answers = inside.ask(pod, ["sf-1", "sf-2"], QUESTION, 3)

    assert answers == {name: {"rpc": Answer(status=200, body="{}")} for name in ("sf-1", "sf-2")}
    argv = (tmp_path / "argv").read_text()
    assert "--context=c\n--namespace=ns\nexec\nsf-1\n--container=server\n--\nenv\n" in argv
    assert "=\nnode\n-e\n" in argv


def test_a_pod_that_runs_no_command_has_not_answered_and_says_why(kubectl: Callable[[str], Kubectl]) -> None:
    pod = kubectl('echo "error: unable to upgrade connection: container not found" >&2; exit 1')

    answers = inside.ask(pod, ["sf-1"], QUESTION, 3)

    assert answers["sf-1"]["rpc"].status == 0
    assert "container not found" in answers["sf-1"]["rpc"].body


def test_a_command_that_does_not_end_is_no_answer(
    kubectl: Callable[[str], Kubectl], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "STARTING", 0.2)

    answers = inside.ask(kubectl("exec sleep 60"), ["sf-1"], QUESTION, 0.1)

    assert answers["sf-1"]["rpc"] == Answer(status=0, body="kubectl exec did not end in time")


def test_a_credential_that_may_run_no_command_is_refused_by_name(kubectl: Callable[[str], Kubectl]) -> None:
    pod = kubectl(f"echo '{DENIED}' >&2; exit 1")

    with pytest.raises(errors.ClusterForbidden, match="robot may not create pods/exec in namespace ns") as refused:
        inside.ask(pod, ["sf-1"], QUESTION, 3)

    assert "inv kubernetes.role -e prod" in refused.value.hint


def test_a_right_that_is_missing_is_named_before_a_release(kubectl: Callable[[str], Kubectl]) -> None:
    pod = kubectl('case "$*" in *subresource*) echo no; exit 1;; *) echo yes;; esac')

    with pytest.raises(errors.ClusterForbidden, match="may not create pods/exec in namespace ns"):
        inside.rehearse(pod)


def test_a_rehearsal_accepts_present_rights_and_an_unreachable_cluster(
    kubectl: Callable[[str], Kubectl],
) -> None:
    inside.rehearse(kubectl("echo yes"))
    inside.rehearse(kubectl('echo "The connection to the server was refused" >&2; exit 1'))
