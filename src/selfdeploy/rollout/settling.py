"""Settle one environment: admit, apply, wait, prove; on failure keep evidence, hold the digest and put back."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path

from selfdeploy import ages, errors, manifest, plan, provenance, tree
from selfdeploy.build.assembly import Release
from selfdeploy.environments import Environment, Lock, record
from selfdeploy.probes import witness
from selfdeploy.rollout import admission, notify, proving
from selfdeploy.source import commits

SURROUNDINGS = (
    errors.PortTaken,
    errors.FieldConflict,
    errors.ObjectRefused,
    errors.DeploymentPaused,
    errors.ReplicaHeldUp,
    errors.ClusterForbidden,
)
"""Errors that stop a rollout and are not the digest's fault."""

NOT_TAKEN = (
    errors.ConfigInvalid,
    errors.ObjectRefused,
    errors.ClusterForbidden,
    errors.Unsigned,
    errors.SignatureInvalid,
    errors.KeyUnusable,
    errors.RecordInvalid,
    errors.ManifestInvalid,
)
"""Errors that refuse a release before anything is changed: of a runtime, or of its signature."""

AT_FAULT = (errors.NotProven, errors.ReplicaFailed)
"""Errors that are the digest's fault and put it on hold; others may come from its surroundings."""

FAILURES = (errors.NotProven, errors.CommandFailed, errors.CommandTimedOut, errors.ReplicaFailed, *SURROUNDINGS)
"""Errors that make a rollout fail; any other one leaves it cut off, for the next rollout to take over."""


def glance(environment: Environment, release: manifest.Manifest) -> plan.Found | plan.Missing:
    """Return whether ENVIRONMENT, asked once without a lock, answers as RELEASE; if not, the reason and an obstacle."""
    try:
        known = environment.read()
        if release.image.digest in known.holds:
            held = admission.on_hold(environment, known, release.image.digest)
            return plan.Missing(why=held.message, blocked=held)
        rendered, probes = environment.render(release), environment.project.probes
        wrong = witness.compare(release, environment.ask(release), rpc=probes.rpc, extra=probes.extra)
        if not wrong and not environment.is_applied(rendered):
            wrong = ["what runs is not what deploy.toml describes"]
        diff = environment.difference(rendered) if wrong else ""
    except errors.SelfdeployError as exc:
        return plan.Missing(why=exc.message, blocked=exc)
    return plan.Missing(why=wrong[0], diff=diff) if wrong else plan.Found(why="answers as this release")


def find(environment: Environment, lock: Lock, release: manifest.Manifest, envelope: str = "") -> proving.Proof | str:
    """Return the proof that ENVIRONMENT runs RELEASE as deploy.toml defines it now, or the reason if there is none.

    The environment's record gets ENVELOPE, RELEASE's signature, where it has another: it was signed since.
    """
    known = environment.read(lock)
    if known.cut_off:
        return f"takes over the attempt at {known.cut_off.revision[:12]}, {known.cut_off.origin}, that was cut off"
    if not known.proven:
        return f"has proven nothing yet{known.describe_cancelled()}"
    if known.proven[0].release != release.release:
        return f"last proved {known.proven[0].revision[:12]}{known.describe_cancelled()}"
    if not environment.is_applied(environment.render(release)):
        return "what runs is not what deploy.toml describes"
    try:
        proof = proving.prove(environment, lock, release)
    except errors.NotProven as exc:
        return exc.message.splitlines()[-1].strip()
    if envelope not in {"", known.proven[0].envelope}:
        environment.write(lock, known.sign(envelope))
    return proof


