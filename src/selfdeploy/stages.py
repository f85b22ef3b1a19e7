"""The stages of a release, each of which finds its result in reality or makes it."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from selfdeploy import (
    admission,
    ages,
    cancellation,
    config,
    errors,
    manifest,
    plan,
    protection,
    provenance,
    proving,
    rollout,
)
from selfdeploy.assembly import Assembly, Release
from selfdeploy.environments import Environment, Lock
from selfdeploy.environments.queue import Queue


def redefined(project: config.Project) -> str:
    """Return the end of the line of the gates: which of the contract's gates PROJECT redefines."""
    return "".join(f"; {name}: {config.REDEFINED}" for name in project.gates.redefined)


@dataclass(kw_only=True)
class Gates:
    """The gates have passed on the revision; a release on record says so, or the gated tree itself."""

    assembly: Assembly
    fresh: bool = False
    name: str = "gates"

    def find(self) -> plan.Found | plan.Missing:
        """Look for a record of the release, or else for the gated tree."""
        revision = self.assembly.revision.commit[:12]
        note = redefined(self.assembly.project)
        if not self.fresh and self.assembly.recorded_here():
            return plan.Found(why=f"passed on {revision}, on record{note}")
        found = self.assembly.find_gated()
        if self.fresh or isinstance(found, errors.SelfdeployError):
            why = "" if self.fresh else str(found).removeprefix(f"{self.name}: ")
            return plan.Missing(why=(why or "asked to run them again") + note)
        return plan.Found(why=f"passed on {revision}, tree {found.digest[:19]}{note}")

    def make(self) -> None:
        """Run them."""
        self.assembly.run_gates(fresh=self.fresh)
        self.fresh = False


@dataclass(kw_only=True)
class Image:
    """The registry has the image of the gated tree; FOREIGN is one that somebody else built.

    RUNNING are releases of which environments have the manifest and the registry the image, though not the record.
    """

    assembly: Assembly
    fresh: bool = False
    foreign: str = ""
    running: Sequence[manifest.Manifest] = ()
    name: str = "image"
    digest: str = field(default="", init=False)

    def find(self) -> plan.Found | plan.Missing:
        """Look for a record of the release, or else for the image of the gated tree."""
        recorded = self.assembly.on_record(fresh=self.fresh, foreign=self.foreign)
        if recorded:
            return self._found(recorded.manifest.image.digest)
        gated = self.assembly.find_gated()
        if isinstance(gated, errors.SelfdeployError):
            return plan.Missing(why="there is no gated tree to build it from")
        image = self.assembly.image(gated)
        if image is None or (self.foreign and not self.foreign.endswith(f"@{image.digest}")):
            return plan.Missing(why=f"the registry has none of tree {gated.digest[:19]}")
        self.assembly.check(gated, image)
        return self._found(image.digest)

    def _found(self, digest: str) -> plan.Found:
        self.digest = digest
        return plan.Found(why=digest)

    def make(self) -> None:
        """Build and push it, or take the one that somebody else built, or that is released already and lost its record.

        The latter counts as a record does: also where the Dockerfile is another one by now.
        """
        gated = self.assembly.require_gated()
        if self.foreign:
            self.assembly.adopt(gated, self.foreign)
            return
        for release in () if self.fresh else self.running:
            if self.assembly.lost_record_of(release):
                with contextlib.suppress(errors.ImageMismatch, errors.ImageGone):
                    self.assembly.adopt(gated, release.image.reference)
                    return
        self.assembly.build(gated)


