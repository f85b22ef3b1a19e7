from typing import TYPE_CHECKING, cast

import pytest

from selfdeploy.environments.kubernetes import asking, inside
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer

if TYPE_CHECKING:
    from selfdeploy.cluster.api import Api

GONE = Answer(status=503, body="error trying to reach service: dial tcp: connect: connection refused")
GOOD = Answer(status=200, body="{}")
UNREACHED = '{"kind":"Status","message":"error trying to reach service: dial tcp 10.0.0.1:4000: '


def pod(name: str, *, told_to_end: bool = True, state: str = "running") -> dict[str, object]:
    metadata = {"name": name, "uid": f"uid of {name}", **({"deletionTimestamp": "t"} if told_to_end else {})}
    return {"metadata": metadata, "status": {"phase": "Running", "containerStatuses": [{"state": {state: {}}}]}}


def slices(*pods: str) -> list[dict[str, object]]:
    conditions = {"ready": False, "serving": True, "terminating": True}
    return [{"endpoints": [{"targetRef": {"uid": f"uid of {name}"}, "conditions": conditions} for name in pods]}]


def test_the_replicas_are_those_that_stay_and_a_place_for_each_that_is_missing() -> None:
    deployment = {"metadata": {"name": "sf"}, "spec": {"replicas": 2}}

    found = asking.replicas(deployment, [pod("old"), pod("new", told_to_end=False)])

    assert [(one.name, one.state) for one in found] == [("new", "running"), ("sf 2 of 2", "missing")]


def test_who_is_leaving_was_told_to_end_and_runs_or_is_led_to() -> None:
    pods = [
        pod("stays", told_to_end=False),
        pod("runs"),
        pod("ended", state="terminated"),
        pod("led", state="terminated"),
    ]

    found = asking.leaving(pods, slices("led", "stays"))

    assert [(one.name, one.state) for one in found] == [("led", "terminating"), ("runs", "terminating")]
    assert [one.name for one in asking.leaving(pods, slices("led"), {"uid of led": GONE, "uid of runs": GONE})] == [
        "led"
    ]


@pytest.mark.parametrize(
    ("answer", "is_led_to", "expected"),
    [
        (None, False, True),
        (Answer(status=200, body="ok"), False, True),
        (Answer(status=503, body="draining"), False, True),
        (Answer(status=503, body=UNREACHED + 'connect: connection refused"}'), True, True),
        (Answer(status=503, body=UNREACHED + 'connect: connection refused"}'), False, False),
        (Answer(status=503, body=UNREACHED + 'connect: no route to host"}'), True, True),
        (Answer(status=503, body=UNREACHED + 'connect: no route to host"}'), False, False),
        (Answer(status=404, body='{"kind":"Status","message":"pods \\"x\\" not found"}'), True, True),
        (Answer(status=0, body="TimeoutError"), True, True),
        (Answer(status=0, body="TimeoutError"), False, False),
    ],
)
def test_who_was_told_to_end_may_answer_when_it_does_or_is_led_to(
    answer: Answer | None, *, is_led_to: bool, expected: bool
) -> None:
    assert asking.may_answer(answer, is_led_to=is_led_to) == expected


def test_answers_from_inside_pods_extend_and_never_change_passed_on_answers() -> None:
    passed_on = {"sf-1": {"version": GOOD}, "service/sf": {"version": GOOD}}

    merged = inside.merge(passed_on, {"sf-1": {"rpc": GOOD, "version": GONE}, "sf-2": {"rpc": GOOD}})

    assert merged == {"sf-1": {"version": GOOD, "rpc": GOOD}, "service/sf": {"version": GOOD}}


class Recorder:
    """An API server that answers 200 to whatever it is asked, and keeps the paths."""

    name, kubectl = "test", None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def path(self, *parts: str) -> str:
        return "/" + "/".join(parts)

    def fetch(self, method: str, path: str, *, timeout: float, limit: int) -> tuple[int, bytes]:
        assert (method, timeout) == ("GET", 3)
        assert limit == (probe.LARGE if path.endswith("/x") else probe.LIMIT)
        self.asked.append(path)
        return 200, b"{}"


def test_extra_paths_are_asked_of_the_pods_and_not_of_the_service() -> None:
    api = Recorder()

    answers = asking.ask(cast("Api", api), ["p"], "sf", "", {"ready": "/api/ready"}, 3, ["/api/x"])

    assert answers["p"].keys() == {"ready", "/api/x"}
    assert answers["service/sf"].keys() == {"ready"}
    assert sorted(api.asked) == [
        "/v1/pods/p:4000/proxy/api/ready",
        "/v1/pods/p:4000/proxy/api/x",
        "/v1/services/sf:http/proxy/api/ready",
    ]
