import datetime
from typing import Any

import pytest

from lab.values import HOLDER, REVISION, a_manifest, a_project, a_proven, a_version, an_environment, the_answers
from selfdeploy import errors
from selfdeploy.build.assembly import Release
from selfdeploy.probes import witness
from selfdeploy.release import report, status
from selfdeploy.release.status import Status

RELEASE = Release(manifest=a_manifest(), evidence={})
URL = "http://127.0.0.1:4101"


def a_status(**told: object) -> Status:
    values: dict[str, Any] = {"name": "test", "url": URL, "proven": a_proven(RELEASE.manifest.release)}
    return Status(**{**values, **told})


def a_report(*environments: Status, release: Release | None = RELEASE, missing: str = "") -> report.Report:
    return report.Report(revision=REVISION, release=release, missing=missing, environments=environments)


def test_a_report_says_the_revision_the_digest_and_what_answers_where_for_how_long() -> None:
    told = str(a_report(a_status(answers={URL: f"{REVISION}, healthz 200, up 42 s"})))

    assert f"revision  {REVISION}" in told
    assert RELEASE.manifest.image.reference in told
    assert f"{URL}  runs this release: {REVISION[:12]}" in told
    assert f"{URL}: {REVISION}, healthz 200, up 42 s" in told


def test_another_release_than_the_one_at_hand_is_not_called_by_its_name() -> None:
    assert "runs another" in str(a_report(a_status(proven=a_proven("other"))))
    assert "runs another" in str(a_report(a_status(), release=None, missing="no record"))


def test_what_does_not_answer_as_it_should_is_said_before_anything_else_of_it() -> None:
    told = str(a_report(a_status(differs=["r: /api/ready: expected HTTP 200, actual HTTP 503"], holds={"d": "why"})))

    assert "does not answer as" in told
    assert "runs" not in told
    assert "HTTP 503" in told
    assert "on hold  d: why" in told


def test_an_environment_that_cannot_be_asked_is_part_of_the_report() -> None:
    told = str(a_report(a_status(error="test: no engine answers", proven=None), a_status(name="prod", proven=None)))

    assert "unknown" in told
    assert "test: no engine answers" in told
    assert "prod      http://127.0.0.1:4101  has proven nothing yet" in told


def test_a_registry_that_does_not_answer_is_part_of_the_report() -> None:
    def refuse() -> Release | None:
        raise errors.RegistryUnreachable("registry.lan: no answer\nmore", "start it")

    project = a_project().model_copy(update={"environments": {}})

    told = report.make(project, REVISION, refuse, print)

    assert str(told) == f"revision  {REVISION}\nrelease   none: registry.lan: no answer"


def test_the_same_is_there_as_data() -> None:
    data = a_report(a_status()).as_data()

    assert data["revision"] == REVISION
    assert data["image"] == RELEASE.manifest.image.reference
    assert [(e["name"], e["runsRelease"]) for e in data["environments"]] == [("test", True)]  # type: ignore[attr-defined]


def test_a_step_of_this_run_that_still_ends_is_waited_for_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = f"ci@b since t ({HOLDER.run})", f"ci@b since t ({HOLDER.run}1)"
    seen = iter([a_status(holder=own), a_status(), a_status(name="prod", holder=other)])
    monkeypatch.setattr("selfdeploy.release.report.provenance.read_holder", lambda: HOLDER)
    monkeypatch.setattr(status, "read", lambda _project, _name: next(seen))
    monkeypatch.setattr("selfdeploy.release.report.time.sleep", lambda _: None)
    project = a_project(environments={"test": an_environment(1), "prod": an_environment(2)})
    waited: list[str] = []

    told = report.make(project, REVISION, lambda: RELEASE, waited.append)

    assert waited == ["test: waiting for the step that was cancelled to end"]
    assert [status.holder for status in told.environments] == ["", other]


@pytest.mark.parametrize("said", ["yesterday", "", None, 3, "2026-11-24T07:00:00"])
def test_a_start_that_is_none_is_not_told(said: object) -> None:
    assert witness.started({"version": a_version(a_manifest(), startedAt=said)}) is None
    assert witness.started({}) is None


def test_a_start_is_read_as_node_writes_it() -> None:
    answers = the_answers(a_manifest(), startedAt="2026-11-24T07:00:00.123Z")

    assert witness.started(answers) == datetime.datetime(2026, 11, 24, 7, 0, 0, 123_000, tzinfo=datetime.UTC)


def test_a_release_whose_gate_was_redefined_says_so() -> None:
    gates = tuple(gate.model_copy(update={"redefined": gate.name == "test-unit"}) for gate in RELEASE.manifest.gates)
    made = a_report(release=Release(manifest=a_manifest(gates=gates), evidence={}))

    assert [line for line in str(made).splitlines() if "redefined" in line] == [
        "gate      test-unit: redefined in deploy.toml"
    ]
    assert made.as_data()["redefined"] == ["test-unit"]
    assert "redefined" not in str(a_report())
    assert a_report().as_data()["redefined"] == a_report(release=None, missing="x").as_data()["redefined"] == []
