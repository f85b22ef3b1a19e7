"""The proof that an environment runs a release: seen by this process, now; never read from a file."""

from collections.abc import Collection
from dataclasses import dataclass

from selfdeploy import manifest
from selfdeploy.environments import Environment, Lock
from selfdeploy.probes import probe


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The proof that this process, under the lock, saw an environment run a release; never read from a file."""

    environment: str
    release: str
    lock: Lock
    rounds: probe.Settled


def prove(
    environment: Environment, lock: Lock, release: manifest.Manifest, answered: Collection[str] | None = None
) -> Proof:
    """Probe ENVIRONMENT until it has settled on RELEASE, and return the proof.

    A release proven before only has to answer ANSWERED, the extra paths of its earlier proof.

    Raises:
        errors.NotProven: ENVIRONMENT runs another build, or does not settle.
        errors.ReplicaHeldUp: it settled, but a replaced replica did not terminate in time.
        errors.LockLost: the lock was lost meanwhile.
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
