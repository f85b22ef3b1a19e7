"""How long a registry that puts requests off is left alone."""

import pytest

from selfdeploy.registry import backoff

NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "Wed, 21 Oct 2026 07:29:30 GMT", "Date": NOW}, 90),
        ({"Retry-After": "Wednesday, 21-Oct-26 07:29:30 GMT", "Date": NOW}, 90),
        ({"Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT", "Date": NOW}, 0),
        ({"Retry-After": "Wed, 21 Oct 2026 09:29:30 +0200", "Date": NOW}, 90),
        ({"Retry-After": "Wed, 21 Oct 2026 07:29:30", "Date": NOW}, 90),
        ({"Retry-After": "Wed, 21 Oct 1999 07:29:30 GMT", "Date": "yesterday"}, 0),
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "9" * 40}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 99 Oct 2026 99:99:99 GMT"}, None),
        ({"Retry-After": "\u0662"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], expected: float | None) -> None:
    assert backoff.retry_after(headers) == expected


def test_without_a_readable_retry_after_the_pauses_grow_to_a_limit() -> None:
    pauses = [backoff.seconds({}, attempt) for attempt in (0, 1, 2, 3, 4, 5, 100_000)]

    assert pauses == [0.5, 1, 2, 4, 8, 8, 8]
    assert backoff.seconds({"Retry-After": "0"}, 3) == 4
    assert backoff.seconds({"Retry-After": "30"}, 3) == 30


def test_an_outage_counts_as_put_off_only_if_it_states_its_end() -> None:
    assert backoff.is_put_off(429, {})
    assert backoff.is_put_off(503, {"Retry-After": "1"})
    assert not backoff.is_put_off(503, {})
    assert not backoff.is_put_off(500, {"Retry-After": "1"})
    assert not backoff.is_put_off(200, {"Retry-After": "1"})
