"""Dry runs: the effect of a command on an environment; changes nothing and acquires no lock."""

from collections.abc import Sequence
from dataclasses import dataclass

from selfdeploy import config, environments, errors
from selfdeploy.environments.queue import Queue
from selfdeploy.rollout import admission, settling
from selfdeploy.source import commits


@dataclass(frozen=True, kw_only=True)
class Intent:
    """The effect of a command on one environment: a line for the ACTION, with DETAILS below."""

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
    """Describe the release that `inv rollback` would bring back in the environment NAME.

    Raises:
        errors.NothingToRollBack, errors.OnHold, errors.LockHeld: as `inv rollback` would.
    """
    environment = environments.connect(project, name)
    queue.refuse_held(environment)
    known = environment.read()
    proven = settling.choose(environment, known, to)
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
    """Describe the release that `inv up`, or `inv restart` if AGAIN, would start in the environment NAME.

    Raises:
        errors.NothingToRollBack, errors.OnHold, errors.LockHeld: as these commands would.
    """
    environment = environments.connect(project, name)
    queue.refuse_held(environment)
    known = environment.read()
    if not known.proven:
        raise errors.NothingToRollBack(f"{name}: has proven nothing", "inv release")
    proven = settling.choose(environment, known, known.proven[0].release)
    same = environment.is_applied(proven.rendered)
    action = "would start anew" if again else "would prove again" if same else "would start"
    return Intent(environment=name, action=f"{action} {proven.revision} ({proven.digest}), proven at {proven.at}")


def unhold(project: config.Project, name: str, digest: str) -> Intent:
    """Describe how `inv unhold` would free DIGEST in the environment NAME.

    Raises:
        errors.ConfigInvalid: it is not on hold there.
    """
    known = environments.connect(project, name).read()
    admission.refuse_free(name, known, digest)
    return Intent(environment=name, action=f"would free {digest}", details=[f"on hold: {known.holds[digest]}"])


def take_down(project: config.Project, name: str, queue: Queue) -> Intent:
    """Describe the parts of the environment NAME that `inv down` would remove."""
    environment = environments.connect(project, name)
    queue.refuse_held(environment)
    replicas = environment.replicas()
    if not replicas and not environment.read().attempts:
        return Intent(environment=name, action="nothing runs; nothing would be removed")
    lines = [f"replica  {replica.name} is {replica.state}" for replica in replicas]
    lines += [f"front    {environment.way_in}"] if environment.way_in else []
    return Intent(environment=name, action="would stop and remove what runs; volumes and record stay", details=lines)
