"""What a command would do to an environment, looked up in reality; nothing is changed and no lock is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

from selfdeploy import admission, commits, config, environments, errors, rollout
from selfdeploy.environments.queue import Queue


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What a command would do to one environment: a line that says it, and lines below it."""

    environment: str
    action: str
    details: Sequence[str] = ()

    def __str__(self) -> str:
        """Return it as a dry run prints it."""
        return "\n".join([f"{self.environment}: {self.action}", *(f"    {line}" for line in self.details)])

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {"environment": self.environment, "action": self.action, "details": list(self.details), "dry": True}


def roll_back(project: config.Project, name: str, to: str, queue: Queue, *, hold: bool = False) -> Intent:
    """Return what `inv rollback` of the environment NAME would bring back.

    Raises:
        errors.NothingToRollBack, errors.OnHold, errors.LockHeld: as `inv rollback` would.
    """
    environment = environments.connect(project, name)
    queue.refuse_held(environment)
    known = environment.read()
    proven = rollout.choose(environment, known, to)
    running = known.attempts[0].revision if known.cut_off else known.proven[0].revision
    return Intent(
        environment=name,
        action=f"would go back to {proven.revision} ({proven.digest}), proven at {proven.at}",
        details=[
            *commits.between(project.source_path(), running, proven.revision),
            *([f"would put {known.proven[0].digest} on hold"] if hold else []),
        ],
    )


def bring_up(project: config.Project, name: str, queue: Queue, *, again: bool) -> Intent:
    """Return what `inv up` of the environment NAME would start, or `inv restart`, when AGAIN.

    Raises:
        errors.NothingToRollBack, errors.OnHold, errors.LockHeld: as they would.
    """
    environment = environments.connect(project, name)
    queue.refuse_held(environment)
    known = environment.read()
    if not known.proven:
        raise errors.NothingToRollBack(f"{name}: has proven nothing", "inv release")
    proven = rollout.choose(environment, known, known.proven[0].release)
    same = environment.is_applied(proven.rendered)
    action = "would start anew" if again else "would prove again" if same else "would start"
    return Intent(environment=name, action=f"{action} {proven.revision} ({proven.digest}), proven at {proven.at}")


def unhold(project: config.Project, name: str, digest: str) -> Intent:
    """Return that `inv unhold` would free DIGEST in the environment NAME.

    Raises:
        errors.ConfigInvalid: it is not on hold there.
    """
    known = environments.connect(project, name).read()
    admission.refuse_free(name, known, digest)
    return Intent(environment=name, action=f"would free {digest}", details=[f"on hold: {known.holds[digest]}"])


def take_down(project: config.Project, name: str, queue: Queue) -> Intent:
    """Return what `inv down` would remove of the environment NAME."""
    environment = environments.connect(project, name)
    queue.refuse_held(environment)
    replicas = environment.replicas()
    if not replicas and not environment.read().attempts:
        return Intent(environment=name, action="nothing runs; nothing would be removed")
    lines = [f"replica  {replica.name} is {replica.state}" for replica in replicas]
    lines += [f"front    {environment.way_in}"] if environment.way_in else []
    return Intent(environment=name, action="would stop and remove what runs; volumes and record stay", details=lines)
