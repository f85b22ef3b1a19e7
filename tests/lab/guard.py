"""A guard around tests that start nothing: who starts a process or opens a socket is refused, and named."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

STARTS = {
    **dict.fromkeys(
        ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system"), "started a process"
    ),
    **dict.fromkeys(("socket.__new__", "socket.getaddrinfo", "socket.gethostbyname"), "opened a socket"),
}
"""What is refused, as Python's table of audit events names it; without a socket nothing connects, binds or sends."""


class Forbidden(Exception):
    """A test did what its kind does not do."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The test that is under way, and what it did that it must not."""

    test: str
    seen: list[str] = field(default_factory=list)


_watches: list[Watch] = []


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _watches and event in STARTS:
        watch = _watches[-1]
        # No more than two: the environment of a process is among the others.
        watch.seen.append(f"{watch.test} {STARTS[event]}: {event}{arguments[:2]}")
        raise Forbidden(watch.seen[-1])


sys.addaudithook(_refuse)  # for good: Python has no way to take it away


@contextlib.contextmanager
def starts_nothing(test: str) -> Iterator[Watch]:
    """Refuse processes and sockets while the block, TEST, runs; and at its end again, where it went on regardless."""
    watch = Watch(test=test)
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
    if watch.seen:
        raise Forbidden("\n".join(watch.seen))
