"""Ctrl-C, and being told to end in other ways: raised where they can be handled, not where Python would lose them."""

import contextlib
import signal
import weakref
from collections.abc import Iterator
from types import FrameType

ENDINGS = signal.SIGTERM, signal.SIGHUP
"""How we are told to end other than by Ctrl-C; a runner that cancels a job also takes its terminal away."""

SOON = 0.02
"""Seconds until one looks again whether it can be raised."""


_told: list[int] = []
"""The signals of `ENDINGS` that came."""


def was_told() -> bool:
    """Return whether this process was told to end other than by Ctrl-C, as when its run is cancelled."""
    return bool(_told)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block when it has not ended after SECONDS."""
    kept = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)


def listen() -> None:
    """Have the main thread raise KeyboardInterrupt when it is told to end; what nohup and its like ignore stays so."""
    for name in (signal.SIGINT, *ENDINGS):
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Begin to end, as at Ctrl-C; being told so again does not cut that short, unless it is by Ctrl-C."""
    if number in ENDINGS:
        _told.append(number)
    if _swallows(frame):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, SOON)
        return
    for name in ENDINGS:
        signal.signal(name, signal.SIG_IGN)
    signal.default_int_handler(number, frame)


def _swallows(frame: FrameType | None) -> bool:
    """Say whether what is raised in FRAME would be lost: in a destructor, or half way through an import."""
    while frame:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename == weakref.__file__ or "<frozen importlib" in code.co_filename:
            return True
        frame = frame.f_back
    return False
