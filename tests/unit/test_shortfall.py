from typing import Any
from unittest import mock

import pytest

from lab.values import REVISION, a_manifest
from selfdeploy import errors
from selfdeploy.build.assembly import Assembly, Release
from selfdeploy.environments.compose.environment import Compose
from selfdeploy.environments.record import Proven, Record
from selfdeploy.gates import receipt
from selfdeploy.gates.count import Count
from selfdeploy.release import shortfall

DIGEST = f"sha256:{'d' * 64}"
PROVEN = Proven(release="r", digest=DIGEST, revision=REVISION, manifest="{}", rendered="")


def facts(ran: int, gate: str = "test-unit") -> dict[str, Any]:
    return {gate: {"passed": True, "tests": Count(passed=ran).as_data()}, "npm-ci": {"passed": True}}


def a_release(gates: object) -> Release:
    return Release(manifest=a_manifest(), evidence={"gates": gates})


def an_assembly(present: Release | None, before: Release | None) -> Any:  # noqa: ANN401 -- a mock
    assembly = mock.create_autospec(Assembly, instance=True)
    assembly.recorded_here.return_value = present
    assembly.recorded.return_value = before
    assembly.find_gated.return_value = errors.GatesIncomplete("gates: not yet")
    return assembly


def an_environment(*proven: Proven) -> Any:  # noqa: ANN401 -- a mock
    environment = mock.create_autospec(Compose, instance=True)
    environment.read.return_value = Record(proven=proven)
    return environment


@pytest.mark.parametrize(("ran", "warns"), [(79, True), (0, True), (80, False), (100, False), (500, False)])
def test_less_than_four_fifths_of_the_tests_of_the_last_proven_release_is_a_warning(ran: int, *, warns: bool) -> None:
    assembly = an_assembly(a_release(facts(ran)), a_release(facts(100)))

    warnings = shortfall.warn(assembly, an_environment(PROVEN))

    expected = f"test-unit ran {ran} tests, and 100 for {REVISION[:12]}, proven here last"
    assert warnings == ((expected,) if warns else ())
    assembly.recorded.assert_called_once_with(DIGEST)


def test_a_test_gate_that_is_no_more_is_a_warning() -> None:
    assert len(shortfall.compare({"npm-ci": {}}, facts(3), "x")) == 1
    assert shortfall.compare(facts(3, "other"), facts(3), "x") == ("test-unit ran 0 tests, and 3 for x",)


def test_of_a_revision_that_is_not_on_record_the_receipt_is_compared() -> None:
    gated = mock.create_autospec(receipt.GatedTree, instance=True)
    gated.receipt = mock.Mock(gates=facts(1))
    assembly = an_assembly(None, a_release(facts(100)))
    assembly.find_gated.return_value = gated

    assert len(shortfall.warn(assembly, an_environment(PROVEN))) == 1


@pytest.mark.parametrize("gates", [None, [], {}, {"test-unit": 7}, {"test-unit": {"tests": {"ran": 7}}}])
def test_evidence_without_counts_is_compared_with_nothing(gates: object) -> None:
    assert shortfall.warn(an_assembly(a_release(facts(1)), a_release(gates)), an_environment(PROVEN)) == ()
    assert shortfall.warn(an_assembly(a_release([]), a_release(facts(1))), an_environment(PROVEN)) == ()


def test_where_nothing_has_run_or_is_proven_or_answers_there_is_no_warning() -> None:
    release = a_release(facts(100))
    silent = an_environment(PROVEN)
    silent.read.side_effect = errors.EngineUnreachable("no engine")

    assert shortfall.warn(an_assembly(None, release), an_environment(PROVEN)) == ()
    assert shortfall.warn(an_assembly(a_release(facts(1)), release), an_environment()) == ()
    assert shortfall.warn(an_assembly(a_release(facts(1)), None), an_environment(PROVEN)) == ()
    assert shortfall.warn(an_assembly(a_release(facts(1)), release), silent) == ()
