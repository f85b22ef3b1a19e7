"""Checks that fail a doomed release before minutes are spent on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from selfdeploy import provenance, source, trust
from selfdeploy.build import builders
from selfdeploy.build.assembly import Assembly
from selfdeploy.environments import Environment, fitness
from selfdeploy.environments.queue import Queue
from selfdeploy.gates import keeping
from selfdeploy.rollout import admission


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """The checks before a release: made again if FRESH, or of FOREIGN, an image built elsewhere."""

    assembly: Assembly
    environments: Sequence[Environment]
    fresh: bool
    foreign: str

    @cached_property
    def _is_made(self) -> bool:
        return self.assembly.on_record(fresh=self.fresh, foreign=self.foreign) is not None

    def refuse_unfit(self, queue: Queue) -> None:
        """Raise if the checkout, the disk or an environment is unfit, or if one is held and QUEUE does not wait."""
        source.refuse_dirty(self.assembly.revision)
        fitness.refuse_full(self.assembly.project.root)
        for environment in self.environments:
            environment.refuse_unfit()
            queue.refuse_held(environment)

    def refuse_unready(self) -> None:
        """Raise if the registry refuses our pushes, or if a builder is needed and cannot build."""
        self.assembly.store.may_push()
        if not self.foreign and not self._is_made:
            self.assembly.images.builder().refuse_unready()

    def foresee(self, *, older: bool) -> None:
        """Raise if an unmade release would be refused even after its gates pass; OLDER allows an older revision.

        Each check is repeated later: the image's with the gated tree, an environment's under its lock. A recorded
        release gets there in a moment, so that only its FOREIGN image is checked here.
        """
        if self.foreign:
            self.assembly.foreign(self.foreign)
        if self._is_made:
            return
        project = self.assembly.project
        last = keeping.read_sizes(project.work / "trees")
        fitness.refuse_full(project.root, fitness.need(self.assembly.outline.size, last))
        run = provenance.read_run()
        for environment in self.environments:
            trust.require_ours(project, environment.name)
            admission.foresee(environment, self.assembly.revision.commit, run.authority if run else "", older=older)
        if not self.foreign and builders.wants_base(self.assembly.project):
            self.assembly.images.refuse_unfit_base()
