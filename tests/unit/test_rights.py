"""What a right that is missing comes to; the API server's refusals are as a real one words them, and none is asked."""

import json
from dataclasses import dataclass, field

import pytest

from selfdeploy import errors
from selfdeploy.cluster import refusal
from selfdeploy.cluster.api import Api, Object
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.environments.kubernetes import asking, rolling

KUBECTL = Kubectl(name="prod", command=["none"], context="c", namespace="ns")


def rbac(resource: str) -> str:
    return (
        f'{resource} "sf" is forbidden: User "robot" cannot get resource "{resource}" in API group "" in the namespace'
    )


def status(message: str, **changes: object) -> bytes:
    told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
    return json.dumps({**told, "message": message, **changes}).encode()


@dataclass(frozen=True, kw_only=True)
class Answering(Api):
    """Answers every question with CODE and BODY."""

    code: int
    body: bytes

    def fetch(self, *_: object, **__: object) -> tuple[int, bytes]:
        return self.code, self.body


@pytest.mark.parametrize("resource", ["pods/proxy", "services/proxy"])
def test_a_server_that_rbac_keeps_us_from_has_answered_nothing(resource: str) -> None:
    api = Answering(kubectl=KUBECTL, code=403, body=status(rbac(resource)))

    with pytest.raises(errors.ClusterForbidden, match=f"prod: robot may not get {resource} in namespace ns") as refused:
        asking.ask(api, ["sf-1"], "sf", "", {"live": "/live"}, 1)

    assert "inv kubernetes.role -e prod" in refused.value.hint


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (403, b"no"),
        (403, b"{}"),
        (403, b"[]"),
        (403, status("forbidden")),
        (403, status(rbac("pods"))),
        (403, status(rbac("pods/proxy"), kind="Problem")),
        (403, status(rbac("pods/proxy"), reason="Invalid")),
        (500, status(rbac("pods/proxy"))),
        (200, status(rbac("pods/proxy"))),
    ],
)
def test_what_a_server_itself_answers_is_its_answer(code: int, body: bytes) -> None:
    told = asking.get(Answering(kubectl=KUBECTL, code=code, body=body), "/api/v1/proxy", 1)

    assert (told.status, told.body) == (code, body.decode())


@dataclass(frozen=True, kw_only=True)
class Listing(Api):
    """Lists every kind but the one that is FORBIDDEN, and keeps in ASKED what was asked for."""

    forbidden: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def list(self, version: str, kind: str, **query: str) -> tuple[list[Object], str]:
        assert version
        self.asked.append((kind, query.get("limit")))
        if kind == self.forbidden:
            raise refusal.explain("prod", "ns", 403, json.loads(status(rbac(kind))), "")
        return [], "1"


KINDS = ["deployments", "replicasets", "pods", "endpointslices", "events"]


def test_all_that_a_rollout_follows_is_listed_before_it() -> None:
    api = Listing(kubectl=KUBECTL)

    rolling.rehearse(api, rolling.queries("sf", "app=sf", "sf"))

    assert api.asked == [(kind, "1") for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_each_right_that_a_rollout_needs_and_that_is_missing_is_named_before_it(kind: str) -> None:
    with pytest.raises(errors.ClusterForbidden, match=f"robot may not get {kind}"):
        rolling.rehearse(Listing(kubectl=KUBECTL, forbidden=kind), rolling.queries("sf", "app=sf", "sf"))
