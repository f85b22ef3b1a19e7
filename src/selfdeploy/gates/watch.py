"""The running gates, read from the lines of progress."""

import re
import time
from collections.abc import Callable

from selfdeploy import ages

LINE = re.compile(r"gate ([\w.:-]+) (started|passed|failed)\b.*")


class Watch:
    """The running and finished gates, out of TOTAL."""

    def __init__(self, total: int, now: Callable[[], float] = time.monotonic) -> None:
        """Begin without gates; NOW returns the time in seconds."""
        self._total, self._now = total, now
        self._since = dict[str, float]()
        self._done = 0

    def hear(self, line: str) -> None:
        """Update the gates from LINE; ignore a line about anything else."""
        found = LINE.fullmatch(line)
        if found is None:
            return
        if found[2] == "started":
            self._since[found[1]] = self._now()
        elif self._since.pop(found[1], None) is not None:
            self._done += 1

    @property
    def is_running(self) -> bool:
        """Whether a gate runs."""
        return bool(self._since)

    def describe(self) -> str:
        """Return the number of gates done, and the running ones' times: `3/6  build-web-host 2m10s · test-unit 4s`."""
        now = self._now()
        running = " · ".join(f"{name} {ages.clock(now - since)}" for name, since in dict(self._since).items())
        return f"{self._done}/{self._total}  {running}".rstrip()
