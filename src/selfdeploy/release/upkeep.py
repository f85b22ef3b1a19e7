"""Operation of a released environment: roll back, probe, bring up, take off hold, undo, take down."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from selfdeploy import ages, config, environments, errors, manifest, provenance
from selfdeploy.build import protection
from selfdeploy.environments import Environment, Lock, record
from selfdeploy.environments.queue import Queue
from selfdeploy.rollout import admission, cancellation, settling


@contextlib.contextmanager
def held(environment: Environment, queue: Queue) -> Iterator[Lock]:
    """Hold ENVIRONMENT with an image that it has, or had; wait for its present holder as QUEUE says.

    Raises:
        errors.NothingToRollBack: it has neither an image nor a proven release.
    """
    image = environment.any_image()
    if not image:
        known = environment.read()
        if not known.proven:
            raise errors.NothingToRollBack(f"{environment.name}: nothing has been released to it", "inv release")
        image = manifest.parse(known.proven[0].manifest.encode(), f"{environment.name}: record").image.reference
    with queue.hold(environment, image, provenance.read_holder()) as lock:
        yield lock


def roll_back(
    project: config.Project,
    name: str,
    to: str,
    queue: Queue,
    took: Callable[[], Mapping[str, float]] = dict,
    *,
    hold: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[record.Proven, str]:
    """Roll the environment NAME back to TO, or to the release proven before; return that release and a warning, if any.

    With HOLD, the release left behind goes on hold there. TELL receives the commits left behind.
    """
    environment = environments.connect(project, name)
    with held(environment, queue) as lock:
        known = environment.read(lock)
        for line in settling.describe_way(environment, known, settling.choose(environment, known, to).revision):
            tell(line)
        holder = provenance.read_holder(took=took)
        with cancellation.ending(environment, lock, holder):
            proven = settling.restore(environment, lock, to, holder, hold=hold)
    image = manifest.parse(proven.manifest.encode(), f"{name}: record").image
    return proven, protection.warn(image, insecure=project.image.insecure)


def probe(project: config.Project, name: str) -> record.Proven:
    """Prove again, without the lock, that the environment NAME runs its last proven release, and return that release.

    Raises:
        errors.NothingToRollBack: it has not proven any release.
        errors.RecordInvalid, errors.SignatureInvalid, errors.Unsigned: as in `admission.believe`.
        errors.OnHold, errors.NotProven, errors.ReplicaHeldUp: as in `admission.probe_release`.
    """
    environment = environments.connect(project, name)
    known = environment.read()
    if not known.proven:
        raise errors.NothingToRollBack(f"{name}: has proven nothing", "inv release")
    admission.probe_release(environment, admission.believe(environment, known.proven[0]))
    return known.proven[0]


def bring_up(
    project: config.Project,
    name: str,
    queue: Queue,
    took: Callable[[], Mapping[str, float]] = dict,
    *,
    again: bool = False,
) -> record.Proven:
    """Run the last proven release of the environment NAME, prove it and return it; AGAIN starts new replicas.

    Raises:
        errors.NothingToRollBack: it has not proven any release.
        errors.OnHold, errors.ImageGone, errors.ConfigInvalid, errors.NotProven: as in `rollout.bring_up`.
        errors.PutBack, errors.PutBackUnproven: the CI run was cancelled, and the attempt ended so.
    """
    environment = environments.connect(project, name)
    with held(environment, queue) as lock:
        holder = provenance.read_holder(took=took)
        with cancellation.ending(environment, lock, holder):
            return settling.bring_up(environment, lock, holder, again=again)


def unhold(project: config.Project, name: str, digest: str, queue: Queue) -> None:
    """Take DIGEST off hold in the environment NAME, so that it can be rolled out there again."""
    environment = environments.connect(project, name)
    with held(environment, queue) as lock:
        known = environment.read(lock)
        admission.refuse_free(name, known, digest)
        tried = next((attempt for attempt in known.attempts if attempt.digest == digest), None)
        freed = known.unhold(digest)
        if tried is not None:
            attempt = record.Attempt.of(tried, provenance.read_holder(), ages.now())
            freed = freed.note(attempt, record.FREED)
        environment.write(lock, freed)


def undo(project: config.Project, name: str, holder: provenance.Holder, tell: Callable[[str], None]) -> str:
    """Undo the cut-off attempt on the environment NAME, by its last proven release; return how that ended.

    Empty if there is no such attempt, if it is HOLDER's own, or if it is a rollback, which `inv rollback` continues.
    Empty, too, if the lock is held: its holder takes over.
    """
    environment = environments.connect(project, name)
    known = environment.read()
    if not known.cut_off or known.cut_off.is_of(holder) or known.is_going_back:
        return ""
    try:
        with held(environment, Queue(tell=tell)) as lock:
            tell(f"{name}: undoing the attempt that was cut off")
            return settling.undo(environment, lock, holder)
    except errors.LockHeld:
        return ""


def take_down(project: config.Project, name: str, queue: Queue) -> bool:
    """Stop and remove the server of the environment NAME, and return whether it had a replica.

    Its volumes and its record stay.
    """
    environment = environments.connect(project, name)
    # Without a replica there may be a network, a Service or an Ingress left.
    found = bool(environment.replicas())
    if found or environment.read().attempts:
        with held(environment, queue) as lock:
            environment.down(lock)
            known = environment.read(lock)
            if not known.cut_off and not found:
                return False
            known = known.cut()  # nobody continues or undoes it now
            if known.proven or known.attempts:
                target = known.proven[0] if known.proven else known.attempts[0]
                attempt = record.Attempt.of(target, provenance.read_holder(), ages.now())
                known = known.note(attempt, record.TAKEN_DOWN)
            environment.write(lock, known)
    return found
