"""Releases: planning and making their stages, all of them or up to one."""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from selfdeploy import ages, config, environments, errors, plan, provenance, source, tree, trust
from selfdeploy.build import bom, local_registry, protection
from selfdeploy.build.assembly import Assembly, Release
from selfdeploy.config import deploy_toml
from selfdeploy.console import Console
from selfdeploy.environments import Lock, queue
from selfdeploy.environments.queue import Queue
from selfdeploy.gates import keeping
from selfdeploy.manifest import Manifest
from selfdeploy.plan import Line
from selfdeploy.probes import probe
from selfdeploy.release import report, restoring, stages, upkeep
from selfdeploy.release.outlook import Outlook
from selfdeploy.release.preflight import Preflight
from selfdeploy.render import bundle
from selfdeploy.rollout import admission, proving, retention
from selfdeploy.trust import bundle as signed_bundle

BUNDLE = "sf-release-bundle.json"
"""Name of a release's bundle in dist/, if no other is given."""


@dataclass(frozen=True)
class Releasing:
    """The release commands of one project, with progress on CONSOLE."""

    project: config.Project
    console: Console
    queue: Queue = field(default_factory=Queue)
    commits: dict[str, list[str]] = field(default_factory=dict)
    """The commits rolled out to each environment, as lines."""
    running: list[Manifest] = field(default_factory=list)
    """The current and previous releases of the environments, if the registry has all of their images."""

    @cached_property
    def assembly(self) -> Assembly:
        """The assembly of the project's release."""
        return Assembly(self.project, self.console.note, self.console.doing)

    def choose(self, name: str = "", revision: str = "") -> Release | None:
        """Return the recorded release of NAME (REPOSITORY@sha256:...), of REVISION, or else of HEAD.

        None if HEAD does not have a recorded release made as deploy.toml says now.

        Raises:
            errors.NotReleased: NAME or REVISION does not have a recorded release.
        """
        if not name and not revision:
            return self.assembly.recorded_here()
        wanted = self.assembly.digest(name) if name else self._resolve(revision)
        found = self.assembly.recorded(wanted)
        if found is None:
            what = f"no release of {name or revision} on record{self.assembly.describe_loss(wanted)}"
            raise errors.NotReleased(f"{self.project.image.repository}: {what}", "inv release makes it")
        return found

    def _resolve(self, revision: str) -> str:
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        return source.resolve(self.project.source_path(), revision)

    def require(self, name: str = "", revision: str = "") -> Release:
        """Return the release of `choose`.

        Raises:
            errors.NotReleased: there is no recorded release.
            errors.Unsigned: there is one of HEAD, and an environment would refuse it for its signature.
        """
        found = self.choose(name, revision)
        if found is None:
            commit = self.assembly.revision.commit
            self._refuse_unsigned(self.assembly.recorded(commit))
            what = f"no release of {commit} on record{self.assembly.describe_loss(commit)}"
            hint = "inv release makes it, inv plan shows what is missing"
            raise errors.NotReleased(f"{self.project.image.repository}: {what}", hint)
        return found

    def plan(
        self, names: Sequence[str] | None = None, *, fresh: bool = False, foreign: str = "", older: bool = False
    ) -> list[Line]:
        """Return one line per stage (done, to do or blocked), then one per environment of NAMES, or of all.

        Changes nothing. The flags are those of `converge`.
        """
        outlook = Outlook(assembly=self.assembly, queue=self.queue, fresh=fresh, foreign=foreign, older=older)
        return outlook.lines(self.names() if names is None else names)

    def plan_up_to(self, stage: str, *, fresh: bool = False, foreign: str = "") -> list[Line]:
        """Return the lines of `plan` up to STAGE: `gates`, `image` or `manifest`."""
        lines = self.plan([], fresh=fresh, foreign=foreign)
        return lines[: [line.stage for line in lines].index(stage) + 1]

    def foretell(self, name: str, release: Release, *, older: bool, promoting: bool) -> list[Line]:
        """Return the plan of `rollout` of RELEASE to the environment NAME; changes nothing.

        When PROMOTING, the environments before it come first.
        """
        outlook = Outlook(assembly=self.assembly, queue=self.queue, older=older, given=release)
        before = self.project.before(name) if promoting else ()
        return [outlook.environment(environments.connect(self.project, each)) for each in (*before, name)]

    def preflight(self, names: Sequence[str], *, fresh: bool, foreign: str, older: bool) -> None:
        """Raise the error that a release to the environments NAMES would meet, before minutes are spent on it.

        This starts the local registry if it is wanted.
        """
        reachable = [environments.connect(self.project, name) for name in names]
        ahead = Preflight(assembly=self.assembly, environments=reachable, fresh=fresh, foreign=foreign)
        ahead.refuse_unfit(self.queue)
        self.ready_registry()
        ahead.refuse_unready()
        with self._leaving_none_cut_off(names):
            ahead.foresee(older=older)

    def ready_registry(self) -> None:
        """Check that the registry answers; start the local one first if it is configured and does not run."""
        if local_registry.is_wanted(self.project):
            local_registry.ensure(self.project, self.console.note)
            self.console.did("registry")
        self.assembly.store.ping()

    def foretell_registry(self) -> tuple[str, dict[str, object]]:
        """Return whether the registry answers or would be started here, as text and as data."""
        repository, starts = self.project.image.repository, local_registry.is_wanted(self.project)
        if not starts:
            self.assembly.store.ping()
        text = f"{'would start the local registry' if starts else 'answers'}: {repository}"
        return text, {"repository": repository, "starts": starts, "dry": True}

    def foretell_base(self) -> tuple[str, dict[str, object]]:
        """Return the base image, or the name of the one to build, as text and as data."""
        registry, told = self.foretell_registry()
        found = "" if told["starts"] else self.assembly.images.find_base()
        lines = [*([registry] if told["starts"] else []), found or f"would build {self.assembly.images.own_base}"]
        return "\n".join(lines), {"base": found or None, "dry": True}

    def base(self) -> str:
        """Return the base image by digest; build it if the registry does not have it."""
        self.ready_registry()
        images = self.assembly.images
        if not images.find_base():
            self.console.did("base")
        return images.base()

    def assemble(self, *, fresh: bool = False, foreign: str = "") -> Release:
        """Return the release of HEAD, found in the registry or made by its stages: gates, image, manifest."""
        source.refuse_dirty(self.assembly.revision)
        wanted: list[plan.Stage] = [
            stages.Gates(assembly=self.assembly, fresh=fresh),
            stages.Image(assembly=self.assembly, fresh=fresh, foreign=foreign, running=self.running),
            stages.Manifest(assembly=self.assembly, fresh=fresh, foreign=foreign),
        ]
        plan.converge(wanted, self.console)
        return self.record_here(self.require())

    def gate(self, *, fresh: bool, recorded: bool) -> tuple[str, dict[str, object]]:
        """Run the gates on HEAD unless they have passed; return their tree's digest, as text and as data.

        With FRESH, run them in any case. With RECORDED, run nothing, and return the recorded release's id or an empty
        text.
        """
        if recorded:
            return self._look()
        missing = fresh or isinstance(self.assembly.find_gated(), errors.SelfdeployError)
        gated = self.assembly.run_gates(fresh=fresh)
        if missing:
            self.console.did("gates")
        return gated.digest, {"tree": gated.digest, "revision": gated.revision.commit}

    def _look(self) -> tuple[str, dict[str, object]]:
        """Return the id of HEAD's recorded release, as text and as data; if there is none, note why."""
        commit, found = self.assembly.revision.commit, None
        try:
            found = self.assembly.recorded_here()
            why = f"on record: {commit}" if found else f"no release of {commit} on record as deploy.toml has it now"
        except errors.RegistryUnreachable as exc:
            why = exc.message
        self.console.note(f"{why}{'' if found else self.assembly.describe_loss(commit)}")
        release = found.manifest.release if found else ""
        return release, {"release": release or None, "revision": commit}

    def build(self, foreign: str = "", *, fresh: bool = False, twice: bool = False) -> str:
        """Return the gated tree's image by digest: found, built and pushed, or FOREIGN, an image built elsewhere.

        With FRESH, ignore the revision's recorded release, since it may be of another gated tree. With TWICE, build the
        tree again without a cache, and compare the digests.

        Raises:
            errors.GatesIncomplete, errors.TreeChanged: there is no gated tree to build from.
            errors.NotReproducible: the second image differs.
        """
        source.refuse_dirty(self.assembly.revision)
        self.ready_registry()
        stage = stages.Image(assembly=self.assembly, foreign=foreign, fresh=fresh)
        plan.converge([stage], self.console)
        if twice:
            self._build_again(stage.digest)
        return f"{self.project.image.repository}@{stage.digest}"

    def _build_again(self, digest: str) -> None:
        assembly = self.assembly
        with self.console.stage("again"):
            image, gated = assembly.store.image(digest), assembly.require_gated()
            if image is None:
                raise errors.BuildFailed(f"{digest}: the registry has it no longer", "inv build")
            assembly.images.build_again(gated, image)
            self.console.note("built without a cache, from another folder: the same digest")

    def manifest(self, name: str = "", revision: str = "", *, foreign: str = "", fresh: bool = False) -> Release:
        """Write the manifest of HEAD's release, or of the one found by `choose`, to dist/; return the release.

        HEAD's release is recorded first if it has no record, if FRESH, or if the record is not of FOREIGN, an image
        built elsewhere and checked by `build`. The new record is of the local gated tree.
        """
        self.ready_registry()
        if not name and not revision:
            source.refuse_dirty(self.assembly.revision)
            plan.converge([stages.Manifest(assembly=self.assembly, fresh=fresh, foreign=foreign)], self.console)
        release = self.require(name, revision)
        self._refuse_unsigned(release)
        made = self.record_here(release)
        for gate in made.manifest.redefined:
            self.console.note(f"{gate}: {config.REDEFINED}")
        return made

    def record_here(self, release: Release) -> Release:
        """Write the manifest of RELEASE to dist/sf-release-manifest.json, and return RELEASE."""
        tree.write_whole(self.project.manifest_path, release.manifest.bytes)
        return release

    def converge(self, *, to: str = "", fresh: bool = False, foreign: str = "", older: bool = False) -> Release:
        """Release HEAD to all environments, or up to TO; make only the missing stages."""
        names = self.names(to)
        with self.console.stage("preflight"):
            self.preflight(names, fresh=fresh, foreign=foreign, older=older)
            if not fresh and not foreign and self.assembly.recorded_here() is None:
                self.running[:] = self._restore(dict.fromkeys(names))
        with self._leaving_none_cut_off(names):
            release = self.assemble(fresh=fresh, foreign=foreign)
            self._settle(names, release, older=older)
        if not self.console.changed:
            self.console.note("nothing to do")
        return release

    @contextlib.contextmanager
    def _leaving_none_cut_off(self, names: Sequence[str]) -> Iterator[None]:
        """If the block fails, undo earlier attempts in NAMES that were cut off, and add the outcome to the error.

        Nothing is undone if a lock is held or lost: its holder reaches the other environments in time. Nor if a runtime
        does not answer.
        """
        holder = dataclasses.replace(self._holder(), since=ages.now())
        try:
            yield
        except (errors.LockHeld, errors.LockLost, errors.EngineUnreachable, errors.ClusterUnreachable):
            raise
        except errors.SelfdeployError as exc:
            why = exc.message.splitlines()[0]  # noted at once, in case an interrupt replaces the error
            for name in names:
                try:
                    told = upkeep.undo(self.project, name, holder, lambda what: self.console.note(f"{why}; {what}"))
                except errors.SelfdeployError as other:
                    told = f"{name}: nothing that may have been cut off there is undone: {other.message}"
                exc.message += f"\n{told}" if told else ""
            raise

    def _holder(self) -> provenance.Holder:
        return provenance.read_holder(took=self.console.took)

    def names(self, to: str = "") -> list[str]:
        """Return the environments' names in order, up to TO or all."""
        names = list(self.project.environments)
        if to:
            self.project.environment(to)
            names = names[: names.index(to) + 1]
        return names

    def _settle(self, names: Sequence[str], release: Release, *, older: bool, proved: Sequence[str] = ()) -> None:
        """Prove RELEASE in PROVED, then roll it out to NAMES, in order; hold every lock to the end."""
        proofs: list[proving.Proof] = []
        with contextlib.ExitStack() as held:
            protect = functools.partial(protection.protect, self.assembly.store, release.manifest)
            common: dict[str, Any] = {
                "release": release,
                "held": held,
                "holder": dataclasses.replace(self._holder(), uncommitted=tuple(self.assembly.uncommitted)),
                "queue": self.queue,
            }
            before = [
                stages.Prove(environment=environments.connect(self.project, name), proofs=proofs, **common)
                for name in proved
            ]
            wanted = [
                stages.Settle(
                    environment=environments.connect(self.project, name),
                    proofs=proofs,
                    older=older,
                    protect=protect,
                    tell=functools.partial(self._hear_of_commits, name),
                    **common,
                )
                for name in names
            ]
            with probe.telling(self.console.waits):
                plan.converge([*before, *wanted], self.console)
            locks = {proof.environment: proof.lock for proof in proofs}
            self._restore(locks)
            retention.prune(self.project, locks, self.console.note)
            tree.sweep(self.project.work)
            keeping.tidy_all(self.project.work / "trees")

    def _restore(self, locks: Mapping[str, Lock | None]) -> list[Manifest]:
        """Restore lost images and tags of the environments in LOCKS; return the releases with complete images."""
        lost = restoring.Restoring(project=self.project, store=self.assembly.store, tell=self.console.note)
        whole, restored = lost.restore(locks)
        if restored:
            self.console.did("registry")
        return whole

    def _hear_of_commits(self, name: str, line: str) -> None:
        self.commits.setdefault(name, []).append(line)
        self.console.note(line)

    def rollout(self, name: str, release: Release, *, older: bool = False, promoting: bool = False) -> None:
        """Roll RELEASE out to NAME; when PROMOTING, first prove it in every environment before NAME.

        Raises:
            errors.NotProven: an environment before NAME does not prove RELEASE, or was not asked (not PROMOTING).
        """
        environment = environments.connect(self.project, name)
        environment.refuse_unfit()
        self.queue.refuse_held(environment)
        if promoting and protection.missing(self.assembly.store, release.manifest):
            protection.protect(self.assembly.store, release.manifest)
        with self._leaving_none_cut_off([name]):
            self._settle([name], release, older=older, proved=self.project.before(name) if promoting else ())

    def probe(self, name: str, wanted: str = "", revision: str = "") -> tuple[str, dict[str, object]]:
        """Probe NAME, without its lock, until it settles on the release of WANTED or REVISION; return a summary.

        WANTED and REVISION are those of `choose`. `vega`, the shared server, has to run the live checkout as it is.

        Raises:
            errors.NotProven: it runs something else, or does not settle.
        """
        if name == "vega" and name not in self.project.environments:
            from selfdeploy.vega.server import Vega  # noqa: PLC0415 -- loads only where it is asked for

            return Vega(self.project, self.console).probe()
        release = self.require(wanted, revision)
        environment = environments.connect(self.project, name)
        with self.console.stage(name), probe.telling(self.console.waits):
            admission.refuse_unsigned(environment, release)
            admission.probe_release(environment, release.manifest)
        return self.summary([name], release)

    def pack(
        self, output: str, wanted: str = "", revision: str = "", *, dry: bool = False
    ) -> tuple[str, dict[str, object]]:
        """Write the release that `choose` finds to OUTPUT or dist/, as a bundle; return its contents, also as data.

        When DRY, nothing is written.
        """
        release = self.require(wanted, revision)
        file, told = Path(output) if output else self.project.manifest_path.with_name(BUNDLE), release.manifest
        if not release.envelopes:
            self.console.note(f"{told.source.revision}: not signed: its bundle proves nothing")
        if not dry:
            tree.write_whole(file, signed_bundle.encode(told.bytes, release.evidence_bytes, release.envelopes))
            self.console.did(str(file))
        lines = [
            f"revision  {told.source.revision}",
            f"release   {told.release}",
            f"image     {told.image.reference}",
            f"{'would be' if dry else 'bundle  '}  {file}",
        ]
        data = {"revision": told.source.revision, "release": told.release, "image": told.image.reference}
        return "\n".join(lines), {**data, "bundle": str(file), "envelopes": len(release.envelopes), "dry": dry}

    def verify(self, wanted: str = "", revision: str = "", file: str | None = None) -> tuple[str, dict[str, object]]:
        """Return the signers of a release, and the environments that accept it; also as data.

        It is the release that `choose` finds, or the one in the bundle FILE: that asks no registry.

        Raises:
            errors.ConfigInvalid: deploy.toml has no keys to verify with, or FILE comes with a name or a revision.
            errors.Unsigned: none of them signed it.
            errors.SignatureInvalid: a signature is not valid, or is of another release.
        """
        if file is not None and (wanted or revision):
            flag = "--release" if wanted else "--revision"
            raise errors.ConfigInvalid(f"--bundle and {flag}: a bundle is of one release", "pass one of them")
        if not trust.is_asked(self.project):
            raise errors.ConfigInvalid(
                "deploy.toml: trust.keys: no key to verify with", "docs/trust.md says how to set it up"
            )
        release = self.require(wanted, revision) if file is None else self.assembly.unpack(Path(file))
        if not release.signed.by:
            raise self._unsigned(release, trust.describe(release.signed))
        accepted = [name for name in self.names() if set(self.project.signed_by(name)) & set(release.signed.by)]
        told = release.manifest
        lines = [
            f"revision  {told.source.revision}",
            f"release   {told.release}",
            f"image     {told.image.reference}",
            *(f"signed    {name}" for name in (*release.signed.by, *release.signed.revoked)),
            f"sbom      {bom.count(release.signed.sbom) if release.signed.sbom else 'none'}",
            f"accepted  {', '.join(accepted) or 'by no environment'}",
        ]
        data = {"revision": told.source.revision, "release": told.release, "image": told.image.reference}
        return "\n".join(lines), {**data, "signed": list(release.signed.by), "accepted": accepted}

    def sbom(self) -> dict[str, Any]:
        """Return the SBOM (CycloneDX) of HEAD's release: the signed one on record, or else one of the gated tree here.

        Raises:
            errors.SbomUnusable: there is neither.
        """
        with contextlib.suppress(errors.RegistryUnreachable):
            found = self.assembly.recorded_here()
            if found and found.signed.sbom:
                return dict(found.signed.sbom)
        gated, image = self.assembly.find_gated(), None
        if isinstance(gated, errors.SelfdeployError):
            what = f"no SBOM of {self.assembly.revision.commit}: no signed release on record; {gated.message}"
            raise errors.SbomUnusable(what, gated.hint)
        with contextlib.suppress(errors.RegistryUnreachable):
            image = self.assembly.image(gated)
        if image is None:
            self.console.note("npm packages only: the registry does not have the image; inv build makes it")
        return self.assembly.sbom(gated, image)

    def _refuse_unsigned(self, release: Release | None) -> None:
        """Raise `errors.Unsigned` if an environment would refuse RELEASE for its signature."""
        if release and (why := trust.lacking(self.project, release.signed)):
            raise self._unsigned(release, why)

    def _unsigned(self, release: Release, why: str) -> errors.Unsigned:
        told = f"{self.project.image.repository}: the release of {release.manifest.source.revision} is {why}"
        return errors.Unsigned(told, "release it where the key is: docs/trust.md")

    def render(self, name: str, folder: Path | None, wanted: str = "", revision: str = "") -> list[str]:
        """Write the files of NAME for the release of WANTED or REVISION to FOLDER, and return their names.

        WANTED and REVISION are those of `choose`. Without a FOLDER nothing is written.
        """
        self.project.environment(name)
        release = self.require(wanted, revision)
        trust.require(self.project, name, release.signed, release.manifest.release)
        content = bundle.files(self.project, name, release.manifest)
        if folder is not None:
            bundle.write(folder, content)
        return list(content)

    def report(self) -> report.Report:
        """Return the report on HEAD's release and every environment; failures to ask are part of it."""
        return report.make(self.project, self.assembly.revision.commit, self.assembly.recorded_here, self.console.note)

    def summary(self, names: Sequence[str], release: Release) -> tuple[str, dict[str, object]]:
        """Return the closing summary, as text and as data: the release, its environments, the next command."""
        urls = {name: environments.connect(self.project, name).url for name in names}
        told = release.manifest
        lines = [f"revision  {told.source.revision}", f"release   {told.release}", f"image     {told.image.reference}"]
        came: list[str] = []
        for name, url in urls.items():
            lines.append(f"{name:<9} {url}  proven")
            if self.commits.get(name, came) != came:  # most releases bring the same commits to every environment
                came = self.commits[name]
                lines += [f"          {line}" for line in came]
        left = [name for name in self.project.environments if name not in self.names(names[-1])]
        lines.append(f"next      inv promote -e {left[0]}" if left else "next      inv status")
        data = {"revision": told.source.revision, "release": told.release, "image": told.image.reference}
        return "\n".join(lines), {**data, "environments": urls, "commits": self.commits}


def load(console: Console, *, source_path: str = "", start: Path | None = None, wait: str = "") -> Releasing:
    """Return the release commands of the project in START, or in the current folder.

    SOURCE_PATH replaces the configured `source.path`. WAIT is how long to wait for a held environment (`queue.parse`).
    """
    project = deploy_toml.load(start, source=source_path or None)
    return Releasing(project, console, queue.parse(wait, console.note))
