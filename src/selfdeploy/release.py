"""The list of stages: gates, image, manifest, then each environment; plan them, and converge."""

import contextlib
import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from selfdeploy import base, config, errors, gates, manifest, probe, process, registry, render, rollout, source, tree
from selfdeploy.builders.docker import Docker
from selfdeploy.environments.compose import Compose

LABEL = "org.opencontainers.image"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the plan: a stage, whether reality already has its result, and why."""

    stage: str
    found: bool
    why: str

    def __str__(self) -> str:
        """Return the line as `inv plan` prints it."""
        return f"{self.stage:<10} {'found' if self.found else 'missing':<8} {self.why}"


def say(text: str) -> None:
    """Tell the person who waits; progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Show that the stage NAME is under way and how long it took; a group of its own in a CI log."""
    ci = os.environ.get("CI") == "true"
    say(f"::group::{name}" if ci else f"{name} ...")
    began = time.monotonic()
    try:
        yield
    finally:
        say(f"{name}: {time.monotonic() - began:.1f} s")
        if ci:
            say("::endgroup::")


def who() -> str:
    """Return who runs this, and where."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def run_of_ci() -> dict[str, str]:
    """Return the CI run this is part of: `authority`, `id` and `url`; empty outside of one."""
    for authority in ("forgejo", "github"):
        prefix = authority.upper()
        number = os.environ.get(f"{prefix}_RUN_ID")
        if number:
            server = os.environ.get(f"{prefix}_SERVER_URL", "")
            repository = os.environ.get(f"{prefix}_REPOSITORY", "")
            return {"authority": authority, "id": number, "url": f"{server}/{repository}/actions/runs/{number}"}
    return {}


