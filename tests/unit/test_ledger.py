import pytest

from selfdeploy import errors
from selfdeploy.environments import record
from selfdeploy.environments.kubernetes.record import ROOM, bounded


def proven(release: str, size: int) -> record.Proven:
    return record.Proven(release=release, digest="d", revision="r", manifest="{}", rendered="x" * size)


def attempt(release: str) -> record.Attempt:
    return record.Attempt(release=release, digest="d", revision="r", who="w" * 1000, began="now")


def test_a_record_that_fits_is_kept_whole() -> None:
    value = record.Record(attempts=(attempt("a"),), proven=(proven("a", 1000), proven("b", 1000)), holds={"d": "why"})

    assert bounded(value, "prod") == value


def test_a_record_that_does_not_fit_forgets_its_oldest_attempts_and_then_its_oldest_releases() -> None:
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