@dataclass(kw_only=True)
class Manifest:
    """The registry has the manifest and the evidence on record beside the image, and tags that keep all of it."""

    assembly: Assembly
    fresh: bool = False
    foreign: str = ""
    name: str = "manifest"

    def find(self) -> plan.Found | plan.Missing:
        """Look for the record."""
        recorded = self.assembly.on_record(fresh=self.fresh, foreign=self.foreign)
        if recorded is None:
            commit = self.assembly.revision.commit
            why = f"the registry has no record of {commit[:12]}, made as deploy.toml says"
            return plan.Missing(why=self.assembly.lost.get(commit, why))
        if tags := protection.missing(self.assembly.store, recorded.manifest):
            return plan.Missing(why=f"on record, and {protection.describe(tags)}")
        return plan.Found(why=recorded.manifest.release)

    def make(self) -> None:
        """Write the record, or put back the tags that keep it."""
        if recorded := self.assembly.on_record(fresh=self.fresh, foreign=self.foreign):
            protection.protect(self.assembly.store, recorded.manifest)
            return
        gated = self.assembly.require_gated()
        image = self.assembly.image(gated)
        if image is None:
            raise errors.BuildFailed("the registry has no image of the gated tree", "build it: inv build")
        self.assembly.write_record(gated, image, ages.now())
        self.fresh = False


@dataclass(kw_only=True)
class Glance:
    """An environment, asked once and not locked: what a plan shows."""

    environment: Environment
    release: Release | None

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    def find(self) -> plan.Found | plan.Missing:
        """Look whether it answers as the release."""
        if self.release is None:
            return plan.Missing(why=f"there is no release to run yet; {self.environment.continuity}")
        found = rollout.glance(self.environment, self.release.manifest)
        if isinstance(found, plan.Missing):
            return plan.Missing(why=f"{found.why}; {self.environment.continuity}", diff=found.diff)
        return found


@dataclass(kw_only=True)
class Prove:
    """An environment runs the release, proven; its lock is held until HELD is closed."""

    environment: Environment
    release: Release
    held: contextlib.ExitStack
    holder: provenance.Holder
    queue: Queue = field(default_factory=Queue)
    proofs: list[proving.Proof] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    def find(self) -> plan.Found | plan.Missing:
        """Prove it; what is not proven is an error here, for nothing is to be changed."""
        if not self._proven():
            lock, wanted = self.take_lock(), self.release.manifest
            admission.refuse_on_hold(self.environment, self.environment.read(lock), wanted.image.digest)
            self.proofs.append(proving.prove(self.environment, lock, wanted))
        return self._found()

    def make(self) -> None:
        """Do nothing: what is not proven has been refused."""

    def take_lock(self) -> Lock:
        """Return the environment's lock, held from now on; the engine gets the image first, which the lock runs."""
        image = self.release.manifest.image.reference
        self.environment.fetch(image)
        return self.held.enter_context(self.queue.hold(self.environment, image, self.holder))

    def _proven(self) -> Sequence[proving.Proof]:
        return [proof for proof in self.proofs if proof.environment == self.name]

    def _found(self) -> plan.Found:
        rounds = self._proven()[0].rounds
        return plan.Found(why=f"{self.release.manifest.source.revision[:12]} answers, {rounds}")


@dataclass(kw_only=True)
class Settle(Prove):
    """As `Prove`, and what does not run the release yet is made to; PROOFS are those of what comes before it."""

    protect: Callable[[], None]
    tell: Callable[[str], None]
    older: bool = False
    lock: Lock | None = field(default=None, init=False)

    def find(self) -> plan.Found | plan.Missing:
        """Take the lock, and look whether it runs the release already."""
        if self._proven():
            return self._found()
        self.lock = self.take_lock()
        proof = rollout.find(self.environment, self.lock, self.release.manifest)
        if isinstance(proof, str):
            return plan.Missing(why=proof)
        self.proofs.append(proof)
        return self._found()

    def make(self) -> None:
        """Roll the release out, or put back what ran."""
        if self.lock is None:
            raise errors.LockLost(f"{self.name}: not held", "inv release")
        if self.proofs:  # a promotion: what it brings to the next one must not go away
            self.protect()
        for line in rollout.describe_way(
            self.environment, self.environment.read(self.lock), self.release.manifest.source.revision
        ):
            self.tell(line)
        with cancellation.ending(self.environment, self.lock, self.holder):
            made = rollout.settle(self.environment, self.lock, self.release, self.proofs, self.holder, older=self.older)
        self.proofs.append(made)
