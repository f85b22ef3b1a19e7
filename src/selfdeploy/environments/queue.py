"""Waiting for an environment that somebody else holds, or being refused."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from selfdeploy import errors
from selfdeploy.environments import Environment, Lock
from selfdeploy.provenance import Holder

MOMENT = 3.0
"""Seconds that everybody waits: the lock of a holder that has just died is gone in less."""

LONG = 3600.0
"""Seconds that one waits who does not say how long."""

POLL = 1.0
"""Seconds between two looks at whether the lock is still held."""


def silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """How many seconds of PATIENCE one has for whoever holds an environment, and whom to TELL that one waits."""

    patience: float = 0.0
    tell: Callable[[str], None] = silent

    def refuse_held(self, environment: Environment) -> None:
        """Raise `errors.LockHeld` when somebody holds ENVIRONMENT and one is not ready to wait for it."""
        ends = time.monotonic() + MOMENT
        while not self.patience and (holder := environment.held_by()):
            if time.monotonic() > ends:
                raise errors.LockHeld(
                    f"{environment.name}: held by {holder}",
                    "wait until it is done, or queue behind it: --wait; the lock frees itself when its holder ends",
                )
            time.sleep(POLL / 2)

    @contextlib.contextmanager
    def hold(self, environment: Environment, image: str, holder: Holder) -> Iterator[Lock]:
        """Hold ENVIRONMENT for HOLDER, as soon as nobody else does; IMAGE is one that the runtime can run.

        Raises:
            errors.LockHeld: somebody else held it for longer than one is ready to wait.
        """
        with contextlib.ExitStack() as held:
            lock = self._wait(environment, image, holder, held)
            if lock.replaced:
                self.tell(f"{environment.name}: took over the lock of {lock.replaced}, who is gone")
            yield lock

    def _wait(self, environment: Environment, image: str, holder: Holder, held: contextlib.ExitStack) -> Lock:
        ends = time.monotonic() + max(self.patience, MOMENT)
        told = ""
        while True:
            try:
                return held.enter_context(environment.hold(image, holder))
            except errors.LockHeld as exc:
                if time.monotonic() > ends:
                    waited = f", and was for {self.patience:g} s" if self.patience else ""
                    raise errors.LockHeld(f"{exc.message}{waited}", exc.hint) from exc
                if self.patience and exc.message != told:
                    told = exc.message
                    self.tell(f"{told}; waiting for up to {max(0, ends - time.monotonic()):.0f} s")
            while environment.held_by() and time.monotonic() < ends:
                time.sleep(POLL)


def parse(wait: str | Literal[True], tell: Callable[[str], None] = silent) -> Queue:
    """Return the queue that WAIT, the value of --wait, asks for; True when it has none.

    Raises:
        errors.ConfigInvalid: it is no number of seconds.
    """
    if wait is True or not wait:
        return Queue(patience=LONG if wait else 0.0, tell=tell)
    try:
        patience = float(wait)
    except ValueError:
        patience = -1.0
    if not 0 <= patience <= 7 * 86_400:
        raise errors.ConfigInvalid(f"--wait: expected seconds, actual {wait!r}", "--wait 600, or --wait alone")
    return Queue(patience=patience, tell=tell)
