"""The chain of an environment's history: each ended attempt names the hash of the one before, and a seal the ends."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfdeploy import config, errors, trust
from selfdeploy.environments.record import ATTEMPTS, UNDER_WAY, UNLINKED, Attempt, Link, Record, Seal

ENTRY, ENDS = b"selfdeploy journal entry v1\n", b"selfdeploy journal seal v1\n"
"""Starts of signed bytes, so that no signature of one kind is taken for one of another."""


def seal(
    project: config.Project, environment: str, known: Record, fit: Callable[[Record], Record] = lambda whole: whole
) -> Record:
    """Return KNOWN, the record of PROJECT's ENVIRONMENT, as it is to be written: its new entries linked, then sealed.

    Attempts that ended since the record was read get a link. Link and seal are signed if this machine has a key. FIT
    drops old entries until there is room.
    """
    before = known.seal or Seal()
    number, digest = before.last, before.digest
    attempts: list[Attempt] = []
    for attempt in reversed(known.attempts):
        linked = attempt
        if attempt.link is None and attempt.ending != UNDER_WAY:
            number += 1
            link = Link(number=number, previous=digest)
            key, signature = trust.sign_bytes(project, _entry(attempt, link))
            signed = link.model_copy(update={"key": key, "signature": signature})
            linked = attempt.model_copy(update={"link": signed})
            digest = _digest(linked)
        attempts.insert(0, linked)
    kept = fit(known.model_copy(update={"attempts": tuple(attempts)}))
    first = before.first
    if len(kept.attempts) < len(attempts) or len(attempts) == ATTEMPTS:
        first = min((one.link.number for one in kept.attempts if one.link and one.link.number), default=number + 1)
    fresh = Seal(first=first, last=number, digest=digest, state=_state(kept))
    if before.key and before.model_copy(update={"key": "", "signature": ""}) == fresh:
        return kept
    key, signature = trust.sign_bytes(project, _ends(environment, fresh))
    return kept.model_copy(update={"seal": fresh.model_copy(update={"key": key, "signature": signature})})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A break in the chain at the entry NUMBER, or at all from NUMBER to LAST; 0 if it is at no entry."""

    what: str
    number: int = 0
    last: int = 0
    began: str = ""

    def __str__(self) -> str:
        """Return it in a line."""
        place = f"number {self.number}" if self.number else ""
        place = f"numbers {self.number} to {self.last}" if self.last > self.number else place
        began = f"begun {self.began}" if self.began else ""
        return ": ".join(filter(None, [", ".join(filter(None, [place, began])), self.what]))


@dataclass(kw_only=True)
class Verdict:
    """The result of `verify`: the entries in the chain, their signers, and the breaks."""

    entries: int = 0
    since: str = ""
    """When the oldest of them began."""
    older: int = 0
    """Entries below the chain: an earlier selfdeploy wrote them."""
    signers: dict[str, list[int]] = field(default_factory=dict)
    """The numbers of the entries, by the name of their signer; by an empty name if nobody signed them."""
    sealed: str = ""
    """The signer of the seal."""
    trusted: bool = False
    """Whether the seal's signer is trusted, and so vouches for all that the seal covers."""
    faults: list[Fault] = field(default_factory=list)


def verify(project: config.Project, environment: str, known: Record) -> Verdict:
    """Return whether the chain of KNOWN, the record of PROJECT's ENVIRONMENT, is whole.

    Raises:
        errors.KeyUnusable: a key of deploy.toml cannot be read.
    """
    verdict = Verdict()
    ends = known.seal
    if ends is None:
        linked = [one for one in known.attempts if one.link and one.link.number]
        if linked:
            verdict.faults.append(Fault(what="the seal of the chain was removed"))
        places = [one.link.number for one in linked if one.link]
        found = Seal(first=min(places), last=max(places), digest=_digest(linked[0])) if linked else Seal()
        _walk(project, known.attempts, found, verdict)
        return verdict
    _walk(project, known.attempts, ends, verdict)
    if ends.state != _state(known):
        verdict.faults.append(Fault(what="the proven releases or the holds were changed"))
    try:
        verdict.sealed, verdict.trusted = trust.signer_of(project, _ends(environment, ends), ends.key, ends.signature)
    except errors.SignatureInvalid as exc:
        verdict.faults.append(Fault(what=f"the seal of the chain: {exc.message}"))
    return verdict


def _walk(project: config.Project, attempts: Sequence[Attempt], ends: Seal, verdict: Verdict) -> None:
    """Follow the chain of ATTEMPTS from its newest entry down, and note in VERDICT what is there."""
    wanted = (ends.last, ends.digest)
    found = [((one.link or UNLINKED).number, _digest(one)) for one in attempts]
    for place, attempt in enumerate(attempts):
        link, (number, _) = attempt.link or UNLINKED, wanted
        if attempt.link is None and not place:
            continue  # under way
        if not link.number and not number and ends.first == 1:
            verdict.older += 1
        elif not ends.first <= link.number <= number or wanted in found[place + 1 :]:
            put_in = Fault(what="put in, or moved here", number=link.number, began=attempt.began)
            verdict.faults.append(put_in)
        else:
            if link.number < number:
                verdict.faults.append(Fault(what="removed", number=link.number + 1, last=number))
            verdict.entries, verdict.since = verdict.entries + 1, attempt.began
            if link.number == number and found[place] != wanted:
                verdict.faults.append(Fault(what="changed", number=number, began=attempt.began))
            else:
                _read_signer(project, attempt, link, verdict)
            wanted = (link.number - 1, link.previous)
    if wanted[0] >= ends.first:
        verdict.faults.append(Fault(what="removed", number=ends.first, last=wanted[0]))


def _read_signer(project: config.Project, attempt: Attempt, link: Link, verdict: Verdict) -> None:
    try:
        signer, _ = trust.signer_of(project, _entry(attempt, link), link.key, link.signature)
    except errors.SignatureInvalid as exc:
        verdict.faults.append(Fault(what=exc.message, number=link.number, began=attempt.began))
    else:
        verdict.signers.setdefault(signer, []).append(link.number)


def _entry(attempt: Attempt, link: Link) -> bytes:
    """Return the signed bytes of ATTEMPT at the place LINK."""
    told = attempt.model_dump(mode="json", exclude_defaults=True, exclude={"link"})
    return ENTRY + _encode({"number": link.number, "previous": link.previous, "attempt": told})


def _ends(environment: str, ends: Seal) -> bytes:
    """Return the signed bytes of ENDS, the seal of ENVIRONMENT's chain."""
    return ENDS + _encode(ends.model_dump(exclude={"key", "signature"}) | {"environment": environment})


def _digest(attempt: Attempt) -> str:
    """Return the sha256 of ATTEMPT with its link and signature; a field that later versions add changes no old one."""
    return hashlib.sha256(_encode(attempt.model_dump(mode="json", exclude_defaults=True))).hexdigest()


def _state(known: Record) -> str:
    told = known.model_dump(mode="json", exclude_defaults=True, include={"proven", "holds"})
    return hashlib.sha256(_encode(told)).hexdigest()


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
