"""The longest time without an answer while a server is replaced."""

import threading
import time
from types import TracebackType
from typing import Self

from selfdeploy.probes import probe

EVERY = 0.02
"""Seconds between two requests, the precision of the result."""


class Gap:
    """Poll URLS inside the block; `seconds` is the longest time between two answers from any of them.

    It is None if none answered at the start, or the last of URLS did not at the end.
    """

    def __init__(self, *urls: str) -> None:
        self._urls = tuple(dict.fromkeys(f"{url}/api/healthz" for url in urls))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._last = 0.0
        self.seconds: float | None = None

    def _ask(self, *urls: str) -> bool:
        answered = any(probe.get(url, 1.0).status == 200 for url in urls or self._urls)  # noqa: PLR2004 -- HTTP's OK
        if answered:
            now = time.monotonic()
            self.seconds = max(self.seconds or 0.0, now - self._last) if self._last else 0.0
            self._last = now
        return answered

    def _go_on(self) -> None:
        while not self._done.wait(EVERY):
            self._ask()

    def __enter__(self) -> Self:
        if self._ask():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
            if not self._ask(self._urls[-1]):
                self.seconds = None
