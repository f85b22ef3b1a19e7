"""Settle one environment: admit, apply, wait, prove; on failure evidence, hold, put back."""

import datetime
from collections.abc import Sequence

from selfdeploy import admission, errors, manifest, plan, provenance, proving, tree, witness
from selfdeploy.assembly import Release
from selfdeploy.environments import Environment, Lock, record

SURROUNDINGS = (
    errors.PortTaken,
    errors.FieldConflict,
    errors.ObjectRefused,
    errors.DeploymentPaused,
    errors.ReplicaHeldUp,
)
"""What a digest is not at fault for."""

FAILURES = (errors.NotProven, errors.CommandFailed, errors.CommandTimedOut, errors.ReplicaFailed, *SURROUNDINGS)
"""What makes a rollout one that failed; anything else leaves it cut off, for the next one to take up."""


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def glance(environment: Environment, release: manifest.Manifest) -> plan.Found | plan.Missing:
    """Return whether ENVIRONMENT, asked once and not locked, answers as RELEASE, and what would keep it from it."""
    try:
        known = environment.read()
        if release.image.digest in known.holds:
            return plan.Missing(why=f"on hold: {known.holds[release.image.digest]}")
        rendered = environment.render(release)
        wrong = witness.compare(release, environment.ask(release), rpc=environment.project.probes.rpc)
        if not wrong and not environment.is_applied(rendered):
            wrong = ["what runs is not what deploy.toml describes"]
        diff = environment.difference(rendered) if wrong else ""
    except errors.SelfdeployError as exc:
        return plan.Missing(why=exc.message)
    return plan.Missing(why=wrong[0], diff=diff) if wrong else plan.Found(why="answers as this release")


def find(environment: Environment, lock: Lock, release: manifest.Manifest) -> proving.Proof | str:
    """Return the proof that ENVIRONMENT runs RELEASE as deploy.toml has it now, or why there is none."""
    known = environment.read(lock)
    if known.cut_off:
        return f"takes over the attempt at {known.cut_off.revision[:12]}, {known.cut_off.origin}, that was cut off"
    if not known.proven:
        return "has proven nothing yet"
    if known.proven[0].release != release.release:
        return f"last proved {known.proven[0].revision[:12]}"
    if not environment.is_applied(environment.render(release)):
        return "what runs is not what deploy.toml describes"
    try:
        return proving.prove(environment, lock, release)
    except errors.NotProven as exc:
        return exc.message.splitlines()[-1].strip()


def settle(
    environment: Environment,
    lock: Lock,
    release: Release,
    before: Sequence[proving.Proof],
    holder: provenance.Holder,
    *,
    older: bool = False,
) -> proving.Proof:
    """Have ENVIRONMENT run RELEASE and prove it; or put back what it last proved.

    When RELEASE is not to be taken, and the attempt before it was cut off, that one is undone first.

    Raises:
        errors.PutBack, errors.PutBackUnproven, errors.WentDown: the rollout failed, and ended so.
        what `admit` and `Environment.rehearse` raise; nothing was changed then.
    """
    wanted = release.manifest
    known = environment.read(lock)
    try:
        admission.admit(environment, known, release, before, older=older)
    except (errors.OnHold, errors.AuthorityRefused, errors.ReleaseOlder) as exc:
        if known.cut_off:
            raise _undo(environment, lock, known, exc, holder) from exc
        raise
    target = record.Proven.of(wanted, environment.render(wanted))
    again = bool(known.proven) and known.proven[0].is_same(target)
    environment.rehearse(target.rendered)
    known = _begin(environment, lock, known, target, holder)
    try:
        # What has been proven just so and no longer answers is made anew: a server that hangs would stay as it is.
        environment.apply(lock, wanted, target.rendered, recreate=again)
        proof = proving.prove(environment, lock, wanted)
    except FAILURES as exc:
        raise _put_back(environment, lock, known, target, exc, holder) from exc
    environment.write(lock, known.prove(target, now()).end("proven", now(), holder.took()))
    return proof


def _begin(
    environment: Environment, lock: Lock, known: record.Record, target: record.Proven, holder: provenance.Holder
) -> record.Record:
    known = known.begin(record.Attempt.of(target, holder, now()))
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
    """Put back what ENVIRONMENT last proved, and return the error that says how FAILED, and that, ended."""
    detail = f"\n{why.hint}" if isinstance(why, errors.CommandFailed | errors.CommandTimedOut) and why.hint else ""
    told = f"{why.message}{detail}\n{_keep_evidence(environment, known, why.message + detail)}"
    # What has been proven here before is not at fault now: its settings are, or what is around it.
    if not isinstance(why, SURROUNDINGS) and all(p.digest != failed.digest for p in known.proven):
        lines = (why.message + detail).splitlines()
        reason = lines[0 if isinstance(why, errors.ReplicaFailed) else -1].strip()
        known = known.hold(failed.digest, f"{known.attempts[0].began}: {reason}")
        environment.write(lock, known)
    if known.proven and known.proven[0].is_same(failed):
        environment.write(lock, known.end("not proven", now(), holder.took()))
        return errors.NotProven(
            f"{told}\n{environment.name} runs what it last proved, made anew, and it does not prove itself",
            f"mend what is around it, then inv release; or inv rollback -e {environment.name}",
        )
    return _end_as_before(environment, lock, known, told, holder)


