"""Settle one environment: admit, apply, wait, prove; on failure evidence, hold, put back."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass

from selfdeploy import errors, manifest, probe, render, tree
from selfdeploy.environments import record
from selfdeploy.environments.compose import Compose, Lock
from selfdeploy.source import is_ancestor


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is rolled out: the manifest, and the evidence that came with it."""

    manifest: manifest.Manifest
    evidence: dict[str, object]
    who: str = ""
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """That an environment was seen to run a release, by this process, under its lock; never read from a file."""

    environment: str
    release: str
    lock: Lock
    rounds: int


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def prove(environment: Compose, lock: Lock, release: manifest.Manifest) -> Proof:
    """Ask ENVIRONMENT until it has settled on RELEASE, and return the proof.

    Raises:
        errors.NotProven: it runs something else, or does not settle.
        errors.LockLost: the lock went away meanwhile.
    """
    rounds = probe.until_settled(
        release, environment.project.probes, lambda: environment.ask(release), environment.name
    )
    lock.check()
    return Proof(environment=environment.name, release=release.release, lock=lock, rounds=rounds)


def admit(
    environment: Compose, known: record.Record, release: Release, before: Sequence[Proof], *, older: bool
) -> None:
    """Raise the reason why ENVIRONMENT must not take RELEASE; return when it may.

    Raises:
        errors.NotProven: one that comes before it has no proof, of this very release, under a lock still held.
        errors.OnHold, errors.AuthorityRefused, errors.ReleaseOlder: as they say.
    """
    wanted = release.manifest
    proofs = {proof.environment: proof for proof in before}
    for name in environment.project.before(environment.name):
        proof = proofs.get(name)
        if proof is None or proof.release != wanted.release:
            raise errors.NotProven(
                f"{environment.name}: {name} does not prove {wanted.image.digest}", f"inv rollout -e {name} first"
            )
        proof.lock.check()
    if wanted.image.digest in known.holds:
        raise errors.OnHold(
            f"{environment.name}: {wanted.image.digest} is on hold: {known.holds[wanted.image.digest]}",
            f"release a newer revision, or inv unhold -e {environment.name}",
        )
    run = release.evidence.get("run")
    if environment.settings.authority == "forgejo" and not (
        isinstance(run, dict) and run.get("authority") == "forgejo"
    ):
        raise errors.AuthorityRefused(
            f"{environment.name}: the evidence of {wanted.release} names no Forgejo run", "have Forgejo build it"
        )
    if known.proven and not older:
        running = known.proven[0].revision
        if is_ancestor(environment.project.source_path(), wanted.source.revision, running):
            raise errors.ReleaseOlder(
                f"{environment.name}: {wanted.source.revision} is older than {running}, which runs there",
                "say --older, or inv rollback",
            )


def settle(
    environment: Compose, lock: Lock, release: Release, before: Sequence[Proof], *, older: bool = False
) -> Proof:
    """Have ENVIRONMENT run RELEASE and prove it; or put back what it last proved.

    Raises:
        errors.PutBack, errors.PutBackUnproven, errors.WentDown: the rollout failed, and ended so.
        what `admit` raises.
    """
    wanted = release.manifest
    known = environment.read(lock)
    admit(environment, known, release, before, older=older)
    rendered = render.compose(environment.project, environment.name, wanted)
    attempt = record.Attempt(
        release=wanted.release,
        digest=wanted.image.digest,
        revision=wanted.source.revision,
        who=release.who,
        run=release.run,
        began=now(),
    )
    known = known.begin(attempt)
    environment.write(lock, known)
    try:
        environment.apply(lock, wanted, rendered)
        proof = prove(environment, lock, wanted)
    except (errors.NotProven, errors.CommandFailed, errors.CommandTimedOut) as exc:
        ending = _put_back(environment, lock, known, exc)
        raise ending from exc
    except errors.PortTaken as exc:
        # Not the release's fault: nothing goes on hold, but what ran before comes back.
        raise _put_back(environment, lock, known, exc, hold=False) from exc
    proven = record.Proven(
        release=wanted.release,
        digest=wanted.image.digest,
        revision=wanted.source.revision,
        at=now(),
        manifest=wanted.bytes.decode(),
        rendered=rendered,
    )
    environment.write(lock, known.prove(proven).end("proven", now()))
    return proof


def _put_back(
    environment: Compose, lock: Lock, known: record.Record, why: errors.SelfdeployError, *, hold: bool = True
) -> errors.SelfdeployError:
    failed = known.attempts[0]
    evidence = environment.project.work / "evidence" / f"{environment.name}-{failed.began.replace(':', '')}.log"
    tree.write_whole(evidence, f"{why.message}\n\n{environment.logs(400)}\n".encode())
    reason = why.message.splitlines()[-1].strip()
    if hold:
        known = known.hold(failed.digest, f"{failed.began}: {reason}")
    last = next((p for p in known.proven if p.digest != failed.digest), None)
    told = f"{why.message}\nevidence: {evidence}"
    if last is None:
        environment.down()
        environment.write(lock, known.end("down", now()))
        return errors.WentDown(f"{told}\n{environment.name} is down: it had proven nothing before", "mend and release")
    try:
        before = manifest.parse(last.manifest.encode(), f"{environment.name}: record")
        environment.pull(before.image.reference)
        environment.apply(lock, before, last.rendered)
        prove(environment, lock, before)
    except errors.SelfdeployError as exc:
        environment.write(lock, known.end("put back, not proven", now()))
        return errors.PutBackUnproven(f"{told}\nput back {last.digest}, but: {exc.message}", exc.hint)
    environment.write(lock, known.end("put back, proven", now()))
    return errors.PutBack(f"{told}\n{environment.name} runs {last.revision} again, proven", "mend it and release again")


def restore(environment: Compose, lock: Lock, release: str, who: str) -> record.Proven:
    """Put ENVIRONMENT back to RELEASE (an id, digest or revision), or to what it proved before the present one.

    Raises:
        errors.NothingToRollBack: it has proven no such release.
        errors.NotProven: what was put back does not prove itself.
    """
    known = environment.read(lock)
    running = environment.desired()
    for proven in known.proven:
        names = (proven.release, proven.digest, proven.revision)
        if proven.release != running if not release else release in names:
            break
    else:
        raise errors.NothingToRollBack(
            f"{environment.name}: has proven no {release or 'other release'}", "inv history shows what it has proven"
        )
    wanted = manifest.parse(proven.manifest.encode(), f"{environment.name}: record")
    attempt = record.Attempt(
        release=proven.release, digest=proven.digest, revision=proven.revision, who=who, began=now()
    )
    known = known.begin(attempt)
    environment.write(lock, known)
    environment.pull(wanted.image.reference)
    environment.apply(lock, wanted, proven.rendered)
    try:
        prove(environment, lock, wanted)
    except errors.NotProven:
        environment.write(lock, known.end("rolled back, not proven", now()))
        raise
    environment.write(lock, known.prove(proven).end("rolled back, proven", now()))
    return proven


def read_evidence(data: bytes) -> dict[str, object]:
    """Return the evidence that DATA, of a registry's record, holds."""
    try:
        told = json.loads(data)
    except ValueError as exc:
        raise errors.RecordInvalid("evidence: no JSON", "build the release again") from exc
    if not isinstance(told, dict):
        raise errors.RecordInvalid("evidence: no JSON object", "build the release again")
    return told
