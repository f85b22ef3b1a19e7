"""Living with a release: what each environment runs and remembers, rolling back, letting go."""

import contextlib
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from selfdeploy import (
    admission,
    cancellation,
    config,
    environments,
    errors,
    manifest,
    overlay,
    protection,
    provenance,
    retention,
    rollout,
    witness,
)
from selfdeploy.environments import Environment, Lock, record
from selfdeploy.environments.queue import Queue
from selfdeploy.witness import Replica


@dataclass(frozen=True, kw_only=True)
class Status:
    """What one environment runs, what it last proved, what is on hold there, and who holds it."""

    name: str
    url: str
    replicas: Sequence[Replica] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    differs: Sequence[str] = ()
    proven: record.Proven | None = None
    holds: Mapping[str, str] = field(default_factory=dict)
    holder: str = ""
    cut_off: record.Attempt | None = None
    front: str = ""
    targets: Sequence[overlay.Target] = ()
    unprotected: Sequence[str] = ()
    error: str = ""

    def __str__(self) -> str:
        """Return it as `inv status` prints it."""
        lines = [f"{self.name}  {self.url}", *(f"  target   {target}" for target in self.targets)]
        if self.error:
            return "\n".join([*lines, *(f"  {line}" for line in self.describe_trouble())])
        if self.proven:
            lines.append(f"  proven   {self.proven.revision} at {self.proven.at}")
            lines += [f"           release {self.proven.release}", f"           image   {self.proven.digest}"]
        else:
            lines.append("  proven   nothing yet")
        lines += [f"  replica  {replica.name} is {replica.state}" for replica in self.replicas]
        lines += [] if self.replicas else ["  replica  none"]
        lines += [f"  front    {self.front}"] if self.front else []
        lines += [f"  answers  {way}: {told}" for way, told in self.answers.items()]
        return "\n".join([*lines, *(f"  {line}" for line in self.describe_trouble())])

    def describe_trouble(self) -> list[str]:
        """Return a line for each trouble: what differs, is on hold, was cut off, is locked, or may get lost."""
        lines = [f"error    {self.error}"] if self.error else []
        lines += [f"differs  {line}" for line in self.differs]
        lines += [f"on hold  {digest}: {why}" for digest, why in self.holds.items()]
        if self.cut_off:
            lines.append(f"cut off  {self.cut_off.revision}, {self.cut_off.origin}")
        lines += [f"locked   by {self.holder}"] if self.holder else []
        lines += [f"registry {line}" for line in self.unprotected]
        return lines

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {
            "name": self.name,
            "url": self.url,
            "replicas": [
                {"name": r.name, "instance": r.instance, "state": r.state, "digests": sorted(r.digests)}
                for r in self.replicas
            ],
            "answers": dict(self.answers),
            "differs": list(self.differs),
            "proven": self.proven.model_dump(exclude={"manifest", "rendered"}) if self.proven else None,
            "holds": dict(self.holds),
            "holder": self.holder,
            "front": self.front,
            "cutOff": self.cut_off.model_dump() if self.cut_off else None,
            "unprotected": list(self.unprotected),
            "targets": [asdict(target) for target in self.targets],
            "error": self.error,
        }


def read_status(project: config.Project, name: str) -> Status:
    """Return what the environment NAME runs and remembers; an engine that does not answer is part of it."""
    environment, targets = environments.connect(project, name), overlay.targets(project, name)
    try:
        known, holder = environment.read(), environment.held_by()
        common: dict[str, Any] = {
            "name": name,
            "url": environment.url,
            "targets": targets,
            "holds": known.holds,
            "holder": str(holder or ""),
            "front": environment.way_in,
            "cut_off": known.cut_off if known.cut_off and not known.cut_off.is_of(holder) else None,
        }
        if not known.proven:
            replicas = environment.replicas()
            return Status(**common, replicas=replicas, differs=admission.held_anyway(known, replicas))
        wanted = manifest.parse(known.proven[0].manifest.encode(), f"{name}: record")
        seen = environment.ask(wanted)
    except errors.SelfdeployError as exc:
        return Status(name=name, url=environment.url, error=exc.message, targets=targets)
    return Status(
        **common,
        replicas=seen.before,
        answers={way: _describe(wanted, answers) for way, answers in seen.answers.items()},
        differs=[
            *admission.held_anyway(known, seen.before),
            *witness.compare(wanted, seen, rpc=project.probes.rpc, extra=project.probes.extra),
        ],
        proven=known.proven[0],
        unprotected=_unprotected(project, name, known),
    )


def _unprotected(project: config.Project, name: str, known: record.Record) -> list[str]:
    """Return a line for each release that runs, or that a rollback brings back, and that a clean-up may delete."""
    releases = {
        each.release: manifest.parse(each.manifest.encode(), f"{name}: record") for each in retention.kept(known)
    }
    roles = ("which runs here", "which inv rollback brings back")
    insecure = project.image.insecure
    lines = [
        protection.look(each, role, insecure=insecure) for each, role in zip(releases.values(), roles, strict=False)
    ]
    return list(dict.fromkeys(filter(None, lines)))


def _describe(wanted: manifest.Manifest, answers: Mapping[str, witness.Answer]) -> str:
    """Return what ANSWERS say, and for how long the process that gave them has run."""
    told, at = witness.describe(wanted, answers), witness.started(answers)
    if at is None:
        return told
    seconds = (datetime.datetime.now(datetime.UTC) - at).total_seconds()
    return f"{told}, up {describe_time(seconds)}"


def describe_time(seconds: float) -> str:
    """Return SECONDS in the largest unit that leaves one or more."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def read_history(project: config.Project, name: str) -> list[record.Attempt]:
    """Return the attempts on the environment NAME, newest first; one that nobody lived to end is `cut off`."""
    environment = environments.connect(project, name)
    known, holder = environment.read(), environment.held_by()
    present = [known.cut_off] if known.cut_off and known.cut_off.is_of(holder) else []
    return [*present, *known.cut().attempts[len(present) :]]


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
    project: config.Project, name: str, to: str, queue: Queue, took: Callable[[], Mapping[str, float]] = dict
) -> tuple[record.Proven, str]:
    """Put the environment NAME back to what it proved before, or to TO; return that, and what to know about it."""
    environment = environments.connect(project, name)
    with held(environment, queue) as lock:
        holder = provenance.read_holder(took=took)
        with cancellation.ending(environment, lock, holder):
            proven = rollout.restore(environment, lock, to, holder)
    image = manifest.parse(proven.manifest.encode(), f"{name}: record").image
    return proven, protection.warn(image, insecure=project.image.insecure)


def unhold(project: config.Project, name: str, digest: str, queue: Queue) -> None:
    """Free DIGEST, which failed in the environment NAME, to be rolled out there again."""
    environment = environments.connect(project, name)
    with held(environment, queue) as lock:
        known = environment.read(lock)
        admission.refuse_free(name, known, digest)
        environment.write(lock, known.unhold(digest))


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
            if known.cut_off:  # nobody goes on with it now, nor undoes it
                environment.write(lock, known.cut())
    return found
