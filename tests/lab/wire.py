"""The other end of a socket to an API server, for tests that open none."""

import io
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfdeploy.cluster.kubectl import Kubectl


class Said(io.RawIOBase):
    """What a server sends: all of TOLD, and then nothing more until it is DONE."""

    def __init__(self, told: bytes, done: threading.Event) -> None:
        self._told, self._done = io.BytesIO(told), done

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:  # noqa: ANN401 -- a buffer
        count = self._told.readinto(into)
        if not count:
            self._done.wait(20)
        return count


class Wire:
    """Our end of a socket; ANSWER says what comes back for what was sent."""

    def __init__(self, answer: Callable[[bytes], tuple[bytes, bool]]) -> None:
        self._answer, self._sent, self._done = answer, b"", threading.Event()

    def sendall(self, sent: bytes) -> None:
        self._sent += sent

    def makefile(self, _: str) -> io.BufferedReader:
        told, goes_on = self._answer(self._sent)
        if not goes_on:
            self._done.set()
        return io.BufferedReader(Said(told, self._done))

    def shutdown(self, _: int) -> None:
        self._done.set()

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def close(self) -> None:
        """Do nothing: what is read from it lives on, as a socket's does."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._done.set()


class Silent(Kubectl):
    """A kubectl that starts nothing."""

    @property
    def socket(self) -> Path:
        return Path("/nowhere")


def answering(
    told: Mapping[str, bytes | None], watched: Mapping[str, bytes], first: Mapping[str, bytes] | None = None
) -> Callable[[bytes], tuple[bytes, bool]]:
    """Answer what is TOLD of a path (None where it is not found), or WATCHED there; the FIRST watch ends."""

    def answer(sent: bytes) -> tuple[bytes, bool]:
        path, _, query = sent.split(b" ", 2)[1].decode("ascii").partition("?")
        if "watch=1" in query:
            early = "resourceVersion=6" in query and path in (first or {})
            said = (first or {})[path] if early else watched.get(path, b"")
            return b"HTTP/1.1 200 OK\r\n\r\n" + said, not early
        found = told.get(path, b'{"items": [], "metadata": {}}')
        code, body = (404, b"{}") if found is None else (200, found)
        return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body), False

    return answer
