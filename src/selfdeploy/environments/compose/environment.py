"""An environment on a Docker engine, run by Compose: one replica, replaced, or rolled behind a front."""

import contextlib
import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from selfdeploy import config, engine, errors, process, render, tree
from selfdeploy.build import base
from selfdeploy.engine import containers, images, volumes
from selfdeploy.engine.containers import Container
from selfdeploy.environments import Lock as Held
from selfdeploy.environments import chain, fitness, record
from selfdeploy.environments.compose import front as fronts
from selfdeploy.environments.compose import lock, proxies, secrets
from selfdeploy.environments.compose.front import SERVICE as FRONT
from selfdeploy.environments.compose.front import Front, HAProxy
from selfdeploy.environments.compose.record import Ledger
from selfdeploy.environments.compose.rolling import SERVER, Rolling
from selfdeploy.environments.compose.traefik import NAMED, Traefik
from selfdeploy.manifest import Manifest
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer, Replica, Round
from selfdeploy.process import surroundings
from selfdeploy.provenance import Holder

HUNG_UP = 10.0
"""How long to retry an engine that does not answer, such as a remote one after a broken connection, in seconds."""


@dataclass(frozen=True)
class Compose:
    """One environment of kind `compose`."""

    project: config.Project
    name: str
    _images: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    _rolled: list[tuple[Rolling, str]] = field(default_factory=list, repr=False, compare=False)
    """The rollout that `retire` will finish, with its live replica; empty before `apply`."""

    @property
    def settings(self) -> config.Compose:
        """Its settings in deploy.toml."""
        return self.project.compose(self.name)

    @property
    def compose_project(self) -> str:
        """The name of its Compose project."""
        return self.project.compose_project(self.name)

    @property
    def continuity(self) -> str:
        """How a rollout affects users."""
        if self.settings.rolls:
            return "a rollout proves the new replica before the first request reaches it: no moment without an answer"
        return "a rollout replaces the container: a moment without an answer"

    @property
    def patience(self) -> float:
        """Always 0: `apply` and `retire` wait until replaced replicas are gone."""
        return 0.0

    @property
    def url(self) -> str:
        """Its public address: `url` in deploy.toml, or else the published port."""
        return self.settings.url.rstrip("/") or containers.address(self.settings.bind, self.settings.port or 0)

    @cached_property
    def engine(self) -> engine.Engine:
        """Its Docker engine."""
        return engine.connect(self.name, self.settings.engine)

    @property
    def _record(self) -> str:
        return f"{self.compose_project}-record"

    @property
    def _lock(self) -> str:
        return f"{self.compose_project}-lock"

    def refuse_unfit(self) -> None:
        """Raise the first obstacle to a release here: engine, reach, Traefik, secrets, CPUs, disk or port."""
        fitness.refuse_out_of_reach(self.engine, self.project, self.url)
        self.engine.ping()
        if isinstance(self.front, Traefik) and (why := self.front.missing()):
            raise errors.ConfigInvalid(why, NAMED)
        secrets.read(self.project, self.name)
        fitness.refuse_few_cpus(self.engine, self.settings.cpus, f"environments.{self.name}.cpus")
        if not self.engine.is_remote:
            fitness.refuse_full_disk(self.engine)
            self._refuse_taken_port()

    def _refuse_taken_port(self) -> None:
        bind, port = self.settings.bind, self.settings.port
        if port is None or self._publishes(bind, port):
            return
        why = fitness.why_taken(bind, port)
        if why and not self._publishes(bind, port):  # a rollout under way may have started a replica in between
            hint = f"free it, or set environments.{self.name}.port or bind"
            raise errors.PortTaken(f"{self.name}: {bind}:{port}: {why}", hint)

    def _publishes(self, bind: str, port: int) -> bool:
        """Return whether PORT on the address BIND is one of the environment's own containers'."""
        return containers.address(bind, port) in containers.ways(self._list(SERVER, FRONT))

    def containers(self, service: str = SERVER) -> tuple[Container, ...]:
        """Return the environment's containers of SERVICE, running or not, as the engine describes them."""
        return self._list(service)

    def _list(self, *services: str) -> tuple[Container, ...]:
        """Return the environment's containers of SERVICES."""
        argv = ["container", "ls", "--all", "--no-trunc", "--format", '{{.ID}} {{.Label "com.docker.compose.service"}}']
        listed = self.engine.run(
            *argv, "--filter", f"label=com.docker.compose.project={self.compose_project}", timeout=30
        )
        lines = (line.partition(" ") for line in listed.text.splitlines())
        ids = [name for name, _, service in lines if service in services]
        told = self.engine.describe("container", *ids) if ids else None
        return containers.parse(told or b"", self.name)

    def replicas(self) -> tuple[Replica, ...]:
        """Return the replicas that get requests, each with every digest of its image."""
        return self._replicas(self._split(self.containers())[0])

    def _split(self, found: Sequence[Container]) -> tuple[list[Container], list[Container]]:
        """Split FOUND into the containers that get requests and the others."""
        live = self._rolled[-1][1] if self._rolled else self.front.live() if len(found) > 1 else ""
        if not any(container.title == live for container in found):
            return list(found), []
        return [each for each in found if each.title == live], [each for each in found if each.title != live]

    def _replicas(self, found: Sequence[Container]) -> tuple[Replica, ...]:
        return tuple(container.replica(self._digests(container.image)) for container in found)

    def _digests(self, image: str) -> frozenset[str]:
        """Return every digest of IMAGE, an image id; cached, because an id always names the same bytes."""
        if image not in self._images:
            told = self.engine.inspect("image", image) or {}
            known = (str(name).rpartition("@")[2] for name in told.get("RepoDigests") or ())
            self._images[image] = frozenset({image, *known})
        return self._images[image]

    def ask(self, manifest: Manifest) -> Round:
        """Probe every replica from inside, and the public address, once; retry an engine that does not answer."""
        ends = time.monotonic() + HUNG_UP
        while True:
            try:
                return self._ask(manifest)
            except (errors.EngineUnreachable, errors.CommandFailed):
                if time.monotonic() > ends:
                    raise
            time.sleep(0.3)

    def _ask(self, manifest: Manifest) -> Round:
        settings = self.project.probes
        listed = self._list(SERVER, FRONT)
        found, aside = self._split(containers.of(listed, SERVER))
        before = self._replicas(found)
        # The published addresses of the replicas, or else those of the front before them.
        ways = containers.ways(found) or (containers.ways(containers.of(listed, FRONT)) if found else [])
        answers = {replica.name: self._ask_inside(replica, manifest) for replica in before}
        for url in {self.settings.url.rstrip("/")} if self.settings.url else ways:
            answers[url] = probe.get_all(url, manifest.probes, settings.timeout)
        return Round(before=before, after=self.replicas(), answers=answers, aside=self._replicas(aside))

    def _ask_inside(self, replica: Replica, manifest: Manifest) -> dict[str, Answer]:
        settings = self.project.probes
        question = probe.question(manifest, settings, self.settings.secrets)
        argv = ["exec", *surroundings.inside(), replica.name, "node", "-e", probe.SCRIPT, question]
        try:
            told = self.engine.run(*argv, timeout=settings.timeout + 5, check=False).stdout
        except errors.CommandTimedOut:
            told = b""
        return probe.read_answers(told[: 8 * probe.LIMIT])

    def _prove_inside(self, manifest: Manifest, probes: config.Probes, container: Container) -> None:
        """Probe CONTAINER alone, from inside, with PROBES, until it has settled on MANIFEST's release."""

        def ask() -> Round:
            replicas = listed()
            answers = {replica.name: self._ask_inside(replica, manifest) for replica in replicas}
            return Round(before=replicas, after=listed(), answers=answers)

        def listed() -> tuple[Replica, ...]:
            return self._replicas([each for each in self.containers() if each.id == container.id])

        probe.until_settled(manifest, probes, ask, self.name)

    def fetch(self, image: str) -> None:
        """Pull IMAGE, by digest, unless the engine has it; get the image of an HAProxy front, too."""
        if self.engine.inspect("image", image) is None:
            self.engine.run("pull", "--quiet", image, timeout=600)
        if self.settings.rolls and self.settings.front == "haproxy":
            self._fetch_front()

    def _fetch_front(self) -> None:
        """Make sure that the engine has the front's image: pull deploy.toml's digest, or build the image there."""
        image = base.front(self.project)
        if self.engine.inspect("image", image) is not None:
            return
        if self.project.image.front:
            self.engine.run("pull", "--quiet", image, timeout=600)
        else:
            base.build(self.project, "front", image, self.engine)

    def any_image(self) -> str:
        """Return an image on the engine to hold the lock with; empty if there is none."""
        volume = self.engine.inspect("volume", self._record) or {}
        told = str((volume.get("Labels") or {}).get(f"{render.LABEL}.image", ""))
        repository = self.project.image.repository
        others = (f"{repository}@{digest}" for digest in images.digests(self.engine, repository))
        for image in (*(container.image for container in self.containers()), told, *others):
            if image and self.engine.inspect("image", image):
                return str(image)
        return ""

    def forget(self, unwanted: Callable[[], Mapping[str, str]]) -> list[str]:
        """Remove the UNWANTED releases' images and manifests that no container uses; return their names."""
        return images.forget(self.engine, self.project.image.repository, unwanted())

    @contextlib.contextmanager
    def hold(self, image: str, holder: Holder) -> Iterator[Held]:
        """Lock the environment for HOLDER with a container of IMAGE, which the engine has or pulls by digest."""
        label = f"{render.LABEL}.image={image}"
        self.engine.run("volume", "create", "--label", label, self._record)
        with lock.hold(self.engine, self._lock, image, self._record, holder) as held:
            volumes.sweep(self.engine, self.compose_project)
            yield held

    def held_by(self) -> Holder | None:
        """Return the lock's holder, with its start time and CI run; None if the lock is free."""
        return lock.held_by(self.engine, self._lock)

    @property
    def _ledger(self) -> Ledger:
        owner, volume = self.compose_project, self._record
        return Ledger(engine=self.engine, owner=owner, volume=volume, any_image=self.any_image)

    def read(self, lock: Held | None = None) -> record.Record:
        """Return the environment's record, read through LOCK if given."""
        return self._ledger.read(lock)

    def write(self, lock: Held, value: record.Record) -> None:
        """Replace the environment's record with VALUE, sealed, and atomically: a reader never sees a part of it."""
        self._ledger.write(lock, chain.seal(self.project, self.name, value))

    def render(self, manifest: Manifest) -> str:
        """Return the Compose file of MANIFEST's release."""
        ours = self.settings.rolls and self.settings.front == "haproxy"
        return render.compose(self.project, self.name, manifest, base.front(self.project) if ours else "")

    def _compose(self, rendered: str, *argv: str, timeout: float) -> process.Outcome:
        with contextlib.suppress(OSError):  # only for people: Compose reads stdin
            tree.hide(self.project.work)
            tree.write_whole(self.project.work / "rendered" / self.name / "compose.yml", rendered.encode())
        # Compose reads no other file, neither `.env` nor the files in COMPOSE_FILE.
        prefix = ["compose", "--project-directory", str(self.project.root), "--env-file", "/dev/null"]
        prefix += ["--project-name", self.compose_project, "--file", "-"]
        # Compose gets the values of secrets from its environment, so that no file and no argv contains them.
        env = {**surroundings.read("docker compose"), **secrets.read_for(self.project, self.name, rendered)}
        limit = timeout + self.settings.grace
        return self.engine.run(*prefix, *argv, timeout=limit, stdin=rendered.encode(), env=env, check=False)

    @property
    def front(self) -> Front:
        """The front named in deploy.toml: the site's Traefik, or else the environment's own service."""
        traefik = self.settings.traefik
        return self._front("", {"traefik": traefik.model_dump()} if traefik else {})

    def _front(self, rendered: str, settings: Mapping[str, Any]) -> Front:
        """Return the front of RENDERED, with its SETTINGS."""
        if traefik := settings.get("traefik"):
            return Traefik(engine=self.engine, owner=self.compose_project, settings=traefik, image=self.any_image())
        return HAProxy(
            engine=self.engine,
            compose=lambda *argv, timeout: self._compose(rendered, *argv, timeout=timeout),
            find=self.containers,
            hashes=lambda: self._hashes(rendered),
        )

    def _hashes(self, rendered: str) -> dict[str, str]:
        """Return Compose's hash of each service in RENDERED, as on its container; empty if Compose refuses RENDERED."""
        told = self._compose(rendered, "config", "--hash", "*", timeout=60)
        pairs = (line.split() for line in told.text.splitlines())
        return {} if told.code else {pair[0]: pair[1] for pair in pairs if len(pair) == 2}  # noqa: PLR2004 -- "NAME HASH"

    def is_applied(self, rendered: str) -> bool:
        """Return whether the replica, running or not, and the front match RENDERED and the present secrets."""
        found = self.containers()
        if len(found) != 1 or self._hashes(rendered).get(SERVER) != found[0].hash:
            return False
        image = self.engine.inspect("image", found[0].image) or {}
        if proxies.foreign(found[0].config.env or (), image, rendered):
            return False
        settings = fronts.read(rendered)
        if settings is None:
            return not self.containers(FRONT)
        way = self._front(rendered, settings)
        return way.is_placed and way.live() == found[0].title

    def difference(self, rendered: str) -> str:
        """Return a warning if `apply` would create or replace the front, with a gap for users; Compose has no diff."""
        settings = fronts.read(rendered)
        if settings is None or not self.containers():
            return ""
        way = self._front(rendered, settings)
        if way.is_placed:
            return ""
        had = way.live() or self.containers(FRONT)
        what = "its settings or its template changed" if had else "there is none yet"
        return f"the front is recreated ({what}): this rollout has a moment without an answer"

    def rehearse(self, rendered: str) -> None:
        """Raise `errors.ConfigInvalid` if RENDERED is not a valid Compose file, or if one of its secrets is missing."""
        told = self._compose(rendered, "config", "--quiet", timeout=60)
        if told.code:
            raise errors.ConfigInvalid(
                f"{self.name}: docker compose config: {told.complaint}",
                "compare templates/compose.yml.j2 with the one that comes with selfdeploy; nothing was changed",
            )

    def apply(
        self,
        lock: Held,
        manifest: Manifest,
        rendered: str,
        *,
        recreate: bool = False,
        answered: Collection[str] | None = None,
    ) -> None:
        """Run RENDERED, the release of MANIFEST, with Compose; RECREATE makes a new container even without a change.

        If the environment rolls, the new replica is proven from inside before it goes live. The previous replica runs
        on until `retire`.
        """
        self._place_manifest(manifest)
        lock.check()
        self._remove_unstarted()
        self._rolled.clear()
        settings = fronts.read(rendered)
        if settings is None:
            self._replace(rendered, recreate=recreate)
            return
        wanted = self._hashes(rendered).get(SERVER, "")
        prove = functools.partial(self._prove_inside, manifest, self.project.probes.narrowed(answered))
        rolling = self._rolling(self._front(rendered, settings), rendered, wanted, prove, lock)
        self._rolled.append((rolling, rolling.bring(anew=recreate)))

    def _rolling(
        self, way: Front, rendered: str, wanted: str, prove: Callable[[Container], None], lock: Held
    ) -> Rolling:
        return Rolling(
            engine=self.engine,
            front=way,
            compose=lambda *argv, timeout: self._compose(rendered, *argv, timeout=timeout),
            find=self.containers,
            wanted=wanted,
            prove=prove,
            check=lock.check,
            grace=self.settings.grace,
        )

    def _replace(self, rendered: str, *, recreate: bool) -> None:
        """Replace the replica with Compose; remove a front first, because it holds the port."""
        _, aside = self._split(self.containers())
        self.front.remove()
        if spare := [container.id for container in aside]:
            self.engine.run("container", "rm", "--force", "--volumes", *spare, check=False)
        argv = ["up", "--detach", "--no-build", "--pull", "never", "--remove-orphans"]
        argv += ["--force-recreate", SERVER] if recreate else [SERVER]
        fronts.refuse_failed(self._compose(rendered, *argv, timeout=180), self.name)

    def retire(self, lock: Held) -> None:
        """Terminate the replicas replaced by the last `apply`; after a change to Traefik, remove our own front."""
        for rolling, _ in self._rolled:
            lock.check()
            rolling.retire()
            if not isinstance(rolling.front, HAProxy):
                self._front("", {}).remove()
        self._rolled.clear()

    def _remove_unstarted(self) -> None:
        """Remove containers that an interrupted Compose created but did not start: the next run needs their names."""
        if left := [container.id for container in self.containers() if container.state.status == "created"]:
            self.engine.run("container", "rm", "--force", "--volumes", *left, check=False)

    def _place_manifest(self, manifest: Manifest) -> None:
        volume = render.manifest_name(manifest.release)
        labels = {f"{render.LABEL}.release": manifest.release, f"{render.LABEL}.project": self.compose_project}
        self.engine.run("volume", "create", *(f"--label={name}={value}" for name, value in labels.items()), volume)
        image, name = manifest.image.reference, "sf-release-manifest.json"
        if volumes.write(self.engine, image, self.compose_project, volume, name, manifest.bytes) != manifest.bytes:
            raise errors.ManifestInvalid(f"{self.name}: {volume}: not the bytes that were written", "inv rollout")

    @property
    def way_in(self) -> str:
        """The front and its live replica, in words; empty if the replica has the port itself."""
        if not self.settings.traefik and not self.containers(FRONT):
            return ""
        return f"{self.front.title}, sends requests to {self.front.live() or 'nobody'}"

    def logs(self, lines: int, *, follow: bool = False, front: bool = False) -> str:
        """Return the last LINES lines of each replica's log, or of the FRONT's; with FOLLOW, stream new lines."""
        told = []
        for container in self.containers(FRONT if front else SERVER):
            argv = ["logs", "--tail", str(lines), container.name.lstrip("/")]
            if follow:
                self.engine.follow(*argv[:1], "--follow", *argv[1:])
            else:
                outcome = self.engine.run(*argv, check=False)
                told.append((outcome.stdout + outcome.stderr).decode(errors="replace"))
        return "\n".join(told)

    def down(self, lock: Held) -> None:
        """Stop and remove the replica, its front and its network; keep volumes and the record."""
        from python_on_whales.exceptions import DockerException  # noqa: PLC0415 -- start-up is a feature

        lock.check()
        if self.settings.traefik:
            self.front.remove()
        limit, project = 120 + self.settings.grace, self.compose_project
        client = self.engine.client(limit, like="docker compose", compose_project_name=project)
        try:
            client.compose.down(remove_orphans=True, quiet=True)
        except DockerException as exc:
            raise errors.CommandFailed(f"{self.name}: docker compose down: {exc.return_code}", str(exc.stderr)) from exc