@dataclass(frozen=True)
class Releasing:
    """One revision of one project on its way."""

    project: config.Project

    @cached_property
    def revision(self) -> source.Revision:
        """The revision: HEAD of the source checkout."""
        return source.read(self.project.source_path(), self.project.source.repository)

    @cached_property
    def store(self) -> registry.Registry:
        """The registry that the image and its record are in."""
        image = self.project.image
        return registry.connect(registry.Reference.parse(image.repository), insecure=image.insecure)

    def found(self) -> rollout.Release | None:
        """Return the release of the revision that the registry has a record of."""
        record = self.store.find_record(self.revision.commit)
        if record is None:
            return None
        parsed = manifest.parse(record.manifest, f"{self.project.image.repository}:{self.revision.commit}")
        if parsed.image.digest != record.subject.digest or parsed.source.revision != self.revision.commit:
            raise errors.RecordInvalid(
                f"{self.project.image.repository}:{self.revision.commit}: the record is of another image or revision",
                "build the release again: inv gates --fresh",
            )
        if (parsed.source.tree, parsed.source.path) != (self.revision.tree, self.revision.path):
            return None
        image = self.store.image(parsed.image.digest)
        if image is None:
            return None
        evidence = rollout.read_evidence(record.evidence)
        url = run_of_ci().get("url", "")
        return rollout.Release(manifest=parsed, evidence=evidence, who=who(), run=url)

    def run_gates(self, *, fresh: bool = False) -> gates.GatedTree:
        """Return the gated tree, and have nox make it first where there is none.

        Raises:
            errors.CheckoutDirty, errors.GateFailed, errors.GatesIncomplete: as they say.
        """
        source.refuse_dirty(self.revision)
        found = gates.find(self.project, self.revision)
        if fresh or isinstance(found, str):
            argv = [sys.executable, "-m", "nox", "--session", "gates", "--", "--fresh"]
            argv += ["--source", str(self.project.source_path())]
            limit = sum(gate.timeout for gate in self.project.gates.all.values()) + 600
            gates.room(self.project, self.revision).failure.unlink(missing_ok=True)
            log = self.project.work / "gates.log"
            log.parent.mkdir(exist_ok=True)
            with log.open("wb") as file:
                outcome = process.run(argv, timeout=limit, cwd=self.project.root, log=file, check=False)
            gates.raise_failure(self.project, self.revision)
            found = gates.find(self.project, self.revision)
            if isinstance(found, str):
                tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise errors.GatesIncomplete(f"gates: {found} (nox: exit code {outcome.code})", tail)
        return found

    def base(self) -> str:
        """Return the base image by digest: the configured one, or one built here and kept in the registry."""
        image = self.project.image
        if image.base:
            return image.base
        store = registry.connect(registry.Reference.parse(f"{image.repository}-base"), insecure=image.insecure)
        tag = base.recipe("base", self.project.gates.node)
        reference = f"{image.repository}-base:{tag}"
        found = store.manifest(tag)
        if found is None:
            base.build(self.project, "base", reference)
            process.run(["docker", "push", "--quiet", reference], timeout=image.timeout)
            found = store.manifest(tag)
        if found is None:
            raise errors.BuildFailed(f"{reference}: pushed, and not there", "inv registry.up")
        return f"{image.repository}-base@{found[0].digest}"

    def build(self, gated: gates.GatedTree) -> registry.Image:
        """Return the image of GATED that the registry has, and build and push it first where there is none.

        Raises:
            errors.TreeChanged: the tree is no longer what the gates left.
            errors.ImageMismatch: the registry's image has other labels than were asked for.
        """
        tag = f"tree-{gated.digest.removeprefix('sha256:')}"
        labels = self.labels(gated)
        found = self.store.image(tag)
        if found is None:
            if tree.digest(gated.ship) != gated.digest:
                raise errors.TreeChanged(f"{gated.ship}: not what the gates left", "inv gates --fresh")
            docker = Docker(
                dockerfile=render.folder(self.project, "docker") / "Dockerfile.sf-server",
                base=self.base(),
                timeout=self.project.image.timeout,
            )
            docker.push(gated.ship, f"{self.project.image.repository}:{tag}", labels, self.revision.epoch)
            found = self.store.image(tag)
        if found is None:
            raise errors.BuildFailed(f"{self.project.image.repository}:{tag}: pushed, and not there", "inv registry.up")
        for platform, child in found.platforms.items():
            self._check_labels(platform, child.config, labels)
        return found

    def labels(self, gated: gates.GatedTree) -> dict[str, str]:
        """Return the labels of the image of GATED."""
        package = json.loads((gated.ship / "package.json").read_bytes())
        return {
            f"{LABEL}.revision": self.revision.commit,
            f"{LABEL}.source": self.revision.repository,
            f"{LABEL}.title": str(package.get("name", "sf")),
            f"{LABEL}.version": str(package.get("version", "0")),
            f"{render.LABEL}.tree": gated.digest,
        }

    def _check_labels(self, platform: str, digest: str, labels: dict[str, str]) -> None:
        inner = self.store.config(digest).get("config")
        told = inner.get("Labels") if isinstance(inner, dict) else None
        told = told if isinstance(told, dict) else {}
        for name, expected in labels.items():
            if told.get(name) != expected:
                raise errors.ImageMismatch(
                    f"{platform}: label {name}: expected {expected}, actual {told.get(name)}", "inv gates --fresh"
                )

    def write_record(self, gated: gates.GatedTree, image: registry.Image) -> rollout.Release:
        """Put the manifest and the evidence into the registry beside IMAGE: the commit point of a release."""
        commands = {name: " ".join(gate.command) for name, gate in self.project.gates.all.items()}
        commands |= {"image": "build docker/Dockerfile.sf-server", "manifest": "dist/sf-release-manifest.json"}
        made = manifest.Manifest(
            schema=1,
            source=manifest.Source(
                repository=self.revision.repository,
                revision=self.revision.commit,
                path=self.revision.path,
                tree=self.revision.tree,
            ),
            gates=tuple(manifest.Gate(name=name, command=command) for name, command in commands.items()),
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
        evidence = {
            "schema": 1,
            "builtAt": rollout.now(),
            "who": who(),
            "run": run_of_ci(),
            "gates": gated.receipt.gates,
            "tree": gated.digest,
        }
        subject = self.store.manifest(image.digest)
        if subject is None:
            raise errors.BuildFailed(f"{made.image.reference}: not in the registry", "inv build")
        data = json.dumps(evidence, sort_keys=True, indent=2).encode()
        record = registry.Record(subject=subject[0], manifest=made.bytes, evidence=data)
        self.store.put_record(record, self.revision.commit)
        tree.write_whole(self.project.work / "evidence" / f"{self.revision.commit}.json", data)
        found = self.found()
        if found is None:
            raise errors.RecordInvalid(f"{made.image.reference}: the record is not there", "inv manifest")
        return found

    def artifact(self, *, fresh: bool = False) -> rollout.Release:
        """Return the release of the revision: found in the registry, or made by gates, image and manifest."""
        source.refuse_dirty(self.revision)
        found = None if fresh else self.found()
        if found is None:
            with stage("gates"):
                gated = self.run_gates(fresh=fresh)
            with stage("image"):
                image = self.build(gated)
            with stage("manifest"):
                found = self.write_record(gated, image)
        else:
            say(f"gates, image, manifest: found in {self.project.image.repository}")
        tree.write_whole(self.project.manifest_path, found.manifest.bytes)
        return found

    def preflight(self, names: Sequence[str]) -> None:
        """Raise what would keep a release to the environments NAMES from ending, before minutes are spent on it."""
        ensure_registry(self.project)
        self.store.ping()
        self.store.may_push()
        stat = os.statvfs(self.project.root)
        if stat.f_bavail * stat.f_frsize < 2 << 30:
            raise errors.DiskFull(f"{self.project.root}: less than 2 GiB free", "make room: docker system df")
        for name in names:
            environment = Compose(self.project, name)
            environment.ping()
            environment.secrets()
            if not environment.containers() and not environment.host:
                refuse_taken_port(environment)

    def converge(self, *, to: str = "", fresh: bool = False, older: bool = False) -> rollout.Release:
        """Release the revision to every environment up to TO, or to all; do only what reality lacks."""
        names = list(self.project.environments)
        if to:
            self.project.environment(to)
            names = names[: names.index(to) + 1]
        source.refuse_dirty(self.revision)
        self.preflight(names)
        release = self.artifact(fresh=fresh)
        with contextlib.ExitStack() as held:
            proofs: list[rollout.Proof] = []
            for name in names:
                with stage(name):
                    proofs.append(self.settle(held, name, release, proofs, older=older))
        return release

    def settle(
        self,
        held: contextlib.ExitStack,
        name: str,
        release: rollout.Release,
        proofs: Sequence[rollout.Proof],
        *,
        older: bool = False,
    ) -> rollout.Proof:
        """Return the proof that NAME runs RELEASE, rolled out first where it does not; HELD keeps its lock."""
        environment = Compose(self.project, name)
        environment.pull(release.manifest.image.reference)
        lock = held.enter_context(environment.lock(release.manifest.image.reference, who(), release.run))
        known = environment.read(lock)
        if known.proven and environment.desired() == release.manifest.release == known.proven[0].release:
            with contextlib.suppress(errors.NotProven):
                return rollout.prove(environment, lock, release.manifest)
        return rollout.settle(environment, lock, release, proofs, older=older)

    def promote(self, name: str, release: rollout.Release, *, older: bool = False) -> None:
        """Roll RELEASE out to NAME, with the proof, made now, of every environment before it."""
        with contextlib.ExitStack() as held:
            proofs = []
            for before in self.project.before(name):
                environment = Compose(self.project, before)
                environment.pull(release.manifest.image.reference)
                lock = held.enter_context(environment.lock(release.manifest.image.reference, who(), release.run))
                proofs.append(rollout.prove(environment, lock, release.manifest))
            self.settle(held, name, release, proofs, older=older)

    def plan(self) -> list[Line]:
        """Return a line a stage: what reality has of it. Changes nothing."""
        release = self.found()
        if release is None:
            gated = gates.find(self.project, self.revision)
            why = gated if isinstance(gated, str) else f"passed on {self.revision.commit[:12]}"
            lines = [Line(stage="gates", found=not isinstance(gated, str), why=why)]
            lines += [Line(stage=name, found=False, why="no record in the registry") for name in ("image", "manifest")]
            return lines + [
                Line(stage=name, found=False, why="there is no release yet") for name in self.project.environments
            ]
        lines = [
            Line(stage="gates", found=True, why=f"passed on {self.revision.commit[:12]}"),
            Line(stage="image", found=True, why=release.manifest.image.digest),
            Line(stage="manifest", found=True, why=release.manifest.release),
        ]
        for name in self.project.environments:
            environment = Compose(self.project, name)
            wrong = probe.compare(release.manifest, environment.ask(release.manifest))
            why = wrong[0] if wrong else "answers as this release"
            lines.append(Line(stage=name, found=not wrong, why=why))
        return lines

    def compose(self, name: str) -> Compose:
        """Return the environment NAME."""
        self.project.environment(name)
        return Compose(self.project, name)

    def probe(self, name: str) -> str:
        """Return that NAME runs the release of the revision; raise `errors.NotProven` when it does not."""
        release, environment = self.found(), self.compose(name)
        if release is None:
            raise errors.NotProven(f"{name}: {self.revision.commit} has no release", "inv release")
        rounds = probe.until_settled(
            release.manifest, self.project.probes, lambda: environment.ask(release.manifest), name
        )
        return f"{name} runs {release.manifest.image.reference} of {self.revision.commit}, {rounds} rounds agree"

    def summary(self, release: rollout.Release, to: str) -> str:
        """Return what a person wants to know at the end of a release."""
        names = list(self.project.environments)
        names = names[: names.index(to) + 1] if to else names
        lines = [f"revision  {self.revision.commit}", f"image     {release.manifest.image.reference}"]
        lines += [f"{name:<9} {Compose(self.project, name).url}  proven" for name in names]
        return "\n".join([*lines, "next      inv status"])

    def rollback(self, name: str, to: str) -> str:
        """Put NAME back to what it proved before, or to TO; return what it runs now."""
        environment = self.compose(name)
        known = environment.read()
        if not known.proven:
            raise errors.NothingToRollBack(f"{name}: has proven nothing", "inv release")
        image = manifest.parse(known.proven[0].manifest.encode(), f"{name}: record").image.reference
        with environment.lock(image, who(), run_of_ci().get("url", "")) as lock:
            proven = rollout.restore(environment, lock, to, who())
        return f"{name} runs {proven.revision} ({proven.digest}), proven"

    def unhold(self, name: str, digest: str) -> None:
        """Free DIGEST in NAME."""
        environment = self.compose(name)
        known = environment.read()
        if digest not in known.holds:
            raise errors.ConfigInvalid(
                f"{name}: {digest} is not on hold", f"on hold: {', '.join(known.holds) or 'none'}"
            )
        image = next(p.manifest for p in known.proven) if known.proven else ""
        reference = (
            manifest.parse(image.encode(), f"{name}: record").image.reference
            if image
            else f"{self.project.image.repository}@{digest}"
        )
        with environment.lock(reference, who(), "") as lock:
            environment.write(lock, environment.read(lock).unhold(digest))

    def status(self) -> str:
        """Return, for each environment, what runs and what it last proved."""
        lines = []
        for name in self.project.environments:
            environment = self.compose(name)
            known, replicas = environment.read(), environment.replicas()
            lines.append(f"{name}  {environment.url}")
            for replica in replicas:
                lines.append(f"  replica  {replica.name} ({replica.instance}) {replica.state}")
                told = probe.get(f"{environment.url}{manifest.PROBES['version']}", self.project.probes.timeout)
                lines.append(f"  answers  {told.status or 'nothing'} {told.body.strip()}")
            lines += ["  replica  none"] if not replicas else []
            lines += [f"  proven   {p.revision} {p.digest} at {p.at}" for p in known.proven[:1]]
            lines += [f"  on hold  {digest}: {why}" for digest, why in known.holds.items()]
        return "\n".join(lines)

    def history(self, name: str) -> str:
        """Return the attempts on NAME, newest first, as JSON lines."""
        return "\n".join(attempt.model_dump_json() for attempt in self.compose(name).read().attempts)


def refuse_taken_port(environment: Compose) -> None:
    """Raise `errors.PortTaken` when something else listens where ENVIRONMENT would."""
    family = socket.AF_INET6 if ":" in environment.settings.bind else socket.AF_INET
    with socket.socket(family) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((environment.settings.bind, environment.settings.port))
        except OSError as exc:
            raise errors.PortTaken(
                f"{environment.name}: {environment.settings.bind}:{environment.settings.port}: {exc.strerror}",
                f"free it, or set environments.{environment.name}.port",
            ) from exc


def ensure_registry(project: config.Project) -> None:
    """Start the local registry when the configured repository is on it and nothing answers there."""
    host, _, port = project.image.repository.partition("/")[0].rpartition(":")
    if host not in ("127.0.0.1", "localhost") or not port.isdigit():
        return
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=2):
        return
    name, tag = f"selfdeploy-registry-{port}", f"selfdeploy-registry:{base.recipe('registry', '')}"
    found = process.run(["docker", "inspect", name], timeout=30, check=False)
    if found.code == 0:
        process.run(["docker", "start", name], timeout=60)
    else:
        if process.run(["docker", "image", "inspect", tag], timeout=30, check=False).code:
            say("registry: building its image")
            base.build(project, "registry", tag)
        argv = ["docker", "run", "--detach", "--name", name, "--restart", "unless-stopped", "--read-only"]
        argv += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--publish", f"127.0.0.1:{port}:5000"]
        process.run([*argv, "--volume", f"{name}:/var/lib/registry", tag], timeout=60)
    store = registry.connect(registry.Reference.parse(project.image.repository))
    ends = time.monotonic() + 20
    while True:
        try:
            store.ping()
        except errors.RegistryUnreachable:
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)
        else:
            return


def load(path: Path | None = None, source_path: str | None = None) -> Releasing:
    """Return what the project of PATH, or of this folder, releases."""
    return Releasing(config.load(path, source=source_path))
