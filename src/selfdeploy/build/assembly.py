"""The way from a revision to a recorded release: gated tree, image, manifest."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from selfdeploy import config, errors, manifest, process, provenance, registry, source, tree, trust
from selfdeploy.build import attestations, bom, builders, images, inspection, protection, recorded
from selfdeploy.gates import aside, receipt, runner
from selfdeploy.gates.room import NOX, Room
from selfdeploy.gates.watch import Watch
from selfdeploy.process import surroundings
from selfdeploy.source.outline import Outline
from selfdeploy.trust import bundle


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release's manifest, and the evidence recorded with it."""

    manifest: manifest.Manifest
    evidence: dict[str, Any]
    signed: trust.Signed = trust.NOBODY
    """Its signers; nobody where deploy.toml asks for no signature."""
    evidence_bytes: bytes = b""
    envelopes: tuple[bytes, ...] = ()
    """The signed statements, whoever signed them."""


def silent(_: str) -> None:
    """Ignore the line."""


@dataclass(frozen=True)
class Assembly:
    """One revision on its way into the registry.

    TELL receives lines of progress. DOING receives a function that describes the running gates.
    """

    project: config.Project
    tell: Callable[[str], None] = silent
    doing: Callable[[Callable[[], str]], None] = lambda _: None
    lost: dict[str, str] = field(default_factory=dict, repr=False)
    """Why a recorded release is incomplete, by revision or digest."""
    _known: dict[str, Release] = field(default_factory=dict, repr=False)
    _gated: dict[str, receipt.GatedTree] = field(default_factory=dict, repr=False)
    _checked: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict, repr=False)

    @cached_property
    def revision(self) -> source.Revision:
        """HEAD of the source checkout."""
        wanted = self.project.source
        return source.read(self.project.source_path(), wanted.repository, wanted.submodules)

    @cached_property
    def outline(self) -> Outline:
        """The revision's submodules, LFS pointers and size; refused if an export cannot hold them."""
        found = source.outline(self.revision)
        found.refuse(self.revision.submodules)
        return found

    @property
    def uncommitted(self) -> list[str]:
        """Uncommitted files of the project that affect a release, in deploy.toml, templates/ and docker/."""
        return source.uncommitted(self.project.root, ("deploy.toml", "templates", "docker"))

    @cached_property
    def store(self) -> registry.Registry:
        """The repository of the image and its record."""
        image = self.project.image
        return registry.connect(registry.Reference.parse(image.repository), insecure=image.insecure)

    # The release: a record in the registry is the commit point of gates, image and manifest.

    def recorded(self, name: str) -> Release | None:
        """Return the release recorded under NAME, a revision or a digest; None without a record.

        None also if the record or the image is incomplete: `lost` then has the reason.

        Raises:
            errors.SignatureInvalid: deploy.toml has keys, and a signature is not valid or is of another release.
            errors.RecordInvalid, errors.ManifestInvalid, errors.ImageMismatch: record, manifest and image do not agree.
        """
        try:
            found = recorded.read(self.store, self.project.image.repository, name)
        except errors.ImageGone as exc:
            self.lost[name] = exc.message
            return None
        if found is None:
            return None
        made, record = found
        where = f"{made.image.reference}: its record"
        return self._release(made, record.evidence, record.envelopes, where)

    def unpack(self, file: Path) -> Release:
        """Return the release in the bundle FILE; asks no registry.

        Raises:
            errors.SignatureInvalid: deploy.toml has keys, and a signature is not valid or is of another release.
            errors.RecordInvalid, errors.ManifestInvalid: FILE is no bundle, or is of another repository.
        """
        found, where = bundle.read(file), str(file)
        made, repository = manifest.parse(found.manifest, where), self.project.image.repository
        if made.image.repository != repository:
            what = f"{where}: a release of {made.image.repository}, deploy.toml's image.repository is {repository}"
            raise errors.RecordInvalid(what, "verify it in the project that it is a release of")
        return self._release(made, found.evidence, found.envelopes, where)

    def _release(self, made: manifest.Manifest, evidence: bytes, envelopes: tuple[bytes, ...], where: str) -> Release:
        signed = trust.verify(self.project, made, evidence, envelopes, where)
        told = provenance.decode(evidence)
        return Release(manifest=made, evidence=told, signed=signed, evidence_bytes=evidence, envelopes=envelopes)

    def describe_loss(self, name: str) -> str:
        """Return the reason in `lost` for NAME, to append to a sentence; empty if there is none."""
        return f": {self.lost[name]}" if name in self.lost else ""

    def recorded_here(self) -> Release | None:
        """Return the revision's recorded release if it was made as deploy.toml says now, else None.

        Folder, tree, gates, surroundings and base image have to be the same, and npm's signatures audited unless
        that is off now. The base does not count if the image was
        built elsewhere, or if none is configured. A release that an environment would refuse for its
        signature does not count.
        """
        commit = self.revision.commit
        found = self._known.get(commit) or self.recorded(commit)
        if found is None:
            return None
        self._known[commit] = found
        told = found.manifest.source
        same = (told.tree, told.path) == (self.revision.tree, self.revision.path)
        present = self.project.gates.surroundings
        same = same and found.evidence.get("surroundings", present) == present
        same = same and not (self.project.gates.audit_signatures and provenance.is_unaudited(found.evidence))
        if unsigned := trust.lacking(self.project, found.signed):
            self.lost[commit] = f"the release on record is {unsigned}"
            return None
        return found if same and found.manifest.gates == self._gates() and self._is_on_base(found) else None

    def lost_record_of(self, release: manifest.Manifest) -> bool:
        """Return whether RELEASE is of this revision and of deploy.toml's gates, and the registry lost its record."""
        told = release.source
        here = (self.revision.commit, self.revision.tree, self.revision.path)
        same = (told.revision, told.tree, told.path) == here and release.gates == self._gates()
        return same and not self.store.digest(told.revision)

    def on_record(self, *, fresh: bool, foreign: str) -> Release | None:
        """Return the release of `recorded_here`; None if FRESH, or if FOREIGN names another image."""
        found = None if fresh else self.recorded_here()
        return found if found and foreign in {"", found.manifest.image.reference} else None

    def _is_on_base(self, found: Release) -> bool:
        told = found.evidence.get("base")
        bases = set(told.values()) if isinstance(told, dict) else {None}
        return not self.project.image.base or bases <= {self.project.image.base, ""}

    # The gates.

    def run_gates(self, *, fresh: bool = False) -> receipt.GatedTree:
        """Return the gated tree; run nox first if there is none, or if FRESH.

        Raises:
            errors.CheckoutDirty: the checkout has uncommitted changes.
            errors.GateFailed: a gate failed.
            errors.GatesIncomplete: nox ended before every gate had passed.
        """
        source.refuse_dirty(self.revision)
        found = None if fresh else self.find_gated()
        if isinstance(found, receipt.GatedTree):
            return found
        self._gated.clear()
        argv = [*NOX, "--source", str(self.project.source_path()), *(["--fresh"] if fresh else [])]
        limit = sum(gate.timeout for gate in self.project.gates.all.values()) + self.project.gates.smoke + 600
        Room.of(self.project, self.revision).failure.unlink(missing_ok=True)
        log = self.project.work / "gates.log"
        tree.hide(self.project.work)
        env = {**surroundings.read("nox"), aside.LATER: "yes"}
        aside.delete_later(self.project.work / "trees")
        seen = Watch(len(self.project.gates.all))

        def tell(line: str) -> None:
            if line.startswith(runner.TELLS):
                self.tell(line.strip())
                seen.hear(line.strip())
                if seen.is_running:
                    self.doing(seen.describe)

        with log.open("wb") as file:
            code = process.follow(argv, timeout=limit, cwd=self.project.root, log=file, tell=tell, env=env)
        Room.of(self.project, self.revision).raise_failure()
        if code:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            kind = errors.of_code(code, errors.GatesIncomplete)
            raise kind(f"gates: nox ended with exit code {code}; log: {log}", tail)
        return self.require_gated()

    def find_gated(self) -> receipt.GatedTree | errors.SelfdeployError:
        """Return the gated tree, or the error that explains its absence.

        The tree is hashed once here; packing hashes it again.
        """
        found = self._gated.get(self.revision.commit) or receipt.find(self.project, self.revision)
        if isinstance(found, receipt.GatedTree):
            self._gated[self.revision.commit] = found
        return found

    def require_gated(self) -> receipt.GatedTree:
        """Return the gated tree, or raise as `receipt.require` does."""
        commit = self.revision.commit
        self._gated[commit] = self._gated.get(commit) or receipt.require(self.project, self.revision)
        return self._gated[commit]

    # The image.

    @cached_property
    def images(self) -> images.Images:
        """The images of the revision's gated trees."""
        return images.Images(project=self.project, revision=self.revision, store=self.store, tell=self.tell)

    def image(self, gated: receipt.GatedTree) -> registry.Image | None:
        """Return the image of GATED if the registry has all of it, else None."""
        with contextlib.suppress(errors.ImageGone):
            found = self.store.image(self.images.tag(gated))
            if found is None or self.store.absent(found.digest) or not self._is_ours(gated, found.digest):
                return None
            return found
        return None

    def _is_ours(self, gated: receipt.GatedTree, digest: str) -> bool:
        """Return whether the image DIGEST of GATED may be signed: only one that this machine built or adopted.

        Anybody who can write to the registry can move the tag of a gated tree, and copy an image's labels.
        """
        if not trust.is_asked(self.project):
            return True
        with contextlib.suppress(OSError):
            return self._note(gated).read_text() == digest
        return False

    def _note(self, gated: receipt.GatedTree) -> Path:
        return self.project.work / "images" / gated.digest.removeprefix("sha256:")

    def _take(self, gated: receipt.GatedTree, digest: str) -> None:
        """Write down that the image DIGEST was built of GATED, or adopted for it, on this machine."""
        tree.hide(self.project.work)
        tree.write_whole(self._note(gated), digest.encode())

    def build(self, gated: receipt.GatedTree) -> registry.Image:
        """Build and push the image of GATED, and return it.

        Raises:
            errors.TreeChanged: the tree has changed since the gates passed.
            errors.ImageMismatch: the registry's image differs from the requested one.
        """
        found = self.images.push(gated)
        self.check(gated, found)
        self._take(gated, found.digest)
        return found

    def adopt(self, gated: receipt.GatedTree, reference: str) -> registry.Image:
        """Check the image REFERENCE (REPOSITORY@sha256:...), tag it as GATED's image, and return it.

        Raises:
            errors.ImageMismatch: it differs from the gated tree, and foreign builds are not accepted.
            errors.ImageGone: the registry does not have all of it.
        """
        found = self.foreign(reference)
        self.check(gated, found)
        described, absent = self.store.manifest(found.digest), self.store.absent(found.digest)
        if described is None or absent:
            raise errors.ImageGone(
                f"{reference}: the registry does not have {', '.join(absent)}", "push it there again"
            )
        self.store.put_manifest(described[1], described[0].media_type, self.images.tag(gated))
        self._take(gated, found.digest)
        return found

    def foreign(self, reference: str) -> registry.Image:
        """Return the image REFERENCE (REPOSITORY@sha256:...), with everything checked except its files.

        Raises:
            errors.ConfigInvalid: REFERENCE is malformed, or names another repository than the configured one.
            errors.ImageMismatch: it is missing, has another revision or command line, or runs as root.
        """
        found = self.store.image(self.digest(reference))
        if found is None:
            raise errors.ImageMismatch(f"{reference}: the registry has no such image", "push it there first")
        inspection.check_contract(self.store, found, self.revision.commit)
        return found

    def digest(self, reference: str) -> str:
        """Return the digest in REFERENCE (REPOSITORY@sha256:...).

        Raises:
            errors.ConfigInvalid: REFERENCE is malformed, or names another repository than the configured one.
        """
        repository, _, digest = reference.partition("@")
        if repository != self.project.image.repository or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise errors.ConfigInvalid(
                f"{reference}: expected {self.project.image.repository}@sha256:...",
                "images and records are read from image.repository in deploy.toml; copy it there",
            )
        return digest

    def check(self, gated: receipt.GatedTree, image: registry.Image) -> dict[str, list[str]]:
        """Return the differences between IMAGE and GATED by platform, from one run of `inspection.check`."""
        which = image.digest, gated.digest
        if which in self._checked:
            return self._checked[which]
        labels = inspection.labels(self.revision, gated.ship, gated.digest)
        if self.project.image.base and builders.wants_base(self.project):
            labels[inspection.BASE] = self.project.image.base
        foreign = self.project.image.foreign
        self._checked[which] = inspection.check(
            self.store, image, labels, gated.ship, foreign=foreign, required=gated.receipt.required
        )
        return self._checked[which]

    # The manifest.

    def write_record(self, gated: receipt.GatedTree, image: registry.Image, at: str) -> None:
        """Record the manifest and the evidence beside IMAGE in the registry: the commit point of a release."""
        differing = self.check(gated, image)
        described = self.store.manifest(image.digest)
        if described is None:
            raise errors.BuildFailed(f"{image.digest}: not in the registry", "inv build")
        made = self._manifest(image)
        evidence = provenance.encode(
            at,
            provenance.read_holder(),
            provenance.read_run(),
            gates=gated.receipt.gates,
            redefined=self.project.gates.redefined,
            uncommitted=self.uncommitted,
            surroundings=self.project.gates.surroundings,
            tree=gated.digest,
            contents=gated.receipt.facts,
            base=inspection.bases(self.store, image, gated.digest),
            foreign=differing,
        )
        sbom = self.sbom(gated, image) if trust.is_asked(self.project) else None
        envelopes = trust.sign(self.project, made, evidence, sbom)
        if trust.is_asked(self.project) and not envelopes:
            raise trust.keyless(self.project)
        record = registry.Record(subject=described[0], manifest=made.bytes, evidence=evidence, envelopes=envelopes)
        self._known.pop(self.revision.commit, None)
        protection.keep(self.store, made.image)
        # The revision's tag keeps this record. An earlier record, of another image, first gets a tag of its own.
        protection.set_aside(self.store, self.revision.commit, image.digest)
        if envelopes:
            attestations.attach(self.store, image.digest, envelopes)
        self.store.put_record(record, self.revision.commit)
        tree.hide(self.project.work)
        tree.write_whole(self.project.work / "evidence" / f"{self.revision.commit}.json", evidence)

    def sbom(self, gated: receipt.GatedTree, image: registry.Image | None) -> dict[str, Any]:
        """Return the SBOM of IMAGE of GATED (CycloneDX); without the image, of its npm packages.

        Raises:
            errors.SbomUnusable: npm did not list the packages of GATED, or dpkg's list in IMAGE is malformed.
        """
        if image is None:
            return bom.make(gated.packages, gated.digest, [], "")
        bases = inspection.bases(self.store, image, gated.digest)
        is_own = all(base.startswith(f"{self.project.image.repository}-base@") for base in bases.values())
        tree.hide(self.project.work)
        system = bom.find_debian(self.store, image, bases, self.project.work / "debian")
        return bom.make(gated.packages, gated.digest, system, self.project.gates.node if is_own else "")

    def _gates(self) -> tuple[manifest.Gate, ...]:
        """Return the gates that a release must have passed; a record with other gates does not count."""
        commands = {name: " ".join(gate.command) for name, gate in self.project.gates.all.items()}
        commands |= {"image": "build docker/Dockerfile.sf-server", "manifest": "dist/sf-release-manifest.json"}
        redefined = self.project.gates.redefined
        return tuple(
            manifest.Gate(name=name, command=command, redefined=name in redefined) for name, command in commands.items()
        )

    def _manifest(self, image: registry.Image) -> manifest.Manifest:
        return manifest.Manifest(
            schema=1,
            source=manifest.Source(
                repository=self.revision.repository,
                revision=self.revision.commit,
                path=self.revision.path,
                tree=self.revision.tree,
            ),
            gates=self._gates(),
            image=manifest.Image(
                repository=self.project.image.repository,
                digest=image.digest,
                mediaType=image.media_type,
                platforms={
                    name: manifest.Platform(digest=child.digest, config=child.config)
                    for name, child in sorted(image.platforms.items())
                },
            ),
            probes=manifest.PROBES,
        )
