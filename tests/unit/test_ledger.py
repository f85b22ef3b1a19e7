from typing import Any
from unittest import mock

import pytest

from lab.values import a_namespace, a_project
from selfdeploy import errors
from selfdeploy.cluster.api import CONFLICT, Api, Reply
from selfdeploy.environments import chain, record
from selfdeploy.environments.kubernetes.environment import Kubernetes
from selfdeploy.environments.kubernetes.record import KEY, ROOM, Ledger, bounded


def proven(release: str, size: int) -> record.Proven:
    return record.Proven(release=release, digest="d", revision="r", manifest="{}", rendered="x" * size)


def attempt(release: str) -> record.Attempt:
    return record.Attempt(release=release, digest="d", revision="r", who="w" * 1000, began="now")


def test_a_record_that_fits_is_kept_whole() -> None:
    value = record.Record(attempts=(attempt("a"),), proven=(proven("a", 1000), proven("b", 1000)), holds={"d": "why"})

    assert bounded(value, "prod") == value


def test_a_record_drops_oldest_attempts_then_oldest_releases_until_it_fits() -> None:
    attempts = tuple(attempt(str(number)) for number in range(100))
    releases = tuple(proven(str(number), ROOM // 3) for number in range(5))

    kept = bounded(record.Record(attempts=attempts, proven=releases, holds={"d": "why"}), "prod")

    assert len(kept.model_dump_json()) <= ROOM
    assert [one.release for one in kept.attempts] == ["0"]
    assert [one.release for one in kept.proven] == ["0", "1"]
    assert kept.holds == {"d": "why"}


def test_a_release_that_does_not_fit_alone_is_refused() -> None:
    value = record.Record(proven=(proven("a", ROOM),))

    with pytest.raises(errors.RecordInvalid, match=str(ROOM)):
        bounded(value, "prod")


def test_what_is_written_was_made_to_fit_first_and_its_chain_holds() -> None:
    environment = Kubernetes(a_project(environments={"test": a_namespace()}), "test")
    environment.__dict__["api"] = mock.create_autospec(Api, instance=True)
    environment.__dict__["_ledger"] = ledger = mock.create_autospec(Ledger, instance=True)
    value = record.Record(attempts=tuple(attempt(str(number)) for number in range(8))).cut()

    environment.write(mock.Mock(), value.prove(proven("a", ROOM - 9000), "now"))
    kept = ledger.write.call_args.args[0]

    assert 0 < len(kept.attempts) < 8
    assert chain.verify(environment.project, "test", kept).faults == []


def a_map(version: str, value: record.Record) -> dict[str, Any]:
    metadata = {"name": "n", "namespace": "ns", "uid": "u", "resourceVersion": version}
    return {"metadata": metadata, "data": {KEY: value.model_dump_json()}}


@pytest.mark.parametrize("ours", [True, False])
def test_a_write_whose_answer_was_lost_is_known_for_ours_and_nobody_else_s_is(ours: bool) -> None:  # noqa: FBT001
    first, second = record.Record().hold("d", "why"), record.Record().hold("e", "why")
    away = errors.ClusterUnreachable("test: the API server does not answer")
    written = Reply(code=200, object=a_map("3", second))
    api = mock.create_autospec(Api, instance=True)
    api.name = "test"
    api.get.side_effect = [a_map("1", record.Record()), a_map("2", first if ours else record.Record())]
    api.call.side_effect = [away, Reply(code=CONFLICT, object={}), written]
    ledger = Ledger(api, "n")
    ledger.read()
    with pytest.raises(errors.ClusterUnreachable):
        ledger.write(first)

    if ours:
        ledger.write(second)
    else:
        with pytest.raises(errors.LockLost, match="written by somebody else"):
            ledger.write(second)

    sent = [call.args[2]["metadata"].get("resourceVersion") for call in api.call.call_args_list]
    assert sent == (["1", "1", "2"] if ours else ["1", "1"])
