"""The plan of a release: stages done, to do or blocked, and new commits; changes nothing."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from selfdeploy import config, environments, errors, plan, provenance, source, trust
from selfdeploy.build import local_registry
from selfdeploy.build.assembly import Assembly, Release
from selfdeploy.environments import Environment, fitness
from selfdeploy.environments.queue import Queue
from selfdeploy.gates import keeping
from selfdeploy.release import shortfall, stages
from selfdeploy.rollout import admission
from selfdeploy.source import commits

AWAY = (errors.RegistryUnreachable, errors.RegistryDenied)
"""Errors of a registry that cannot be asked; its other errors end the plan."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The plan of a release of ASSEMBLY's revision: made again if FRESH, or of the image FOREIGN."""

    assembly: Assembly
    queue: Queue = field(default_factory=Queue)
    fresh: bool = False
    foreign: str = ""
    older: bool = False
    given: Release | None = None
    """The release to plan for, in place of the recorded one of ASSEMBLY's revision."""

    def lines(self, names: Sequence[str]) -> list[plan.Line]:
        """Return one line per stage up to the manifest, then one per environment of NAMES."""
        clean = self._source()
        try:
            self._release  # noqa: B018 -- asks the registry
        except AWAY as exc:
            return [clean, *self._without_registry(exc, names)]
        return [clean, *self._made(), *(self.environment(environments.connect(self._project, name)) for name in names)]

    @property
    def _project(self) -> config.Project:
        return self.assembly.project

    @cached_property
    def _release(self) -> Release | None:
        return self.given or self.assembly.on_record(fresh=self.fresh, foreign=self.foreign)

    @property
    def _revision(self) -> str:
        return self._release.manifest.source.revision if self._release else self.assembly.revision.commit

    def _source(self) -> plan.Line:
        revision = self.assembly.revision
        line = plan.Line(stage="source", found=True, why=f"clean at {revision.commit[:12]}")
        try:
            source.refuse_dirty(revision)
            empty = "".join(f"; {name}: empty, as in a clone" for name in self.assembly.outline.empty)
        except (errors.CheckoutDirty, errors.SourceUnusable) as exc:
            return dataclasses.replace(line, found=False, blocked=exc)
        warnings = tuple(f"{name}: not committed, and counts in this release" for name in self.assembly.uncommitted)
        return dataclasses.replace(line, why=f"{line.why}{empty}", warnings=warnings)

    def _without_registry(self, why: errors.SelfdeployError, names: Sequence[str]) -> list[plan.Line]:
        started = isinstance(why, errors.RegistryUnreachable) and local_registry.is_wanted(self._project)
        told = "the local registry does not run yet: a release starts it" if started else why.message
        gates = told + stages.redefined(self._project)
        lines = {"gates": gates, **dict.fromkeys(("image", "manifest", *names), told)}
        return [
            plan.Line(stage=name, found=False, why=text, blocked=None if started else why)
            for name, text in lines.items()
        ]

    def _made(self) -> list[plan.Line]:
        """Return the lines of the gates, the image and the manifest."""
        assembly, common = self.assembly, {"fresh": self.fresh, "foreign": self.foreign}
        gates, image, record = plan.look(
            (
                stages.Gates(assembly=assembly, fresh=self.fresh),
                stages.Image(assembly=assembly, **common),  # type: ignore[arg-type]
                stages.Manifest(assembly=assembly, **common),  # type: ignore[arg-type]
            )
        )
        return [
            _blocked_by(self._refuse_full, gates),
            _blocked_by(self._refuse_unready, image),
            _blocked_by(assembly.store.may_push, record),
        ]

    def _refuse_full(self) -> None:
        project = self._project
        last = keeping.read_sizes(project.work / "trees")
        fitness.refuse_full(project.root, fitness.need(self.assembly.outline.size, last))

    def _refuse_unready(self) -> None:
        if not self.foreign:
            self.assembly.images.builder().refuse_unready()

    def environment(self, environment: Environment) -> plan.Line:
        """Return the line of ENVIRONMENT, with the blocking error, new commits and warnings."""
        (line,) = plan.look([stages.Glance(environment=environment, release=self._release)])
        try:
            if self._release:
                admission.refuse_unsigned(environment, self._release)
        except errors.Unsigned as exc:
            return dataclasses.replace(line, found=False, why=exc.message, blocked=exc)
        line = dataclasses.replace(line, warnings=shortfall.warn(self.assembly, environment))
        if line.found:
            return line
        line = line if line.blocked else _blocked_by(lambda: self._refuse(environment), line)
        return dataclasses.replace(line, commits=self._commits(environment))

    def _refuse(self, environment: Environment) -> None:
        environment.refuse_unfit()
        self.queue.refuse_held(environment)
        run = provenance.read_run()
        made_here = run.authority if run else ""
        authority = provenance.authority(self._release.evidence) if self._release else made_here
        if not self._release:
            trust.require_ours(self._project, environment.name)
        admission.foresee(environment, self._revision, authority, older=self.older)

    def _commits(self, environment: Environment) -> tuple[str, ...]:
        try:
            proven = environment.read().proven
        except errors.SelfdeployError:
            return ()
        checkout = self._project.source_path()
        return commits.between(checkout, proven[0].revision, self._revision) if proven else ()


def _blocked_by(refuse: Callable[[], None], line: plan.Line) -> plan.Line:
    """Return LINE, blocked by the error that REFUSE raises, unless it is done already."""
    if line.found:
        return line
    try:
        refuse()
    except errors.SelfdeployError as exc:
        return dataclasses.replace(line, blocked=exc)
    return line
