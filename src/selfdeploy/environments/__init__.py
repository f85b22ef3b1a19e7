"""The interface of every kind of environment, and `connect`, which makes one from deploy.toml."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from selfdeploy import config
from selfdeploy.environments import record
from selfdeploy.manifest import Manifest
from selfdeploy.probes.witness import Replica, Round
from selfdeploy.provenance import Holder


class Lock(Protocol):
    """An environment's lock, held by this process until it releases the lock or dies."""

    @property
    def container(self) -> str:
        """Its id in the runtime; no other lock ever gets the same id."""

    @property
    def replaced(self) -> str:
        """The previous holder, if it died without releasing the lock; else empty."""

    def check(self) -> None:
        """Raise `errors.LockLost` if the lock is lost, or if it may be."""


class Environment(Protocol):
    """A place to roll a release out to. Every method may raise that the runtime does not answer."""

    @property
    def project(self) -> config.Project:
        """The project it belongs to."""

    @property
    def name(self) -> str:
        """Its name in deploy.toml."""

    @property
    def continuity(self) -> str:
        """How a rollout affects users, in the plan's words."""

    @property
    def patience(self) -> float:
        """How long replaced replicas may take to terminate, in seconds; 0 if `apply` waits for them."""

    @property
    def url(self) -> str:
        """Its public address."""

    def refuse_unfit(self) -> None:
        """Raise the first obstacle to a release here, before minutes are spent on it."""

    def fetch(self, image: str) -> None:
        """Make sure that the runtime can start IMAGE, given by digest."""

    def hold(self, image: str, holder: Holder) -> AbstractContextManager[Lock]:
        """Lock the environment for HOLDER; the runtime can run IMAGE. Raises `errors.LockHeld`."""

    def held_by(self) -> Holder | None:
        """Return the lock's holder, with its start time and CI run; None if the lock is free."""

    def read(self, lock: Lock | None = None) -> record.Record:
        """Return the environment's record, read through LOCK if given."""

    def write(self, lock: Lock, value: record.Record) -> None:
        """Replace the environment's record with VALUE, sealed, and atomically: a reader never sees a part of it."""

    def render(self, manifest: Manifest) -> str:
        """Return the input of `apply` for MANIFEST's release; equal input gives equal bytes."""

    def is_applied(self, rendered: str) -> bool:
        """Return whether the environment is as RENDERED defines it, so that `apply` would change nothing."""

    def difference(self, rendered: str) -> str:
        """Return the changes that `apply` of RENDERED would make, as a diff; empty if the runtime cannot compute it."""

    def rehearse(self, rendered: str) -> None:
        """Raise the reason if the runtime would refuse RENDERED, as far as it can know; changes nothing."""

    def apply(
        self,
        lock: Lock,
        manifest: Manifest,
        rendered: str,
        *,
        recreate: bool = False,
        answered: Collection[str] | None = None,
    ) -> None:
        """Run RENDERED, the release of MANIFEST; with RECREATE, in new replicas even if nothing changed.

        A runtime that rolls, one replica after the other, returns when the rollout is complete. Replaced replicas may
        still be terminating. Some runtimes prove new replicas before these get requests. There, an already proven
        release only has to answer ANSWERED, the extra paths of its earlier proof.
        """

    def retire(self, lock: Lock) -> None:
        """Terminate the replicas replaced by the last `apply`, once the new ones are proven."""

    def replicas(self) -> Sequence[Replica]:
        """Return the replicas that the runtime lists."""

    def ask(self, manifest: Manifest) -> Round:
        """Probe every replica from inside, and the public address, once; return the round."""

    @property
    def way_in(self) -> str:
        """The front and its live replica, in words for people; empty if the environment has no front of ours."""

    def logs(self, lines: int, *, follow: bool = False, front: bool = False) -> str:
        """Return the last LINES lines of each replica's log; with FOLLOW, stream new lines until interrupted.

        With FRONT, read the front's log instead.
        """

    def any_image(self) -> str:
        """Return an image that the runtime can run to hold the lock; empty if there is none."""

    def forget(self, unwanted: Callable[[], Mapping[str, str]]) -> Sequence[str]:
        """Delete the runtime's copies of the releases that UNWANTED returns; return the names of the copies.

        UNWANTED returns release ids, each with its image's digest; the digest is empty if the image stays. A runtime
        with a garbage collection of its own does not call UNWANTED.

        Everything in use stays. Nothing is deleted from a registry.
        """

    def down(self, lock: Lock) -> None:
        """Stop and remove the replicas and everything around them; keep volumes and the record."""


def connect(project: config.Project, name: str) -> Environment:
    """Return the environment NAME of deploy.toml.

    Raises:
        errors.ConfigInvalid: deploy.toml has no such environment.
    """
    if isinstance(project.environment(name), config.Kubernetes):
        from selfdeploy.environments.kubernetes.environment import Kubernetes  # noqa: PLC0415 -- where it is needed

        return Kubernetes(project, name)
    from selfdeploy.environments.compose.environment import Compose  # noqa: PLC0415 -- python-on-whales loads where it is needed

    return Compose(project, name)
