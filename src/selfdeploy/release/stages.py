"""The stages of a release; each finds its result in reality or makes it."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from selfdeploy import ages, config, errors, manifest, plan, provenance
from selfdeploy.build import protection
from selfdeploy.build.assembly import Assembly, Release
from selfdeploy.environments import Environment, Lock
from selfdeploy.environments.queue import Queue
from selfdeploy.rollout import admission, cancellation, proving, settling


def redefined(project: config.Project) -> str:
    """Return the contract's gates that PROJECT redefines and the audit that is off, to append to the gates' line."""
    told = [f"{name}: {config.REDEFINED}" for name in project.gates.redefined]
    told += [] if project.gates.audit_signatures else [config.UNAUDITED]
    return "".join(f"; {each}" for each in told)


@dataclass(kw_only=True)
class Gates:
    """The gates have passed on the revision, by a recorded release or the gated tree itself."""

    assembly: Assembly
    fresh: bool = False
    name: str = "gates"

    def find(self) -> plan.Found | plan.Missing:
        """Look for the release's record, then for the gated tree."""
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
        """Run the gates."""
        self.assembly.run_gates(fresh=self.fresh)
        self.fresh = False


@dataclass(kw_only=True)
class Image:
    """The registry has the image of the gated tree, or FOREIGN, an image built elsewhere.

    RUNNING are the environments' releases with a complete image in the registry; their records may be lost.
    """

    assembly: Assembly
    fresh: bool = False
    foreign: str = ""
    running: Sequence[manifest.Manifest] = ()
    name: str = "image"
    digest: str = field(default="", init=False)

    def find(self) -> plan.Found | plan.Missing:
        """Look for the release's record, then for the image of the gated tree."""
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
        """Build and push the image, or adopt FOREIGN or the image of a running release without a record.

        Such a release counts as if it were recorded, even if the Dockerfile has changed since.
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
    """The registry has the manifest and the evidence on record beside the image, and tags to keep them all."""

    assembly: Assembly
    fresh: bool = False
    foreign: str = ""
    name: str = "manifest"

    def find(self) -> plan.Found | plan.Missing:
        """Look for the record and its tags."""
        recorded = self.assembly.on_record(fresh=self.fresh, foreign=self.foreign)
        if recorded is None:
            commit = self.assembly.revision.commit
            why = f"the registry has no record of {commit[:12]}, made as deploy.toml says"
            return plan.Missing(why=self.assembly.lost.get(commit, why))
        if tags := protection.missing(self.assembly.store, recorded.manifest):
            return plan.Missing(why=f"on record, and {protection.describe(tags)}")
        return plan.Found(why=recorded.manifest.release)

    def make(self) -> None:
        """Write the record, or restore its missing tags."""
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
    """An environment, asked once and without its lock, for a plan."""

    environment: Environment
    release: Release | None

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    def find(self) -> plan.Found | plan.Missing:
        """Ask the environment whether it answers as the release."""
        if self.release is None:
            return plan.Missing(why=f"there is no release to run yet; {self.environment.continuity}")
        found = settling.glance(self.environment, self.release.manifest)
        if isinstance(found, plan.Missing):
            return plan.Missing(why=f"{found.why}; {self.environment.continuity}", diff=found.diff)
        return found


@dataclass(kw_only=True)
class Prove:
    """An environment proves the release; its lock is held until HELD is closed."""

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
        """Prove the release, or raise: this stage must not change the environment."""
        if not self._proven():
            admission.refuse_unsigned(self.environment, self.release)
            lock, wanted = self.take_lock(), self.release.manifest
            admission.refuse_on_hold(self.environment, self.environment.read(lock), wanted.image.digest)
            self.proofs.append(proving.prove(self.environment, lock, wanted))
        return self._found()

    def make(self) -> None:
        """Do nothing: `find` proves the release or raises."""

    def take_lock(self) -> Lock:
        """Fetch the image, which the lock may need to run, then acquire and return the environment's lock."""
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
    """As `Prove`, but roll the release out if it does not run yet; PROOFS are of the environments before."""

    protect: Callable[[], None]
    tell: Callable[[str], None]
    older: bool = False
    lock: Lock | None = field(default=None, init=False)

    def find(self) -> plan.Found | plan.Missing:
        """Acquire the lock, and check whether the environment proves the release already."""
        if self._proven():
            return self._found()
        admission.refuse_unsigned(self.environment, self.release)
        self.lock = self.take_lock()
        proof = settling.find(self.environment, self.lock, self.release.manifest, self.release.signed.envelope)
        if isinstance(proof, str):
            return plan.Missing(why=proof)
        self.proofs.append(proof)
        return self._found()

    def make(self) -> None:
        """Roll the release out; if it fails, put back the last proven one."""
        if self.lock is None:
            raise errors.LockLost(f"{self.name}: not held", "inv release")
        if self.proofs:  # a promotion: a registry clean-up must not delete the release
            self.protect()
        for line in settling.describe_way(
            self.environment, self.environment.read(self.lock), self.release.manifest.source.revision
        ):
            self.tell(line)
        with cancellation.ending(self.environment, self.lock, self.holder):
            proof = settling.settle(
                self.environment, self.lock, self.release, self.proofs, self.holder, older=self.older
            )
        self.proofs.append(proof)