def settle(
    environment: Environment,
    lock: Lock,
    release: Release,
    before: Sequence[proving.Proof],
    holder: provenance.Holder,
    *,
    older: bool = False,
) -> proving.Proof:
    """Roll RELEASE out to ENVIRONMENT and prove it, or put back the last proven release.

    If RELEASE is refused and the attempt before it was cut off, that attempt is undone first.

    Raises:
        errors.PutBack, errors.PutBackUnproven, errors.WentDown: the rollout failed, and ended so.
        errors.NotProven: the last proven release, rolled out again, is not proven any more.
        the errors of `admit` and `Environment.rehearse`: RELEASE was refused, and changed nothing.
    """
    wanted = release.manifest
    known = environment.read(lock)
    try:
        admission.admit(environment, known, release, before, older=older)
    except (errors.OnHold, errors.AuthorityRefused, errors.Unsigned, errors.ReleaseOlder) as exc:
        if known.cut_off:
            ended = _undo(environment, lock, known, f"{exc.message}\nthe attempt before was cut off", holder)
            if not isinstance(ended, errors.PutBack | errors.WentDown):
                raise ended from exc
        raise
    extra = environment.project.probes.extra
    target = record.Proven.of(wanted, environment.render(wanted), extra, release.signed.envelope)
    again = bool(known.proven) and known.proven[0].is_same(target)
    environment.rehearse(target.rendered)
    known = _begin(environment, lock, known, target, holder)
    try:
        # Recreate a release that was proven with these very settings: otherwise a hung server would stay as it is.
        proof = _run(environment, lock, wanted, target.rendered, recreate=again)
    except FAILURES as exc:
        raise _put_back(environment, lock, known, target, exc, holder) from exc
    known = known.prove(target, ages.now()).end("proven", ages.now(), holder.took())
    environment.write(lock, known)
    _tell(environment, known)
    return proof


def _tell(environment: Environment, known: record.Record) -> None:
    notify.tell(environment.project, environment.name, environment.url, known)


def _begin(
    environment: Environment, lock: Lock, known: record.Record, target: record.Proven, holder: provenance.Holder
) -> record.Record:
    known = known.begin(record.Attempt.of(target, holder, ages.now()))
    environment.write(lock, known)
    return known


def _put_back(
    environment: Environment,
    lock: Lock,
    known: record.Record,
    failed: record.Proven,
    why: errors.SelfdeployError,
    holder: provenance.Holder,
) -> errors.SelfdeployError:
    """Keep evidence, hold the digest if at fault, put back the last proven release; return the error about FAILED."""
    detail = f"\n{why.hint}" if isinstance(why, errors.CommandFailed | errors.CommandTimedOut) and why.hint else ""
    told = f"{why.message}{detail}\n{_keep_evidence(environment, known, why.message + detail)}"
    # A digest that was proven here before is not at fault: its settings or its surroundings are.
    if isinstance(why, AT_FAULT) and all(p.digest != failed.digest for p in known.proven):
        lines = (why.message + detail).splitlines()
        reason = lines[0 if isinstance(why, errors.ReplicaFailed) else -1].strip()
        known = known.hold(failed.digest, f"{known.attempts[0].began}: {reason}")
        _write_now(environment, lock, known)
    if known.proven and known.proven[0].is_same(failed):
        known = known.end("not proven", ages.now(), holder.took())
        unwritten = _write_now(environment, lock, known)
        _tell(environment, known)
        return errors.NotProven(
            f"{told}{unwritten}\n"
            f"{environment.name} was recreated from its last proven release, which now fails its probes",
            f"fix its surroundings, then inv release; or inv rollback -e {environment.name}",
        )
    return end_as_before(environment, lock, known, told, holder)


def undo(environment: Environment, lock: Lock, holder: provenance.Holder) -> str:
    """Undo the cut-off attempt on ENVIRONMENT, and return how that ended; empty if there is none."""
    known = environment.read(lock)
    if not known.cut_off:
        return ""
    told = f"{environment.name}: the attempt at {known.cut_off.revision[:12]}, {known.cut_off.origin}, was cut off"
    return _undo(environment, lock, known, told, holder).message


def _undo(
    environment: Environment, lock: Lock, known: record.Record, told: str, holder: provenance.Holder
) -> errors.SelfdeployError:
    """Undo the cut-off attempt, and return the error with TOLD and the way it ended.

    The undo is a new attempt by HOLDER at the last proven release. Without one, it is at the cut-off release, to remove
    it.
    """
    known = known.begin(record.Attempt.of(known.proven[0] if known.proven else known.attempts[0], holder, ages.now()))
    return end_as_before(environment, lock, known, f"{told}{_write_now(environment, lock, known)}", holder)


