import json
from collections.abc import Mapping
from typing import Any

import pytest

from lab.values import a_manifest, a_project
from selfdeploy import errors
from selfdeploy.contract import probes, server
from selfdeploy.contract.clauses import Finding
from selfdeploy.probes import witness
from selfdeploy.probes.witness import Answer, Replica, Round

MADE = a_manifest()
GOOD: dict[str, Any] = {
    "name": "sf",
    "version": "1.0.0",
    **MADE.version,
    "instance": "a-host",
    "startedAt": "2026-01-01T00:00:00.000Z",
}
EXACT = probes.Wanted(fields=MADE.version, instance="a-host")
PONG = Answer(status=200, body='{"jsonrpc": "2.0", "id": 1, "result": "pong"}')


def answers(told: Mapping[str, object] | str | None = None, **changes: Answer) -> dict[str, Answer]:
    """What a server answers whose version is TOLD, or GOOD with TOLD laid over; and other answers for CHANGES."""
    body = told if isinstance(told, str) else json.dumps({**GOOD, **(told or {})})
    fine = Answer(status=200, body="{}")
    return {"healthz": fine, "ready": fine, "version": Answer(status=200, body=body), **changes}


def check(*rounds: Mapping[str, Answer], wanted: probes.Wanted = EXACT) -> dict[str, Finding]:
    return {finding.number: finding for finding in probes.check(rounds, wanted)}


def broken(*rounds: Mapping[str, Answer], wanted: probes.Wanted = EXACT) -> list[str]:
    return [number for number, finding in check(*rounds, wanted=wanted).items() if finding.state == "broken"]


def test_a_server_that_is_the_release_breaks_no_clause() -> None:
    assert {finding.state for finding in check(answers(), answers()).values()} == {"ok"}


CASES: list[tuple[str, dict[str, Any]]] = [
    ("P1", {"healthz": Answer(status=503)}),
    ("P1", {"healthz": Answer(status=401)}),
    ("P1", {"healthz": Answer(status=0, body="ConnectionError")}),
    ("P2", {"ready": Answer(status=503)}),
    ("P2", {"ready": Answer(status=307)}),
    ("P3", {"version": Answer(status=404)}),
    ("P3", {"version": Answer(status=200, body="<html>")}),
    ("P3", {"version": Answer(status=200, body="[]")}),
    ("P3", {"version": Answer(status=200, body="[" * 60_000)}),
    ("P4", {"told": {"revision": "unknown"}}),
    ("P4", {"told": {"revision": "f" * 40}}),
    ("P4", {"told": {"revision": None}}),
    ("P5", {"told": {"release": "sha256:" + "0" * 64}}),
    ("P5", {"told": {"release": None, "image": GOOD["image"]}}),
    ("P6", {"told": {"image": "registry.example/sf:latest"}}),
    ("P6", {"told": {"image": MADE.image.digest}}),
    ("P7", {"told": {"instance": "0.0.0.0"}}),  # noqa: S104 -- nothing listens there
    ("P7", {"told": {"instance": "another-host"}}),
    ("P7", {"told": {"instance": 1}}),
]


@pytest.mark.parametrize(("number", "case"), CASES)
def test_each_fault_breaks_its_clause_and_the_proof(number: str, case: dict[str, Any]) -> None:
    changes = dict(case)
    seen = answers(changes.pop("told", None), **changes)
    replica = Replica(name="one", instance="a-host", digests=MADE.image.digests)

    finding = check(seen, seen)[number]

    assert number in broken(seen, seen)
    assert finding.expected
    assert finding.actual
    assert finding.todo
    assert witness.compare(MADE, Round(before=(replica,), after=(replica,), answers={"one": seen}))


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("P4", {"revision": "abc1234"}),
        ("P4", {"revision": None}),
        ("P4", {"revision": 1}),
        ("P5", {"release": "0" * 64}),
        ("P5", {"release": 5}),
        ("P6", {"image": "registry.example/sf:latest"}),
        ("P6", {"image": "sha256:" + "0" * 64}),
        ("P6", {"image": None}),
        ("P6", {"release": None}),
        ("P7", {"instance": "127.0.0.1"}),
        ("P7", {"instance": "localhost"}),
        ("P7", {"instance": "::"}),
        ("P7", {"instance": ""}),
        ("P7", {"instance": None}),
        ("P7", {"instance": ["a"]}),
    ],
)
def test_without_a_release_to_compare_with_the_shape_counts(number: str, told: dict[str, object]) -> None:
    assert broken(answers(told), wanted=probes.Wanted()) == [number]


