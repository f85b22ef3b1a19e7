"""Times and durations for people to read."""

import datetime

FORMAT = "%Y-%m-%dT%H:%M:%SZ"

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime(FORMAT)


def describe(seconds: float) -> str:
    """Return SECONDS in the largest unit that fits, such as `12 min`."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def clock(seconds: float) -> str:
    """Return SECONDS as on a stopwatch, such as `2m10s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def parse(at: str) -> datetime.datetime | None:
    """Return AT, in a record's format, as a time in UTC; None if it is malformed."""
    try:
        return datetime.datetime.strptime(at, FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def since(at: str) -> str:
    """Return how long ago AT was, such as `12 min`; empty if it is malformed."""
    then = parse(at)
    return describe((datetime.datetime.now(datetime.UTC) - then).total_seconds()) if then else ""
