import json
import os
import socket

import pytest

from lab.values import HOLDER
from selfdeploy import errors, provenance

GITHUB = {
    "GITHUB_RUN_ID": "900",
    "GITHUB_RUN_NUMBER": "7",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "o/sf",
}
FORGEJO = {
    "FORGEJO_RUN_ID": "900",
    "FORGEJO_RUN_NUMBER": "7",
    "FORGEJO_SERVER_URL": "https://forgejo.lan",
    "FORGEJO_REPOSITORY": "o/sf",
}
NOBODY = 4_000_000_000
"""A user id that no machine has a name for."""


def test_a_run_on_github_is_found_by_its_id() -> None:
    assert provenance.read_run(GITHUB) == provenance.Run(
        authority="github", id="900", url="https://github.com/o/sf/actions/runs/900"
    )


def test_forgejo_s_variables_count_before_github_s_which_it_sets_too() -> None:
    run = provenance.read_run({**GITHUB, **FORGEJO})

    assert run == provenance.Run(authority="forgejo", id="900", url="https://forgejo.lan/o/sf/actions/runs/7")


def test_a_forgejo_that_does_not_tell_the_number_is_named_by_the_id() -> None:
    told = {name: value for name, value in FORGEJO.items() if name != "FORGEJO_RUN_NUMBER"}

    run = provenance.read_run(told)

    assert run is not None
    assert run.url.endswith("/runs/900")


@pytest.mark.parametrize(
    "lacking",
    [
        {"GITHUB_SERVER_URL": ""},
        {"GITHUB_REPOSITORY": ""},
        {"GITHUB_SERVER_URL": "github.com"},
        {"GITHUB_SERVER_URL": "https://"},
        {"GITHUB_REPOSITORY": "sf"},
        {"GITHUB_RUN_ID": "../../settings"},
        {"GITHUB_RUN_ID": "9 00"},
    ],
)
def test_half_of_a_run_s_variables_are_a_run_without_an_address(lacking: dict[str, str]) -> None:
    run = provenance.read_run({**GITHUB, **lacking})

    assert run is not None
    assert (run.authority, run.url) == ("github", "")
    assert provenance.read_holder({**GITHUB, **lacking}).run == ""


def test_an_empty_run_number_counts_as_none() -> None:
    run = provenance.read_run({**FORGEJO, "FORGEJO_RUN_NUMBER": "", "FORGEJO_SERVER_URL": "https://forgejo.lan/"})

    assert run is not None
    assert run.url == "https://forgejo.lan/o/sf/actions/runs/900"


def test_a_forgejo_below_a_path_has_its_pages_there() -> None:
    run = provenance.read_run({**FORGEJO, "FORGEJO_SERVER_URL": "https://lan/git"})

    assert run is not None
    assert run.url == "https://lan/git/o/sf/actions/runs/7"


@pytest.mark.parametrize("environment", [{}, {"CI": "true"}, {"GITHUB_RUN_ID": ""}, {"GITHUB_SERVER_URL": "x"}])
def test_what_no_ci_service_runs_is_part_of_no_run(environment: dict[str, str]) -> None:
    assert provenance.read_run(environment) is None


def test_a_holder_is_who_runs_this_where_and_in_which_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")

    assert provenance.read_holder({}) == provenance.Holder(who=f"somebody@{socket.gethostname()}")
    assert provenance.read_holder(FORGEJO).run == "https://forgejo.lan/o/sf/actions/runs/7"


def test_a_holder_tells_since_when_and_in_which_run() -> None:
    assert str(provenance.Holder(who="w", since="2024-01-01T00:00:00Z")) == "w since 2024-01-01T00:00:00Z"
    assert str(provenance.Holder(who="w", run="https://forge.example/1", since="t")).endswith(
        " (https://forge.example/1)"
    )


def test_a_user_id_without_a_name_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)

    assert provenance.read_holder({}).who == f"{NOBODY}@{socket.gethostname()}"


def test_evidence_survives_a_round_trip() -> None:
    data = provenance.encode("2024-01-01T00:00:00Z", HOLDER, provenance.read_run(FORGEJO), gates={"npm-ci": 1.5})

    told = provenance.decode(data)

    assert told["builtAt"] == "2024-01-01T00:00:00Z"
    assert told["who"] == HOLDER.who
    assert told["gates"] == {"npm-ci": 1.5}
    assert provenance.authority(told) == "forgejo"


def test_what_was_built_by_hand_has_no_authority() -> None:
    told = provenance.decode(provenance.encode("t", HOLDER, None))

    assert told["run"] == {}
    assert provenance.authority(told) == ""


@pytest.mark.parametrize("evidence", [{}, {"run": None}, {"run": "forgejo"}, {"run": ["forgejo"]}, {"run": {}}])
def test_evidence_without_a_run_has_no_authority(evidence: dict[str, object]) -> None:
    assert provenance.authority(evidence) == ""


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, json.dumps(["run"]).encode(), b"null"])
def test_damaged_evidence_is_refused(data: bytes) -> None:
    with pytest.raises(errors.RecordInvalid, match="^evidence: no JSON") as refused:
        provenance.decode(data)

    assert "--fresh" in refused.value.hint


@pytest.mark.parametrize(
    ("evidence", "off"),
    [
        ({"contents": {"signatures": {"asked": False, "why": "off"}}}, True),
        ({"contents": {"signatures": {"asked": True, "folders": {}}}}, False),
        ({"contents": {"signatures": "off"}}, False),
        ({"contents": {"files": 1}}, False),
        ({"contents": None}, False),
        ({}, False),
    ],
)
def test_evidence_tells_that_npm_s_signatures_were_not_audited(evidence: dict[str, object], *, off: bool) -> None:
    assert provenance.is_unaudited(evidence) is off