def _undo(
    environment: Environment,
    lock: Lock,
    known: record.Record,
    refusal: errors.SelfdeployError,
    holder: provenance.Holder,
) -> errors.SelfdeployError:
    """Undo the attempt that was cut off, and return REFUSAL, why nothing comes in its place; or how that went wrong."""
    ended = _end_as_before(environment, lock, known, f"{refusal.message}\nthe attempt before was cut off", holder)
    return refusal if isinstance(ended, errors.PutBack | errors.WentDown) else ended


def _end_as_before(
    environment: Environment, lock: Lock, known: record.Record, told: str, holder: provenance.Holder
) -> errors.SelfdeployError:
    """Have ENVIRONMENT run what it last proved, or nothing; return TOLD and how that ended."""

    def end(ending: str) -> None:
        environment.write(lock, known.end(ending, now(), holder.took()))

    if not known.proven:
        environment.down(lock)
        end("down")
        return errors.WentDown(f"{told}\n{environment.name} is down: it had proven nothing before", "mend and release")
    last = known.proven[0]
    try:
        _bring_back(environment, lock, last)
    except errors.LockLost:
        raise
    except errors.ConfigInvalid as exc:
        end("not put back")
        return errors.PutBackUnproven(f"{told}\n{last.revision} is not put back: {exc.message}", exc.hint)
    except errors.SelfdeployError as exc:
        end("put back, not proven")
        return errors.PutBackUnproven(f"{told}\nput back {last.digest}, but: {exc.message}", exc.hint)
    end("put back, proven")
    return errors.PutBack(f"{told}\n{environment.name} runs {last.revision} again, proven", "mend it and release again")


def _keep_evidence(environment: Environment, known: record.Record, why: str) -> str:
    """Write down WHY a rollout failed and what the server said, and say where; a full disk keeps nothing from it."""
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
    return f"evidence: {path}"


def _bring_back(environment: Environment, lock: Lock, proven: record.Proven) -> None:
    """Have ENVIRONMENT run PROVEN, which it has proven before, and prove it again."""
    wanted = manifest.parse(proven.manifest.encode(), f"{environment.name}: record")
    if wanted.release != proven.release or wanted.image.digest != proven.digest:
        raise errors.RecordInvalid(
            f"{environment.name}: record: {proven.release} does not hold together", "inv rollback to another"
        )
    environment.fetch(wanted.image.reference)
    environment.apply(lock, wanted, proven.rendered)
    proving.prove(environment, lock, wanted)


def restore(environment: Environment, lock: Lock, name: str, holder: provenance.Holder) -> record.Proven:
    """Put ENVIRONMENT back to NAME (an id, digest or revision), or to what it proved before the present release.

    Raises:
        errors.NothingToRollBack: it has proven no such release.
        errors.OnHold: that one has failed here since.
        errors.ImageGone: nobody has its image any more.
        errors.ConfigInvalid: it takes a secret that deploy.toml does not name now.
        errors.PutBack, errors.PutBackUnproven, errors.NotProven: it does not prove itself, and how that ended.
    """
    known = environment.read(lock)
    proven = _choose(environment, known, name)
    if proven.digest in known.holds:
        raise errors.OnHold(
            f"{environment.name}: {proven.digest} is on hold: {known.holds[proven.digest]}",
            f"name another with --to, or inv unhold -e {environment.name} -d {proven.digest}",
        )
    _fetch(environment, proven)
    environment.rehearse(proven.rendered)
    known = _begin(environment, lock, known, proven, holder)
    try:
        _bring_back(environment, lock, proven)
    except FAILURES as exc:
        raise _put_back(environment, lock, known, proven, exc, holder) from exc
    environment.write(lock, known.prove(proven, now()).end("rolled back, proven", now(), holder.took()))
    return proven


def _fetch(environment: Environment, proven: record.Proven) -> None:
    """Have ENVIRONMENT hold the image of PROVEN before anything is changed there."""
    reference = manifest.parse(proven.manifest.encode(), f"{environment.name}: record").image.reference
    try:
        environment.fetch(reference)
    except errors.CommandFailed as exc:
        raise errors.ImageGone(
            f"{environment.name}: {reference}: neither the runtime nor the registry has it: {exc.hint or exc.message}",
            f"name another with --to; inv history -e {environment.name} lists them",
        ) from exc


def _choose(environment: Environment, known: record.Record, name: str) -> record.Proven:
    """Return what NAME names of what ENVIRONMENT has proven; or else what it proved before the release that runs.

    When the last attempt did not end well, what was proven last is what came before it.
    """
    if name:
        chosen = [proven for proven in known.proven if proven.is_named(name)]
    else:
        unsettled = known.attempts and not known.attempts[0].has_settled
        present = "" if unsettled or not known.proven else known.proven[0].release
        chosen = [proven for proven in known.proven if proven.release != present and proven.digest not in known.holds]
    if not chosen:
        raise errors.NothingToRollBack(
            f"{environment.name}: has proven no {name or 'other release'}",
            f"inv history -e {environment.name} shows what it has proven",
        )
    return chosen[0]
