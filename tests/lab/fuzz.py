"""Hostile bytes and values, and what they have to end in: an error of ours or success, and no secret told."""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lab.values import INDEX
from selfdeploy import errors

SECRET = "hunter2-and-then-some"  # noqa: S105 -- of nobody
fuzzed = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

HANG = 120
"""Seconds after which a test of some dozens of examples, which take a few together, is said to hang."""


class Hang(BaseException):
    """No error that anybody catches."""


@contextlib.contextmanager
def never_hangs() -> Iterator[None]:
    """Raise `Hang` in what is inside once it has taken too long."""

    def hung(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def nested(levels: int) -> Any:  # noqa: ANN401 -- any JSON
    value: Any = 7
    for _ in range(levels):
        value = [value]
    return value


TEXT = st.one_of(
    st.text(max_size=30), st.sampled_from(["", "\0", "..", "/", "~nobody-of-that-name", "\ud800", "%", "$x", "-x", "."])
)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from([10**400, -1, 2**63, 1e308, INDEX])
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8
)
DEEP = st.sampled_from([b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"null", b"NaN", b"9" * 5000])


def dump(value: object) -> bytes:
    return json.dumps(value).encode()


@st.composite
def changed(draw: st.DrawFn, whole: Any, *, deep: bool = True) -> Any:  # noqa: ANN401 -- any JSON
    """WHOLE, JSON data, with something else at one or two of its places, or without it.

    What is put there may be nested so DEEP that Python reads it, and has no room left for more.
    """
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        at: Any = None
        key: Any = None
        here = value
        while isinstance(here, dict | list) and here and draw(st.integers(0, 3)):
            at, key = here, draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            here = at[key]
        if at is None:
            return draw(VALUE)
        other = draw(VALUE | st.sampled_from([100, 400, 800]).map(nested) if deep else VALUE)
        if draw(st.booleans()):
            at[key] = other
        elif isinstance(at, dict):
            del at[key]
            at[draw(TEXT)] = other
    return value


def data(whole: object) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=60), DEEP, VALUE.map(dump), changed(whole).map(dump))


def ends_well(call: Callable[[], object]) -> None:
    """Let CALL return, or raise an error of ours whose text has no secret; whatever else it raises fails the test."""
    told: errors.SelfdeployError | None = None
    try:
        call()
    except errors.SelfdeployError as exc:
        told = exc
    if told:
        assert told.message
        assert SECRET not in f"{told.message}{told.hint}"
        assert told.exit_code >= 10


MISSING: Any = object()
ODD = (MISSING, None, "\ud800", 7, [None], {"\ud800": None})
"""What stands in a place where something else is read."""


def turned(whole: Any, others: Sequence[Any] = ODD) -> Iterator[Any]:  # noqa: ANN401 -- any JSON
    """Give WHOLE, JSON data, once for each of its places and each of OTHERS that stands there instead."""
    keys = whole if isinstance(whole, dict) else range(len(whole)) if isinstance(whole, list) else ()
    yield from (other for other in others if other is not MISSING)
    for key in keys:
        if isinstance(whole, dict):
            if MISSING in others:
                yield {name: value for name, value in whole.items() if name != key}
            yield from ({**whole, key: inner} for inner in turned(whole[key], others))
        else:
            yield from ([*whole[:key], inner, *whole[key + 1 :]] for inner in turned(whole[key], others))
