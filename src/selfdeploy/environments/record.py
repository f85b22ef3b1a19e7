"""The environment's own record: its proven releases, its digests on hold, and its last attempts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import pydantic

from selfdeploy import errors
from selfdeploy.manifest import Manifest

if TYPE_CHECKING:
    from selfdeploy.provenance import Holder

ATTEMPTS = 100
PROVEN = 10
SHORTEST = 7
"""Least number of characters to name a revision with, as git abbreviates it."""


class Value(pydantic.BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


UNDER_WAY = "under way"
"""Ending of an unfinished attempt; after a killed process it stays until the next attempt begins."""

CUT_OFF = "cut off"
"""Final ending of an attempt whose process was killed."""

CANCELLED = "cancelled"
"""Start of an attempt's ending if its CI run was cancelled; the resulting state of the environment follows."""


TAKEN_DOWN = "taken down"
"""Ending of an attempt to stop the environment: `inv down`."""

FREED = "freed"
"""Ending of an attempt to take a digest off hold: `inv unhold`; the replicas stay as they are."""


class Proven(Value):
    """A release that this environment has proven, with all that brings it back; `at` is when, in UTC."""

    release: str
    digest: str
    revision: str
    manifest: str
    rendered: str
    at: str = ""
    extra: tuple[str, ...] = ()
    """The extra paths of its proof; putting it back does not require paths added later."""
    envelope: str = pydantic.Field(default="", exclude_if=lambda envelope: not envelope)
    """The signed statement of its release (DSSE); empty if nobody signed it, and then not written either."""

    def is_same(self, other: "Proven") -> bool:
        """Return whether OTHER is the same release with the same settings."""
        return (self.release, self.rendered) == (other.release, other.rendered)

    def is_named(self, name: str) -> bool:
        """Return whether NAME, of seven or more characters, begins its release, digest or revision."""
        names = (self.release, self.digest, self.revision)
        whole = name if not name.startswith("sha256:") else name.removeprefix("sha256:")
        return len(whole) >= SHORTEST and any(full.removeprefix("sha256:").startswith(whole) for full in names)

    @classmethod
    def of(cls, manifest: Manifest, rendered: str, extra: Sequence[str] = (), envelope: str = "") -> "Proven":
        """Return MANIFEST's release, signed in ENVELOPE, RENDERED for an environment with the extra paths EXTRA.

        It is not proven yet.
        """
        return cls(
            release=manifest.release,
            digest=manifest.image.digest,
            revision=manifest.source.revision,
            manifest=manifest.bytes.decode(),
            rendered=rendered,
            extra=tuple(extra),
            envelope=envelope,
        )


Hex = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]*$", max_length=1024)]


class Signed(Value):
    """Something with a signature, if its writer had a key; KEY is the key's id."""

    key: Hex = ""
    signature: Hex = ""


class Link(Signed):
    """The place of an ended attempt in the chain; PREVIOUS is the sha256 of the entry before it."""

    number: Annotated[int, pydantic.Field(ge=0)] = 0
    previous: Hex = ""


UNLINKED = Link()
"""Link of an ended attempt that was read without one; `chain.seal` gives it none, for it is not this process's own."""


class Seal(Signed):
    """The ends of the chain: the numbers of the FIRST and LAST entry, and two sha256.

    DIGEST is of the newest entry, STATE of the proven releases and the holds.
    """

    first: Annotated[int, pydantic.Field(ge=1)] = 1
    last: Annotated[int, pydantic.Field(ge=0)] = 0
    digest: Hex = ""
    state: Hex = ""


class Attempt(Value):
    """One try at a release, and how it ended; `under way`, or `cut off`, when its process was killed."""

    release: str
    digest: str
    revision: str
    who: str
    run: str = ""
    began: str
    ended: str = ""
    ending: str = UNDER_WAY
    seconds: dict[str, float] = {}
    """Seconds per stage, as far as the process recorded them; the environment's own stage is the last."""
    uncommitted: tuple[str, ...] = ()
    """The project's own files (deploy.toml and the like) that were used with uncommitted changes."""
    link: Link | None = pydantic.Field(default=None, exclude_if=lambda link: not (link and link.number))
    """Its place in the chain, from the first write after its end (`chain.seal`)."""

    @classmethod
    def of(cls, target: "Proven | Attempt", holder: "Holder", began: str) -> "Attempt":
        """Return a new attempt by HOLDER, since BEGAN, at TARGET or at the release of TARGET."""
        return cls(
            release=target.release,
            digest=target.digest,
            revision=target.revision,
            who=holder.who,
            run=holder.run,
            began=began,
            seconds=rounded(holder.took()),
            uncommitted=holder.uncommitted,
        )

    def is_of(self, holder: "Holder | None") -> bool:
        """Return whether HOLDER, the present one, can be making this attempt: same name and run, not a later start."""
        return holder is not None and (holder.who, holder.run) == (self.who, self.run) and holder.since <= self.began

    @property
    def has_settled(self) -> bool:
        """Whether it ended with a proof of the release recorded for the environment."""
        return self.ending == "proven" or self.ending.endswith(", proven")

    @property
    def origin(self) -> str:
        """Its start time, its author and its CI run, in words."""
        return f"begun {self.began} by {self.who}{f' ({self.run})' if self.run else ''}"