def end_as_before(
    environment: Environment, lock: Lock, known: record.Record, told: str, holder: provenance.Holder, cause: str = ""
) -> errors.SelfdeployError:
    """Put back the last proven release, or stop ENVIRONMENT without one; return the error with TOLD and the ending.

    In the record, the ending comes after CAUSE.
    """

    def end(ending: str) -> str:
        ended = known.end(f"{cause}{ending}", ages.now(), holder.took())
        unwritten = _write_now(environment, lock, ended)
        _tell(environment, ended)
        return told + unwritten

    last = known.proven[0] if known.proven else None
    try:
        if last is None:
            environment.down(lock)
        else:
            _bring_back(environment, lock, last)
    except errors.LockLost:
        raise
    except errors.SelfdeployError as exc:
        if last is None:
            return errors.PutBackUnproven(f"{end('not down')}\n{environment.name} is not down: {exc.message}", exc.hint)
        if isinstance(exc, NOT_TAKEN):
            return errors.PutBackUnproven(
                f"{end('not put back')}\n{last.revision} is not put back: {exc.message}", exc.hint
            )
        return errors.PutBackUnproven(
            f"{end('put back, not proven')}\n{last.digest} was to be put back, but: {exc.message}", exc.hint
        )
    if last is None:
        why = "it had proven nothing before"
        return errors.WentDown(f"{end('down')}\n{environment.name} is down: {why}", "fix it and release again")
    told = end("put back, proven")
    return errors.PutBack(f"{told}\n{environment.name} runs {last.revision} again, proven", "fix it and release again")


def _write_now(environment: Environment, lock: Lock, value: record.Record) -> str:
    """Write VALUE as the record; return a failure as a line of text, because a put back must not stop for it."""
    try:
        environment.write(lock, value)
    except errors.LockLost:
        raise
    except errors.SelfdeployError as exc:
        return f"\n{exc.message}"
    return ""


def _keep_evidence(environment: Environment, known: record.Record, why: str) -> str:
    """Write WHY and the server's log to a file; return its path, or the reason if it could not be written."""
    began = known.attempts[0].began.replace(":", "")
    path = environment.project.work / "evidence" / f"{environment.name}-{began}.log"
    try:
        said = environment.logs(400)
    except errors.SelfdeployError as exc:
        said = exc.message
    try:
        tree.hide(environment.project.work)
        tree.write_whole(path, f"{why}\n\n{said}\n".encode())
    except OSError as exc:
        return f"evidence: not kept: {path}: {exc.strerror}"
    return f"evidence: {_shown(path)}"


