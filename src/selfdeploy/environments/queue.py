"""The queue for an environment held by another process: wait for its lock, or give up."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from selfdeploy import errors
from selfdeploy.environments import Environment, Lock
from selfdeploy.provenance import Holder

MOMENT = 3.0
"""How long every caller waits, in seconds; the lock of a holder that just died is released sooner."""

LONG = 3600.0
"""How long --wait without a number waits, in seconds."""

POLL = 1.0
"""Seconds between two checks of the lock."""


def silent(_: str) -> None:
    """Drop the message."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """How long to wait for an environment's lock (PATIENCE, in seconds), and how to report the wait (TELL)."""

    patience: float = 0.0
    tell: Callable[[str], None] = silent

    def refuse_held(self, environment: Environment) -> None:
        """Raise `errors.LockHeld` if ENVIRONMENT is held and there is no patience to wait for it."""
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
        """Hold ENVIRONMENT for HOLDER, as soon as its lock is free; the runtime can run IMAGE.

        Raises:
            errors.LockHeld: the lock was not released within the patience.
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
    """Return the queue for WAIT, the value of --wait; True stands for --wait without a number.

    Raises:
        errors.ConfigInvalid: WAIT is not a number of seconds, up to a week.
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
