"""Times as people tell them."""

import datetime

FORMAT = "%Y-%m-%dT%H:%M:%SZ"

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime(FORMAT)


def describe(seconds: float) -> str:
    """Return SECONDS in the largest unit that leaves one or more, as in `12 min`."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def clock(seconds: float) -> str:
    """Return SECONDS as a stopwatch shows them, as in `2m10s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def parse(at: str) -> datetime.datetime | None:
    """Return the time AT, in UTC to the second as a record has it; none where it is no such time."""
    try:
        return datetime.datetime.strptime(at, FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def since(at: str) -> str:
    """Return how long ago AT was; empty where it is no time."""
    then = parse(at)
    return describe((datetime.datetime.now(datetime.UTC) - then).total_seconds()) if then else ""
