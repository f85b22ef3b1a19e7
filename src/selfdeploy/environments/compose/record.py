"""The record of a Compose environment: a file in a volume of its engine, whole or absent."""

from collections.abc import Callable
from dataclasses import dataclass

from selfdeploy import errors, process, render
from selfdeploy.engine import Engine, volumes
from selfdeploy.environments import Lock, record
from selfdeploy.process import surroundings

FILE = "record.json"
PLACE = f"/record/{FILE}"
"""Path of the file in the lock's container."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The record in VOLUME, of the Compose project OWNER; ANY_IMAGE returns an image to read it with, or empty."""

    engine: Engine
    owner: str
    volume: str
    any_image: Callable[[], str]

    def read(self, lock: Lock | None) -> record.Record:
        """Return the record, read through LOCK if given; empty if there is none yet.

        Raises:
            errors.LockLost: the lock is lost.
            errors.ImageGone: no release's image is left to read it with.
            errors.CommandFailed, errors.RecordInvalid: it cannot be read, or is not a record.
        """
        outcome = self._read_held(lock) if lock else self._read_free()
        if outcome is None or (outcome.code and b"No such file" in outcome.stderr):
            return record.Record()
        if outcome.code:
            raise errors.CommandFailed(f"{self.engine.name}: the record cannot be read", outcome.complaint)
        return record.parse(outcome.stdout, f"{self.engine.name}: record")

    def write(self, lock: Lock, value: record.Record) -> None:
        """Replace the record with VALUE, atomically: a reader never sees a part of it.

        Raises:
            errors.LockLost: LOCK is lost.
            errors.CommandFailed: it was not written.
        """
        lock.check()
        data = value.model_dump_json().encode()
        argv = ["exec", "--interactive", *surroundings.inside(), lock.container, "node", *volumes.script(PLACE, data)]
        outcome = volumes.insist(lambda: self.engine.run(*argv, stdin=data, check=False))
        self._refuse_lost(outcome)
        if outcome.code or outcome.stdout != data:
            raise errors.CommandFailed(f"{self.engine.name}: the record was not written", outcome.complaint)

    def _read_held(self, lock: Lock) -> process.Outcome:
        argv = ("exec", *surroundings.inside(), lock.container, "cat", PLACE)
        outcome = volumes.insist(lambda: self.engine.run(*argv, check=False))
        self._refuse_lost(outcome)
        return outcome

    def _read_free(self) -> process.Outcome | None:
        volume = self.engine.inspect("volume", self.volume)
        if volume is None:
            return None
        image = self.any_image() or str((volume.get("Labels") or {}).get(f"{render.LABEL}.image", ""))
        if not image:
            raise errors.ImageGone(
                f"{self.engine.name}: volume {self.volume}: nothing here can read it: no image of a release is left",
                "inv release brings one",
            )
        return volumes.read(self.engine, image, self.owner, self.volume, FILE)

    def _refuse_lost(self, outcome: process.Outcome) -> None:
        if outcome.code and ("No such container" in outcome.complaint or "is not running" in outcome.complaint):
            raise errors.LockLost(f"{self.engine.name}: the lock went away", "run the command again")
