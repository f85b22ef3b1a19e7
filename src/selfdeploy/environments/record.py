"""What an environment remembers of itself: what it has proven, what is on hold, and the last attempts."""

import pydantic

from selfdeploy import errors

ATTEMPTS = 100
PROVEN = 10


class Value(pydantic.BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class Attempt(Value):
    """One try at a release, and how it ended; `under way` when its process was killed."""

    release: str
    digest: str
    revision: str
    who: str
    run: str = ""
    began: str
    ended: str = ""
    ending: str = "under way"


class Proven(Value):
    """A release that this environment has proven, with all that brings it back."""

    release: str
    digest: str
    revision: str
    at: str
    manifest: str
    rendered: str


class Record(Value):
    """The environment's record; the newest come first."""

    attempts: tuple[Attempt, ...] = ()
    proven: tuple[Proven, ...] = ()
    holds: dict[str, str] = {}

    def begin(self, attempt: Attempt) -> "Record":
        """Return the record with ATTEMPT under way."""
        return self.model_copy(update={"attempts": (attempt, *self.attempts)[:ATTEMPTS]})

    def end(self, ending: str, at: str) -> "Record":
        """Return the record with its newest attempt ended as ENDING."""
        ended = self.attempts[0].model_copy(update={"ending": ending, "ended": at})
        return self.model_copy(update={"attempts": (ended, *self.attempts[1:])})

    def prove(self, proven: Proven) -> "Record":
        """Return the record with PROVEN as the newest proven release."""
        others = tuple(p for p in self.proven if p.release != proven.release)
        return self.model_copy(update={"proven": (proven, *others)[:PROVEN]})

    def hold(self, digest: str, reason: str) -> "Record":
        """Return the record with DIGEST on hold for REASON."""
        return self.model_copy(update={"holds": {**self.holds, digest: reason}})

    def unhold(self, digest: str) -> "Record":
        """Return the record with DIGEST free again."""
        return self.model_copy(update={"holds": {d: r for d, r in self.holds.items() if d != digest}})


def parse(data: bytes, where: str) -> Record:
    """Return the record that DATA holds; an empty one when DATA is empty.

    Raises:
        errors.RecordInvalid: it is no record.
    """
    if not data.strip():
        return Record()
    try:
        return Record.model_validate_json(data)
    except pydantic.ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise errors.RecordInvalid(f"{where}: {place}: {first['msg']}", "inv status shows what runs") from exc
