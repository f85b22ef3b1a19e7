"""What would keep a release from ending, raised before minutes are spent on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from selfdeploy import admission, builders, provenance, source
from selfdeploy.assembly import Assembly
from selfdeploy.environments import Environment, fitness
from selfdeploy.environments.queue import Queue
from selfdeploy.gates import keeping


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What is looked at before a release: one made anew when FRESH, and of the image FOREIGN where one is given."""

    assembly: Assembly
    environments: Sequence[Environment]
    fresh: bool
    foreign: str

    @cached_property
    def _is_made(self) -> bool:
        return self.assembly.on_record(fresh=self.fresh, foreign=self.foreign) is not None

    def refuse_unfit(self, queue: Queue) -> None:
        """Raise what is wrong with the checkout, the disk or an environment, or who holds one and is not waited for."""
        source.refuse_dirty(self.assembly.revision)
        fitness.refuse_full(self.assembly.project.root)
        for environment in self.environments:
            environment.refuse_unfit()
            queue.refuse_held(environment)

    def refuse_unready(self) -> None:
        """Raise why the registry takes nothing from us, or why the builder, if one is needed, cannot build."""
        self.assembly.store.may_push()
        if not self.foreign and not self._is_made:
            self.assembly.images.builder().refuse_unready()

    def foresee(self, *, older: bool) -> None:
        """Raise what a release that is yet to be made would be refused for, though its gates pass.

        All of it is looked at again where it counts: an image beside the gated tree, an environment under its lock.
        A release on record comes there in a moment, and is not looked at here.
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
            admission.foresee(environment, self.assembly.revision.commit, run.authority if run else "", older=older)
        if not self.foreign and builders.wants_base(self.assembly.project):
            self.assembly.images.refuse_unfit_base()
