"""What a plan says of a rollout for who uses the server."""

from pathlib import Path

import pytest

from lab.values import INDEX, a_replica
from selfdeploy import config
from selfdeploy.environments import record
from selfdeploy.environments.kubernetes.environment import Kubernetes
from selfdeploy.rollout import admission


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"strategy": "rolling"}, "no moment without an answer"),
        ({"strategy": "rolling", "drain": 0}, "some requests may go unanswered"),
        ({"strategy": "recreate"}, "no answer in between"),
    ],
)
def test_the_plan_says_what_a_rollout_means_for_who_uses_the_server(keys: dict[str, object], said: str) -> None:
    settings = config.Kubernetes.model_validate({"kind": "kubernetes", "context": "c", "namespace": "n", **keys})
    project = config.Project(root=Path("/x"), environments={"test": settings})

    assert said in Kubernetes(project, "test").continuity


def test_what_is_on_hold_and_has_been_told_to_end_was_put_back_and_is_nobody_s_doing() -> None:
    known = record.Record().hold(INDEX, "why")

    assert admission.held_anyway(known, [a_replica(digest=INDEX, state="terminating")]) == []
    assert len(admission.held_anyway(known, [a_replica(digest=INDEX)])) == 1
