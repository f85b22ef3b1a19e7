"""Pauses before a request that the registry put off is sent again (RFC 9110, "Retry-After")."""

import datetime
import email.utils
import re
from collections.abc import Mapping
from http import HTTPStatus

FIRST, LONGEST = 0.5, 8.0
"""Seconds to wait if the registry does not say how long: the first pause, doubled each time, and the longest."""


def is_put_off(status: int, headers: Mapping[str, str]) -> bool:
    """Return whether the answer puts the request off: a rate limit, or an outage with a stated end."""
    busy = status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in headers
    return status == HTTPStatus.TOO_MANY_REQUESTS or busy


def seconds(headers: Mapping[str, str], attempt: int) -> float:
    """Return the seconds to wait after answer number ATTEMPT (from 0) that put the request off."""
    asked = retry_after(headers)
    own = min(FIRST * 2 ** min(attempt, 10), LONGEST)
    return own if asked is None or asked < FIRST else asked


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds requested by Retry-After, never negative; None if it is absent or unreadable.

    A date counts from the Date of the same answer: the registry's clock may differ from ours.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", value):
        return float(value)
    until, now = _date(value), _date(headers.get("Date", ""))
    if until is None:
        return None
    return max(0.0, (until - (now or datetime.datetime.now(datetime.UTC))).total_seconds())


def _date(text: str) -> datetime.datetime | None:
    try:
        parsed = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)
