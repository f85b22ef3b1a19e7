"""Living with a release: going back, up again, letting go of a digest, down."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from selfdeploy import (
    admission,
    ages,
    cancellation,
    config,
    environments,
    errors,
    manifest,
    protection,
    provenance,
    rollout,
)
from selfdeploy.environments import Environment, Lock, record
from selfdeploy.environments.queue import Queue


@contextlib.contextmanager
def held(environment: Environment, queue: Queue) -> Iterator[Lock]:
    """Hold ENVIRONMENT with an image that it has, or had; behind who holds it, as QUEUE says.

    Raises:
        errors.NothingToRollBack: nothing was ever released to it.
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
    """Put the environment NAME back to what it proved before, or to TO; return that, and what to know about it.

    With HOLD, what it leaves goes on hold there. TELL hears which commits that leaves behind.
    """
    environment = environments.connect(project, name)
    with held(environment, queue) as lock:
        known = environment.read(lock)
        for line in rollout.describe_way(environment, known, rollout.choose(environment, known, to).revision):
            tell(line)
        holder = provenance.read_holder(took=took)
        with cancellation.ending(environment, lock, holder):
            proven = rollout.restore(environment, lock, to, holder, hold=hold)
    image = manifest.parse(proven.manifest.encode(), f"{name}: record").image
    return proven, protection.warn(image, insecure=project.image.insecure)


def probe(project: config.Project, name: str) -> record.Proven:
    """Return what the environment NAME last proved, once it has proven again, without its lock, that it runs it.

    Raises:
        errors.NothingToRollBack: it has proven nothing.
        errors.OnHold, errors.NotProven, errors.ReplicaHeldUp: as `admission.probe_release` does.
    """
    environment = environments.connect(project, name)
    known = environment.read()
    if not known.proven:
        raise errors.NothingToRollBack(f"{name}: has proven nothing", "inv release")
    admission.probe_release(environment, manifest.parse(known.proven[0].manifest.encode(), f"{name}: record"))
    return known.proven[0]


def bring_up(
    project: config.Project,
    name: str,
    queue: Queue,
    took: Callable[[], Mapping[str, float]] = dict,
    *,
    again: bool = False,
) -> record.Proven:
    """Have the environment NAME run what it last proved, prove it, and return that; AGAIN starts what runs anew.

    Raises:
        errors.NothingToRollBack: it has proven nothing.
        errors.OnHold, errors.ImageGone, errors.NotProven, errors.PutBackUnproven: as `rollout.bring_up` does.
    """
    environment = environments.connect(project, name)
    with held(environment, queue) as lock:
        holder = provenance.read_holder(took=took)
        with cancellation.ending(environment, lock, holder):
            return rollout.bring_up(environment, lock, holder, again=again)


def unhold(project: config.Project, name: str, digest: str, queue: Queue) -> None:
    """Free DIGEST, which failed in the environment NAME, to be rolled out there again."""
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
    """Have the environment NAME, where its last attempt was cut off, run what it last proved; return how that ended.

    Empty where none was, or where it is one of HOLDER's own, or a way back, on which `inv rollback` goes on; and where
    somebody holds it, who takes that up.
    """
    environment = environments.connect(project, name)
    known = environment.read()
    if not known.cut_off or known.cut_off.is_of(holder) or known.is_going_back:
        return ""
    try:
        with held(environment, Queue(tell=tell)) as lock:
            tell(f"{name}: undoing the attempt that was cut off")
            return rollout.undo(environment, lock, holder)
    except errors.LockHeld:
        return ""


def take_down(project: config.Project, name: str, queue: Queue) -> bool:
    """Stop and remove the server of the environment NAME, and say whether there was anything to remove.

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
            known = known.cut()  # nobody goes on with it now, nor undoes it
            if known.proven or known.attempts:
                target = known.proven[0] if known.proven else known.attempts[0]
                attempt = record.Attempt.of(target, provenance.read_holder(), ages.now())
                known = known.note(attempt, record.TAKEN_DOWN)
            environment.write(lock, known)
    return found
