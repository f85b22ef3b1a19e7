from dataclasses import dataclass

import pytest

from selfdeploy import errors
from selfdeploy.cluster import refusal
from selfdeploy.cluster.api import Api, Object
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.environments.kubernetes import lease
from selfdeploy.provenance import Holder

KUBECTL = Kubectl(name="prod", command=["none"], context="c", namespace="ns")


@dataclass(frozen=True, kw_only=True)
class Leaving(Api):
    """Tells of a Lease that somebody holds, ANSWERS times, and is not there any more."""

    answers: list[None]

    def get(self, version: str, kind: str, name: str) -> Object | None:
        if not self.answers:
            raise refusal.unreachable("prod", "connection refused")
        self.answers.pop()
        assert (version, kind) == (lease.VERSION, "leases")
        return {"metadata": {"name": name, "uid": "u", "resourceVersion": "1"}, "spec": {"holderIdentity": "h"}}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DURATION", 0.2)
    monkeypatch.setattr(lease, "OUTAGE", 0.3)
    monkeypatch.setattr(lease, "RENEWAL", 0.1)


def test_who_holds_a_lease_is_not_asked_for_ever() -> None:
    with pytest.raises(errors.ClusterUnreachable, match="prod: the Kubernetes API server does not answer"):
        lease.held_by(Leaving(kubectl=KUBECTL, answers=[None, None]), "sf-lock")


def test_a_lease_is_not_waited_for_for_ever() -> None:
    waits = lease.hold(Leaving(kubectl=KUBECTL, answers=[None, None]), "sf-lock", Holder(who="w"))

    with pytest.raises(errors.ClusterUnreachable, match="prod: the Kubernetes API server does not answer"), waits:
        pass
