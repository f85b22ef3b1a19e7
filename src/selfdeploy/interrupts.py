"""Ctrl-C and termination signals, raised as KeyboardInterrupt at a point that does not lose it."""

import contextlib
import signal
import weakref
from collections.abc import Iterator
from types import FrameType

ENDINGS = signal.SIGTERM, signal.SIGHUP
"""Termination signals, besides Ctrl-C; a runner that cancels a job also takes its terminal away."""

SOON = 0.02
"""Seconds until the next attempt to raise a delayed interrupt."""


_told: list[int] = []
"""The signals of `ENDINGS` received so far."""


def was_told() -> bool:
    """Return whether this process received a termination signal other than Ctrl-C, as when its run is cancelled."""
    return bool(_told)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block if it runs longer than SECONDS."""
    kept = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)


def listen() -> None:
    """Raise KeyboardInterrupt in the main thread on Ctrl-C and `ENDINGS`; ignored signals stay so (nohup)."""
    for name in (signal.SIGINT, *ENDINGS):
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, as soon as it is not lost; then ignore `ENDINGS`, but not another Ctrl-C."""
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
    """Return whether an exception raised in FRAME would be lost: in a destructor, or during an import."""
    while frame:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename == weakref.__file__ or "<frozen importlib" in code.co_filename:
            return True
        frame = frame.f_back
    return False
