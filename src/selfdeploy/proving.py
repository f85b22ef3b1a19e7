"""That an environment runs a release: seen by this process, now; never read from a file."""

from collections.abc import Collection
from dataclasses import dataclass

from selfdeploy import manifest, probe
from selfdeploy.environments import Environment, Lock


@dataclass(frozen=True, kw_only=True)
class Proof:
    """That an environment was seen to run a release, by this process, under its lock; never read from a file."""

    environment: str
    release: str
    lock: Lock
    rounds: probe.Settled


def prove(
    environment: Environment, lock: Lock, release: manifest.Manifest, answered: Collection[str] | None = None
) -> Proof:
    """Ask ENVIRONMENT until it has settled on RELEASE, and return the proof.

    Of the extra paths, a release that was proven before has to answer those that it ANSWERED then.

    Raises:
        errors.NotProven: it runs something else, or does not settle.
        errors.ReplicaHeldUp: it settled, and who was told to end did not.
        errors.LockLost: the lock went away meanwhile.
    """
    rounds = probe.until_settled(
        release,
        environment.project.probes.narrowed(answered),
        lambda: environment.ask(release),
        environment.name,
        environment.patience,
    )
    lock.check()
    return Proof(environment=environment.name, release=release.release, lock=lock, rounds=rounds)
