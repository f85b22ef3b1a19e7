"""Admission to an environment: proven before it, not on hold, built by its authority, not older than its release."""

from collections.abc import Sequence

from selfdeploy import errors, manifest, provenance, trust
from selfdeploy.build.assembly import Release
from selfdeploy.environments import Environment, record
from selfdeploy.probes import probe, witness
from selfdeploy.rollout.proving import Proof
from selfdeploy.source import compare_revisions


def admit(
    environment: Environment, known: record.Record, release: Release, before: Sequence[Proof], *, older: bool
) -> None:
    """Raise the reason if ENVIRONMENT must not accept RELEASE.

    Raises:
        errors.NotProven: BEFORE lacks a proof of this very release on an earlier environment.
        errors.LockLost: the lock of such a proof is lost.
        errors.OnHold, errors.AuthorityRefused, errors.Unsigned, errors.ReleaseOlder: as their names say.
    """
    wanted = release.manifest
    proofs = {proof.environment: proof for proof in before}
    for name in environment.project.before(environment.name):
        proof = proofs.get(name)
        if proof is None or proof.release != wanted.release:
            raise errors.NotProven(
                f"{environment.name}: {name} does not prove {wanted.image.digest}",
                f"inv promote -e {environment.name} asks {name} first",
            )
        proof.lock.check()
    refuse_on_hold(environment, known, wanted.image.digest)
    _refuse_authority(environment, provenance.authority(release.evidence), wanted.release)
    refuse_unsigned(environment, release)
    if not older:
        _refuse_older(environment, known, wanted.source.revision)


def foresee(environment: Environment, revision: str, authority: str, *, older: bool) -> None:
    """Check, without the lock, whether ENVIRONMENT would accept a release of REVISION built by AUTHORITY.

    An attempt in progress and a cut-off rollback are left to the lock's holder, who judges and undoes them.

    Raises:
        errors.AuthorityRefused, errors.ReleaseOlder: as in `admit`.
        errors.RecordInvalid: the record is damaged.
    """
    try:
        known = environment.read()
    except (errors.ImageGone, errors.CommandFailed, errors.CommandTimedOut):
        return  # the release will bring an image to read the record with
    if known.cut_off and (known.is_going_back or environment.held_by()):
        return
    _refuse_authority(environment, authority, f"what is made here of {revision}")
    if not older:
        _refuse_older(environment, known, revision)


def refuse_unsigned(environment: Environment, release: Release) -> None:
    """Raise `errors.Unsigned` unless a key that ENVIRONMENT asks for has signed RELEASE."""
    trust.require(environment.project, environment.name, release.signed, release.manifest.release)


def believe(environment: Environment, proven: record.Proven) -> manifest.Manifest:
    """Return the manifest of PROVEN, an entry in the record of ENVIRONMENT, once its parts and signature agree.

    Raises:
        errors.RecordInvalid: its manifest is of another release.
        errors.SignatureInvalid, errors.Unsigned: deploy.toml has keys, and none of those asked for has signed it.
    """
    where = f"{environment.name}: record"
    wanted = manifest.parse(proven.manifest.encode(), where)
    if wanted.release != proven.release or wanted.image.digest != proven.digest:
        raise errors.RecordInvalid(f"{where}: {proven.release} does not hold together", "inv rollback to another")
    envelopes = [proven.envelope.encode()] if proven.envelope else []
    signed = trust.verify(environment.project, wanted, None, envelopes, where)
    trust.require(environment.project, environment.name, signed, f"{proven.revision[:12]}, proven here before,")
    return wanted


def refuse_on_hold(environment: Environment, known: record.Record, digest: str) -> None:
    """Raise `errors.OnHold` if KNOWN, the record of ENVIRONMENT, has DIGEST on hold."""
    if digest in known.holds:
        raise on_hold(environment, known, digest)


def on_hold(environment: Environment, known: record.Record, digest: str) -> errors.OnHold:
    """Return the error for DIGEST, on hold in KNOWN, the record of ENVIRONMENT."""
    return errors.OnHold(
        f"{environment.name}: {digest} is on hold: {known.holds[digest]}",
        f"release a newer revision, or inv unhold -e {environment.name} -d {digest}",
    )


def refuse_free(name: str, known: record.Record, digest: str) -> None:
    """Raise `errors.ConfigInvalid` unless KNOWN, the record of the environment NAME, has DIGEST on hold."""
    if digest not in known.holds:
        listed = ", ".join(known.holds) or "nothing"
        raise errors.ConfigInvalid(f"{name}: {digest} is not on hold", f"on hold there: {listed}")


def held_anyway(known: record.Record, replicas: Sequence[witness.Replica]) -> list[str]:
    """Return a line for each of REPLICAS with a digest on hold in KNOWN: another tool has rolled it in.

    A terminating replica does not count: putting a release back leaves one for a moment.
    """
    return [
        f"{replica.name}: runs {digest}, which is on hold here, and which inv release did not roll in: {reason}"
        for replica in replicas
        for digest, reason in known.holds.items()
        if digest in replica.digests and replica.state != "terminating"
    ]


def probe_release(environment: Environment, release: manifest.Manifest) -> None:
    """Probe ENVIRONMENT, without its lock, until it has settled on RELEASE.

    Raises:
        errors.OnHold: a replica runs a digest that is on hold there.
        errors.NotProven: ENVIRONMENT runs another build, or does not settle.
        errors.ReplicaHeldUp: it settled, but a replaced replica did not terminate in time.
    """
    known = environment.read()
    if wrong := held_anyway(known, environment.replicas()):
        last = f" --to {known.proven[0].revision[:12]}" if known.proven else ""
        raise errors.OnHold(
            "\n".join(f"{environment.name}: {line}" for line in wrong),
            f"stop what rolled it in, then inv rollback -e {environment.name}{last}",
        )
    probes, name = environment.project.probes, environment.name
    probe.until_settled(release, probes, lambda: environment.ask(release), name, environment.patience)


def _refuse_authority(environment: Environment, authority: str, what: str) -> None:
    settings = environment.project.environment(environment.name)
    if settings.authority == "forgejo" and authority != "forgejo":
        raise errors.AuthorityRefused(
            f"{environment.name}: the evidence of {what} names no Forgejo run", "have Forgejo build it"
        )


def _refuse_older(environment: Environment, known: record.Record, wanted: str) -> None:
    if not known.proven:
        return
    running = known.proven[0].revision
    order = compare_revisions(environment.project.source_path(), wanted, running)
    if order == "unknown":
        raise errors.ReleaseOlder(
            f"{environment.name}: {running} runs there; this clone lacks what says whether {wanted} is older than that",
            f"fetch the whole history, or pass --older; if that is another repository's release, "
            f"name a place of its own in environments.{environment.name}, such as another project or namespace",
        )
    if order == "older":
        raise errors.ReleaseOlder(
            f"{environment.name}: {wanted} is older than {running}, which runs there", "pass --older, or inv rollback"
        )
