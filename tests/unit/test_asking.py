import pytest

from selfdeploy.environments.kubernetes import asking, inside
from selfdeploy.witness import Answer

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


def test_what_is_asked_inside_a_pod_adds_to_what_the_api_server_passed_on_and_changes_none_of_it() -> None:
    passed_on = {"sf-1": {"version": GOOD}, "service/sf": {"version": GOOD}}

    merged = inside.merge(passed_on, {"sf-1": {"rpc": GOOD, "version": GONE}, "sf-2": {"rpc": GOOD}})

    assert merged == {"sf-1": {"version": GOOD, "rpc": GOOD}, "service/sf": {"version": GOOD}}