class Record(Value):
    """The environment's record; the newest come first."""

    attempts: tuple[Attempt, ...] = ()
    proven: tuple[Proven, ...] = ()
    holds: dict[str, str] = {}
    seal: Seal | None = pydantic.Field(default=None, exclude_if=lambda seal: seal is None)

    def sign(self, envelope: str) -> "Record":
        """Return the record with ENVELOPE as the signed statement of the release proven last."""
        last, *others = self.proven
        return self.model_copy(update={"proven": (last.model_copy(update={"envelope": envelope}), *others)})

    def begin(self, attempt: Attempt) -> "Record":
        """Return the record with ATTEMPT under way; mark an unfinished attempt before it as cut off."""
        return self.model_copy(update={"attempts": (attempt, *self.cut().attempts)[:ATTEMPTS]})

    def note(self, attempt: Attempt, ending: str) -> "Record":
        """Return the record with ATTEMPT, ended as ENDING at once, below an attempt that is under way."""
        ended = attempt.model_copy(update={"ending": ending, "ended": attempt.began})
        first = 1 if self.cut_off else 0
        return self.model_copy(update={"attempts": (*self.attempts[:first], ended, *self.attempts[first:])[:ATTEMPTS]})

    def cut(self) -> "Record":
        """Return the record with unfinished attempts marked as cut off, once no process continues them."""
        cut = {"ending": CUT_OFF}
        ended = (one.model_copy(update=cut) if one.ending == UNDER_WAY else one for one in self.attempts)
        return self.model_copy(update={"attempts": tuple(ended)})

    @property
    def cut_off(self) -> Attempt | None:
        """The newest attempt, if it is unfinished."""
        return self.attempts[0] if self.attempts and self.attempts[0].ending == UNDER_WAY else None

    def end(self, ending: str, at: str, seconds: Mapping[str, float] | None = None) -> "Record":
        """Return the record with its newest attempt ended as ENDING at the time AT, after SECONDS per stage."""
        last = self.attempts[0]
        took = last.seconds if seconds is None else rounded(seconds)
        ended = last.model_copy(update={"ending": ending, "ended": at, "seconds": took})
        return self.model_copy(update={"attempts": (ended, *self.attempts[1:])})

    def interrupt(self, at: str, seconds: Mapping[str, float]) -> "Record":
        """Return the record with its newest attempt left under way at the time AT, after SECONDS per stage."""
        left = self.attempts[0].model_copy(update={"ended": at, "seconds": rounded(seconds)})
        return self.model_copy(update={"attempts": (left, *self.attempts[1:])})

    def prove(self, proven: Proven, at: str) -> "Record":
        """Return the record with PROVEN as the newest proven release, at the time AT."""
        others = tuple(p for p in self.proven if (p.release, p.rendered) != (proven.release, proven.rendered))
        return self.model_copy(update={"proven": (proven.model_copy(update={"at": at}), *others)[:PROVEN]})

    def describe_cancelled(self) -> str:
        """Return a clause about the cancelled last attempt, to end a sentence; empty if it was not cancelled."""
        last = self.attempts[0] if self.attempts else None
        if last is None or not last.ending.startswith(CANCELLED):
            return ""
        return f"; the attempt at {last.revision[:12]}, {last.origin}, was {last.ending}"

    @property
    def is_going_back(self) -> bool:
        """Whether the unfinished attempt was to bring back an older release than the one proven last."""
        return self.cut_off is not None and self.cut_off.release in {one.release for one in self.proven[1:]}

    def choose(self, name: str) -> Proven | None:
        """Return the proven release called NAME, or without NAME the one proven before the present release; else None.

        If the last attempt failed, the release proven last counts as the one before. An unfinished rollback keeps its
        target. Without NAME, releases on hold are skipped.
        """
        if name:
            return next((proven for proven in self.proven if proven.is_named(name)), None)
        last = next((attempt for attempt in self.attempts if attempt.ending != FREED), None)
        unsettled = last is not None and not last.has_settled
        present = "" if unsettled or not self.proven else self.proven[0].release
        begun = self.cut_off.release if self.cut_off else ""
        there = [proven for proven in self.proven if proven.release != present and proven.digest not in self.holds]
        going = [proven for proven in there if proven.release == begun and proven is not self.proven[0]]
        return next(iter([*going, *there]), None)

    def hold(self, digest: str, reason: str) -> "Record":
        """Return the record with DIGEST on hold for REASON."""
        return self.model_copy(update={"holds": {**self.holds, digest: reason}})

    def unhold(self, digest: str) -> "Record":
        """Return the record with DIGEST no longer on hold."""
        return self.model_copy(update={"holds": {d: r for d, r in self.holds.items() if d != digest}})


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return SECONDS, by stage, rounded to a tenth."""
    return {name: round(value, 1) for name, value in seconds.items()}


HINT = "what is proven there is not known; docs/operations.md: a record that is damaged"


def parse(data: bytes, where: str) -> Record:
    """Return the record in DATA.

    Raises:
        errors.RecordInvalid: DATA is not a record; empty DATA is not one either.
    """
    try:
        known = Record.model_validate_json(data)
    except pydantic.ValidationError as exc:
        raise errors.RecordInvalid(f"{where}: {errors.complaint(exc)}", HINT) from exc
    unlinked = {"link": UNLINKED}
    attempts = (
        one if one.link or one.ending == UNDER_WAY else one.model_copy(update=unlinked) for one in known.attempts
    )
    return known.model_copy(update={"attempts": tuple(attempts)})
