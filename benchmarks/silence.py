"""How long a server gives no answer: asked again and again, each time over a new connection."""

import http.client
import threading
import time
from typing import Self

PACE = 0.01
"""Seconds between an answer and the next question: often enough for the result, and little load for what is timed."""


def answers(port: int) -> bool:
    """Say whether what listens on PORT of loopback answers that it is alive."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/api/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Watch:
    """Asks PORT from `begin` to the end of the block; counts, and keeps the longest time between two answers."""

    def __init__(self, port: int) -> None:
        """Do not ask yet."""
        self.longest, self.asked = 0.0, 0
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def begin(self) -> None:
        """Ask from now on."""
        self._thread.start()

    def _ask(self) -> None:
        answered = time.monotonic()
        while not self._over.wait(PACE):
            self.asked += 1
            if answers(self._port):
                now = time.monotonic()
                self.longest, answered = max(self.longest, now - answered), now
        self.longest = max(self.longest, time.monotonic() - answered)

    def __enter__(self) -> Self:
        """Return the watch itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop asking."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
