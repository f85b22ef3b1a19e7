"""Steady requests to a server while it is replaced: which build answered each, and which were not answered."""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

RATE = 50
"""Requests a second."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One request: when it was sent (monotonic seconds), and the revision that answered; empty when none did."""

    at: float
    revision: str


def ask(port: int) -> Answer:
    """Return what answers at PORT of loopback, over a connection of its own."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/version")
        response = connection.getresponse()
        told = json.loads(response.read())
        return Answer(at=began, revision=str(told["revision"]) if response.status == http.HTTPStatus.OK else "")
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return Answer(at=began, revision="")
    finally:
        connection.close()


@dataclass
class Traffic:
    """Asks PORT `RATE` times a second from the beginning of the block to its end."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            while not self._over.wait(max(0.0, due - time.monotonic())):
                due += 1 / RATE
                pool.submit(lambda: self.answers.append(ask(self.port)))

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, once the last request is answered."""
        self._over.set()
        self._thread.join()

    @property
    def failed(self) -> int:
        """How many requests were not answered."""
        return sum(not one.revision for one in self.answers)

    def stale(self, since: float, revision: str) -> int:
        """Return how many requests that were sent after SINCE another build than REVISION answered."""
        return sum(one.at > since and one.revision not in ("", revision) for one in self.answers)
