import re

import pytest

from lab.values import a_proven, an_attempt
from selfdeploy import ages, errors
from selfdeploy.environments import record
from selfdeploy.probes.witness import Replica
from selfdeploy.release import status
from selfdeploy.release.status import Status

URL = "http://127.0.0.1:4100"
RUNS = Replica(name="r", instance="i", state="healthy", digests=frozenset({a_proven().digest}))


def a_status(**told: object) -> Status:
    return Status(**{"name": "prod", "url": URL, "proven": a_proven(), "replicas": (RUNS,), **told})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ({}, "ok"),
        ({"error": "no engine answers"}, "unreachable"),
        ({"proven": None}, "unproven"),
        ({"replicas": ()}, "down"),
        ({"replicas": (), "last": an_attempt().model_copy(update={"ending": record.TAKEN_DOWN})}, "down by w"),
        ({"differs": ["r: HTTP 503"]}, "differs"),
        ({"holds": {a_proven().digest: "failed"}, "differs": ["x"]}, "on hold"),
        ({"holds": {"sha256:another": "failed"}}, "ok"),
        ({"cut_off": an_attempt()}, "cut off"),
    ],
)
def test_a_verdict_says_in_a_word_how_an_environment_is(told: dict[str, object], verdict: str) -> None:
    made = a_status(**told)

    assert made.verdict.startswith(verdict)
    assert made.is_well is (verdict == "ok")
    assert any(made.verdict.startswith(word) for word in status.VERDICTS)


def test_what_may_get_lost_is_not_well_though_it_answers() -> None:
    assert not a_status(unprotected=["a tag is gone"]).is_well


def test_an_environment_is_one_line_and_what_is_not_well_stands_below() -> None:
    proven = a_proven().model_copy(update={"at": "2020-01-01T00:00:00Z"})

    well, ill = a_status(proven=proven, subject="fix the footer"), a_status(differs=["r: HTTP 503"])

    days = r"\d+ d"
    assert re.fullmatch(f"prod       ok           {'a' * 12}  fix the footer  proven {days} ago  {URL}", str(well))
    assert str(ill).splitlines()[1:] == ["    differs  r: HTTP 503"]
    assert a_proven().digest in well.in_full()


def test_times_that_are_none_are_not_told() -> None:
    assert ages.since("yesterday") == ""
    assert ages.parse("") is None


@pytest.mark.parametrize(
    ("seconds", "told"), [(-3, "0 s"), (42.4, "42 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")]
)
def test_times_are_told_as_people_do(seconds: float, told: str) -> None:
    assert ages.describe(seconds) == told


def test_prometheus_reads_what_is_told_it() -> None:
    last = an_attempt().model_copy(update={"seconds": {"gates": 61.5}})
    proven = a_proven().model_copy(update={"at": "2020-01-01T00:00:00Z"})
    down = a_status(name='o"dd', replicas=(), last=last.model_copy(update={"ending": record.TAKEN_DOWN}))

    told = status.metrics([a_status(last=last, proven=proven), down])

    assert 'selfdeploy_environment_ok{environment="prod",verdict="ok"} 1' in told
    assert 'selfdeploy_environment_ok{environment="o\\"dd",verdict="down"} 0' in told
    assert 'selfdeploy_environment_proven_timestamp_seconds{environment="prod"} 1577836800' in told
    assert 'selfdeploy_attempt_stage_seconds{environment="prod",stage="gates"} 61.5' in told
    assert re.findall("^# TYPE (.*) gauge$", told, re.MULTILINE) == list(status.METRICS)


def test_the_code_of_a_check_is_that_of_what_is_not_proven() -> None:
    assert errors.NotProven.exit_code == status.NOT_WELL