def _shown(path: Path) -> str:
    """Return PATH relative to the current folder, if it is inside; a cancelled run's folder may be gone."""
    with contextlib.suppress(OSError, ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _bring_back(environment: Environment, lock: Lock, proven: record.Proven, *, recreate: bool = False) -> None:
    """Run PROVEN, an earlier proven release of ENVIRONMENT, and prove it; with RECREATE, in new replicas."""
    wanted = admission.believe(environment, proven)
    environment.fetch(wanted.image.reference)
    _run(environment, lock, wanted, proven.rendered, recreate=recreate, answered=proven.extra)


def _run(
    environment: Environment,
    lock: Lock,
    release: manifest.Manifest,
    rendered: str,
    *,
    recreate: bool = False,
    answered: Collection[str] | None = None,
) -> proving.Proof:
    """Run RENDERED, of RELEASE, on ENVIRONMENT and return the proof; the replaced replicas terminate after it.

    A release proven before only has to answer ANSWERED, the extra paths of its earlier proof.
    """
    environment.apply(lock, release, rendered, recreate=recreate, answered=answered)
    proof = proving.prove(environment, lock, release, answered)
    environment.retire(lock)
    return proof


def choose(environment: Environment, known: record.Record, name: str) -> record.Proven:
    """Return the release that `restore` puts ENVIRONMENT back to, given NAME and KNOWN, the environment's record.

    Raises:
        errors.NothingToRollBack: ENVIRONMENT has not proven such a release.
        errors.OnHold: the digest of that release is on hold.
        errors.RecordInvalid, errors.SignatureInvalid, errors.Unsigned: it is not believed, as in `admission.believe`.
    """
    proven = known.choose(name)
    if proven is None:
        raise errors.NothingToRollBack(
            f"{environment.name}: has proven no {name or 'other release'}",
            f"inv history -e {environment.name} shows what it has proven",
        )
    if proven.digest in known.holds:
        raise errors.OnHold(
            f"{environment.name}: {proven.digest} is on hold: {known.holds[proven.digest]}",
            f"name another with --to, or inv unhold -e {environment.name} -d {proven.digest}",
        )
    admission.believe(environment, proven)
    return proven


def restore(
    environment: Environment, lock: Lock, name: str, holder: provenance.Holder, *, hold: bool = False
) -> record.Proven:
    """Roll ENVIRONMENT back to NAME (an id, digest or revision), or to the release proven before the present one.

    With HOLD, the release proven last goes on hold: the next release of the same revision does not bring it back.

    Raises:
        errors.NothingToRollBack: ENVIRONMENT has not proven such a release.
        errors.OnHold: the digest of that release is on hold.
        errors.ImageGone: neither the runtime nor the registry has its image.
        errors.ConfigInvalid: it uses a secret that deploy.toml no longer names.
        errors.PutBack, errors.PutBackUnproven, errors.NotProven: it is not proven; the class says how that ended.
    """
    known = environment.read(lock)
    proven = choose(environment, known, name)
    _fetch(environment, proven)
    environment.rehearse(proven.rendered)
    known = _begin(environment, lock, known, proven, holder)
    try:
        _bring_back(environment, lock, proven)
    except FAILURES as exc:
        ended = _put_back(environment, lock, known, proven, exc, holder)
        if isinstance(ended, errors.PutBack):
            told = f"name another with --to; inv history -e {environment.name} lists them"
            raise errors.PutBack(ended.message, told) from exc
        raise ended from exc
    left = known.proven[0]
    if hold and left.digest != proven.digest:
        known = known.hold(left.digest, f"{ages.now()}: rolled back by {holder.who}")
    known = known.prove(proven, ages.now()).end("rolled back, proven", ages.now(), holder.took())
    environment.write(lock, known)
    _tell(environment, known)
    return proven


def describe_way(environment: Environment, known: record.Record, wanted: str) -> tuple[str, ...]:
    """Return the commits between the last proven revision in KNOWN, ENVIRONMENT's record, and the revision WANTED."""
    return commits.between(environment.project.source_path(), known.proven[0].revision, wanted) if known.proven else ()


def bring_up(environment: Environment, lock: Lock, holder: provenance.Holder, *, again: bool = False) -> record.Proven:
    """Run ENVIRONMENT's last proven release, as it was proven, and prove it; AGAIN starts new replicas.

    Raises:
        errors.NothingToRollBack: ENVIRONMENT has not proven any release.
        errors.OnHold, errors.ImageGone, errors.ConfigInvalid: as in `restore`.
        errors.NotProven: the last proven release runs, and is not proven any more.
    """
    known = environment.read(lock)
    if not known.proven:
        raise errors.NothingToRollBack(f"{environment.name}: has proven nothing", "inv release")
    proven = choose(environment, known, known.proven[0].release)
    _fetch(environment, proven)
    environment.rehearse(proven.rendered)
    known = _begin(environment, lock, known, proven, holder)
    try:
        _bring_back(environment, lock, proven, recreate=again)
    except FAILURES as exc:
        raise _put_back(environment, lock, known, proven, exc, holder) from exc
    ending = "started anew, proven" if again else "brought up, proven"
    known = known.prove(proven, ages.now()).end(ending, ages.now(), holder.took())
    environment.write(lock, known)
    _tell(environment, known)
    return proven


def _fetch(environment: Environment, proven: record.Proven) -> None:
    """Fetch the image of PROVEN into ENVIRONMENT's runtime, before anything is changed there."""
    reference = manifest.parse(proven.manifest.encode(), f"{environment.name}: record").image.reference
    try:
        environment.fetch(reference)
    except errors.CommandFailed as exc:
        raise errors.ImageGone(
            f"{environment.name}: {reference}: neither the runtime nor the registry has it: {exc.hint or exc.message}",
            f"name another with --to; inv history -e {environment.name} lists them",
        ) from exc
