"""Where a release runs: what every kind of environment can do, and the one that deploy.toml names."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from selfdeploy import config
from selfdeploy.environments import record
from selfdeploy.manifest import Manifest
from selfdeploy.provenance import Holder
from selfdeploy.witness import Replica, Round


class Lock(Protocol):
    """An environment, held by this process until it lets go or dies."""

    @property
    def container(self) -> str:
        """What the runtime calls it: an id that is never another's."""

    @property
    def replaced(self) -> str:
        """Who had it before and did not live to let go; empty when nobody had."""

    def check(self) -> None:
        """Raise `errors.LockLost` when it is no longer held, or not surely."""


class Environment(Protocol):
    """One place that a release is rolled out to; every method may raise that its runtime does not answer."""

    @property
    def project(self) -> config.Project:
        """The project that it is part of."""

    @property
    def name(self) -> str:
        """What deploy.toml calls it."""

    @property
    def continuity(self) -> str:
        """How a rollout goes for who uses it, as the plan says it."""

    @property
    def patience(self) -> float:
        """Seconds that what a rollout has told to end has to go; none where it is gone when `apply` returns."""

    @property
    def url(self) -> str:
        """The public way to it."""

    def refuse_unfit(self) -> None:
        """Raise what would keep a release from ending here, before minutes are spent on it."""

    def fetch(self, image: str) -> None:
        """Have the runtime hold IMAGE, by digest."""

    def hold(self, image: str, holder: Holder) -> AbstractContextManager[Lock]:
        """Hold the environment for HOLDER; IMAGE is one that the runtime can run. Raises `errors.LockHeld`."""

    def held_by(self) -> Holder | None:
        """Return who holds the environment, since when and in which run; None when nobody does."""

    def read(self, lock: Lock | None = None) -> record.Record:
        """Return the environment's record; through LOCK where it is held."""

    def write(self, lock: Lock, value: record.Record) -> None:
        """Make VALUE the environment's record; a reader sees it whole or not at all."""

    def render(self, manifest: Manifest) -> str:
        """Return what `apply` takes for MANIFEST's release; equal input makes equal bytes."""

    def is_applied(self, rendered: str) -> bool:
        """Say whether what runs is what `apply` would make of RENDERED, so that it would change nothing."""

    def difference(self, rendered: str) -> str:
        """Return, as a diff, what `apply` of RENDERED would change; empty where the runtime cannot tell."""

    def rehearse(self, rendered: str) -> None:
        """Raise why the runtime would not take RENDERED, as far as it can tell; changes nothing."""

    def apply(
        self,
        lock: Lock,
        manifest: Manifest,
        rendered: str,
        *,
        recreate: bool = False,
        answered: Collection[str] | None = None,
    ) -> None:
        """Have the runtime run RENDERED, the release of MANIFEST; anew in any case when RECREATE.

        Where the runtime rolls, one replica after the other, it returns when that is done; those that were replaced
        may still be about to go. Where new replicas are proven before they get requests, those that were proven before
        have to answer the extra paths that they ANSWERED then.
        """

    def retire(self, lock: Lock) -> None:
        """End the replicas that the last `apply` replaced, once the new ones are proven."""

    def replicas(self) -> Sequence[Replica]:
        """Return what the runtime says runs here."""

    def ask(self, manifest: Manifest) -> Round:
        """Ask every replica from inside, and the public way, once."""

    @property
    def way_in(self) -> str:
        """What has the public way and sends requests to the replicas, for people; empty if nothing of ours does."""

    def logs(self, lines: int, *, follow: bool = False, front: bool = False) -> str:
        """Return the last LINES lines that each replica wrote; with FOLLOW, pass on what comes until interrupted.

        With FRONT, those of what stands before the replicas.
        """

    def any_image(self) -> str:
        """Return an image that the runtime holds and that can hold the lock; empty when there is none."""

    def forget(self, unwanted: Callable[[], Mapping[str, str]]) -> Sequence[str]:
        """Have the runtime drop what it holds of the releases that UNWANTED gives, and return what it dropped.

        Each comes with its image's digest; an empty one is of an image that stays. A runtime that drops by itself does
        not ask for them.

        What anything uses stays; nothing is deleted from a registry.
        """

    def down(self, lock: Lock) -> None:
        """Stop and remove what runs; volumes and the record stay."""


def connect(project: config.Project, name: str) -> Environment:
    """Return the environment that deploy.toml calls NAME.

    Raises:
        errors.ConfigInvalid: there is none.
    """
    if isinstance(project.environment(name), config.Kubernetes):
        from selfdeploy.environments.kubernetes.environment import Kubernetes  # noqa: PLC0415 -- where it is needed

        return Kubernetes(project, name)
    from selfdeploy.environments.compose import Compose  # noqa: PLC0415 -- python-on-whales loads where it is needed

    return Compose(project, name)