def test_a_field_that_is_missing_is_broken_and_named() -> None:
    for name, number in {"revision": "P4", "release": "P5", "image": "P6", "instance": "P7"}.items():
        told = json.dumps({key: value for key, value in GOOD.items() if key != name})

        finding = check(answers(told), wanted=probes.Wanted())[number]

        assert finding.state == "broken"
        assert finding.actual == "no such field"


def test_a_server_without_a_manifest_says_null_and_keeps_the_contract() -> None:
    assert broken(answers({"release": None, "image": None}), wanted=probes.Wanted()) == []


def test_what_is_only_for_people_is_told_and_breaks_nothing() -> None:
    bare = json.dumps({**MADE.version, "instance": "a-host"})

    finding = check(answers(bare), answers(bare))["P8"]

    assert finding.state == "not checked"
    assert "name, version, startedAt" in finding.todo


def test_answers_of_two_builds_are_broken_in_whatever_round() -> None:
    other = answers({"revision": "f" * 40})

    assert broken(answers(), answers(), other, wanted=probes.Wanted()) == ["P9"]
    assert broken(answers(), answers(), other) == ["P4", "P9"]
    assert check(answers())["P9"].state == "not checked"


def test_no_version_leaves_its_fields_unchecked() -> None:
    found = check(answers(version=Answer(status=500)))

    assert [number for number, finding in found.items() if finding.state == "not checked"] == [
        "P4", "P5", "P6", "P7", "P8", "P9"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (PONG, "ok"),
        (None, "broken"),
        (Answer(status=401), "broken"),
        (Answer(status=200, body='{"jsonrpc": "2.0", "id": 1, "error": {}}'), "broken"),
        (Answer(status=200, body="pong"), "broken"),
    ],
)
def test_the_rpc_is_judged_as_the_proof_judges_it(answer: Answer | None, state: str) -> None:
    finding = probes.check_rpc(answer)

    assert finding.state == state
    assert (finding.expected != "") == (state == "broken")


def test_each_extra_path_has_to_answer() -> None:
    answered = {"/one": Answer(status=200), "/two": Answer(status=500, body="why")}

    assert probes.check_extra(answered, ["/one"]).state == "ok"
    assert probes.check_extra(answered, []).state == "not checked"
    assert probes.check_extra(answered, ["/one", "/two"]).actual.startswith("/two: HTTP 500")
    assert probes.check_extra(answered, ["/three"]).state == "broken"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:4000",
        "ftp://host",
        "http://",
        "http://[",
        "http://user:secret@host",
        "http://host:0",
        "http://host:99999",
        "http://host/?a=b",
        "http://host/#a",
    ],
)
def test_what_is_no_address_is_refused_and_no_login_is_shown(url: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match="--url") as refused:
        server.refuse_no_address(url)

    assert "secret" not in refused.value.message


def test_a_revision_and_a_manifest_of_another_are_refused(tmp_path: Any) -> None:  # noqa: ANN401 -- a fixture
    file = tmp_path / "manifest.json"
    file.write_bytes(MADE.bytes)

    with pytest.raises(errors.ConfigInvalid, match="--revision: ffff"):
        server.check("http://host", a_project(), revision="f" * 40, file=str(file))
    with pytest.raises(errors.ConfigInvalid, match="no such file"):
        server.check("http://host", a_project(), file=str(tmp_path / "none"))
