"""An environment on a Docker engine, run by Compose: one replica, replaced, or rolled behind a front."""

import contextlib
import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from selfdeploy import base, config, errors, probe, process, render, surroundings, tree
from selfdeploy.environments import Lock as Held
from selfdeploy.environments import containers, engine, fitness, images, lock, proxies, record, secrets, volumes
from selfdeploy.environments import front as fronts
from selfdeploy.environments.containers import Container
from selfdeploy.environments.front import SERVICE as FRONT
from selfdeploy.environments.front import Front, HAProxy
from selfdeploy.environments.ledger import Ledger
from selfdeploy.environments.rolling import SERVER, Rolling
from selfdeploy.environments.traefik import NAMED, Traefik
from selfdeploy.manifest import Manifest
from selfdeploy.provenance import Holder
from selfdeploy.witness import Answer, Replica, Round

HUNG_UP = 10.0
"""Seconds for which an engine that does not answer, a remote one whose connection broke, is asked again."""


@dataclass(frozen=True)
class Compose:
    """One environment of kind `compose`."""

    project: config.Project
    name: str
    _images: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    _rolled: list[tuple[Rolling, str]] = field(default_factory=list, repr=False, compare=False)
    """The rollout of this process that `retire` is to end, and the replica that it made live."""

    @property
    def settings(self) -> config.Compose:
        """What deploy.toml says of it."""
        return self.project.compose(self.name)

    @property
    def compose_project(self) -> str:
        """The Compose project's name."""
        return self.project.compose_project(self.name)

    @property
    def continuity(self) -> str:
        """How a rollout goes for who uses it."""
        if self.settings.rolls:
            return "a rollout proves the new replica before the first request reaches it: no moment without an answer"
        return "a rollout replaces the container: a moment without an answer"

    @property
    def patience(self) -> float:
        """None: a replaced replica is gone when `apply`, or `retire`, returns."""
        return 0.0

    @property
    def url(self) -> str:
        """The public way to it."""
        return self.settings.url.rstrip("/") or containers.address(self.settings.bind, self.settings.port or 0)

    @cached_property
    def engine(self) -> engine.Engine:
        """The engine it is on."""
        return engine.connect(self.name, self.settings.engine)

    @property
    def _record(self) -> str:
        return f"{self.compose_project}-record"

    @property
    def _lock(self) -> str:
        return f"{self.compose_project}-lock"

    def refuse_unfit(self) -> None:
        """Raise what would keep a release from ending here: engine, reach, secrets, disk or port."""
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
        if port is None or containers.address(bind, port) in containers.ways(
            [*self.containers(), *self.containers(FRONT)]
        ):
            return
        if why := fitness.why_taken(bind, port):
            hint = f"free it, or set environments.{self.name}.port or bind"
            raise errors.PortTaken(f"{self.name}: {bind}:{port}: {why}", hint)

    def containers(self, service: str = SERVER) -> tuple[Container, ...]:
        """Return the environment's containers of SERVICE, running or not, as the engine describes them."""
        argv = ["container", "ls", "--all", "--quiet", "--no-trunc"]
        argv += ["--filter", f"label=com.docker.compose.project={self.compose_project}"]
        ids = self.engine.run(*argv, "--filter", f"label=com.docker.compose.service={service}", timeout=30).text.split()
        told = [self.engine.describe("container", each) or b"" for each in ids]  # one may have gone away in between
        return tuple(container for data in told for container in containers.parse(data, self.name))

    def replicas(self) -> tuple[Replica, ...]:
        """Return what answers here, each with every digest the engine knows its image by."""
        return self._replicas(self._split(self.containers())[0])

    def _split(self, found: Sequence[Container]) -> tuple[list[Container], list[Container]]:
        """Return the containers in FOUND that get requests, and those beside them."""
        live = self._rolled[-1][1] if self._rolled else self.front.live() if len(found) > 1 else ""
        if not any(container.title == live for container in found):
            return list(found), []
        return [each for each in found if each.title == live], [each for each in found if each.title != live]

    def _replicas(self, found: Sequence[Container]) -> tuple[Replica, ...]:
        return tuple(container.replica(self._digests(container.image)) for container in found)

    def _digests(self, image: str) -> frozenset[str]:
        """Return the digests that the engine knows IMAGE, an id, by; an id names the same bytes for ever."""
        if image not in self._images:
            told = self.engine.inspect("image", image) or {}
            known = (str(name).rpartition("@")[2] for name in told.get("RepoDigests") or ())
            self._images[image] = frozenset({image, *known})
        return self._images[image]

    def ask(self, manifest: Manifest) -> Round:
        """Ask every replica from inside, and the public way, once; an engine that does not say is asked again."""
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
        found, aside = self._split(self.containers())
        before = self._replicas(found)
        answers = {replica.name: self._ask_inside(replica, manifest) for replica in before}
        for url in {self.settings.url.rstrip("/")} if self.settings.url else self._ways(found):
            answers[url] = probe.get_all(url, manifest.probes, settings.timeout)
        return Round(before=before, after=self.replicas(), answers=answers, aside=self._replicas(aside))

    def _ways(self, found: Sequence[Container]) -> list[str]:
        """Return the addresses that lead to FOUND: their own, or those of the front before them."""
        return containers.ways(found) or (containers.ways(self.containers(FRONT)) if found else [])

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
        """Ask CONTAINER alone, from inside, as PROBES say, until it has settled on the release of MANIFEST."""

        def ask() -> Round:
            replicas = listed()
            answers = {replica.name: self._ask_inside(replica, manifest) for replica in replicas}
            return Round(before=replicas, after=listed(), answers=answers)

        def listed() -> tuple[Replica, ...]:
            return self._replicas([each for each in self.containers() if each.id == container.id])

        probe.until_settled(manifest, probes, ask, self.name)

    def fetch(self, image: str) -> None:
        """Have the engine hold IMAGE, by digest; from the registry unless it is there."""
        if self.engine.inspect("image", image) is None:
            self.engine.run("pull", "--quiet", image, timeout=600)
        if self.settings.rolls and self.settings.front == "haproxy":
            self._fetch_front()

    def _fetch_front(self) -> None:
        """Have the engine hold the front's image: pulled by deploy.toml's digest, or built on the engine."""
        image = base.front(self.project)
        if self.engine.inspect("image", image) is not None:
            return
        if self.project.image.front:
            self.engine.run("pull", "--quiet", image, timeout=600)
        else:
            base.build(self.project, "front", image, self.engine)

    def any_image(self) -> str:
        """Return an image that the engine holds and that can hold the lock; empty when there is none."""
        volume = self.engine.inspect("volume", self._record) or {}
        told = str((volume.get("Labels") or {}).get(f"{render.LABEL}.image", ""))
        repository = self.project.image.repository
        others = (f"{repository}@{digest}" for digest in images.digests(self.engine, repository))
        for image in (*(container.image for container in self.containers()), told, *others):
            if image and self.engine.inspect("image", image):
                return str(image)
        return ""

    def forget(self, unwanted: Callable[[], Mapping[str, str]]) -> list[str]:
        """Have the engine drop the images and the manifests of the UNWANTED releases that no container uses."""
        return images.forget(self.engine, self.project.image.repository, unwanted())

    @contextlib.contextmanager
    def hold(self, image: str, holder: Holder) -> Iterator[Held]:
        """Hold the environment for HOLDER; IMAGE is one that the engine has, or gets by its digest."""
        label = f"{render.LABEL}.image={image}"
        self.engine.run("volume", "create", "--label", label, self._record)
        with lock.hold(self.engine, self._lock, image, self._record, holder) as held:
            volumes.sweep(self.engine, self.compose_project)
            yield held

    def held_by(self) -> Holder | None:
        """Return who holds the environment, since when and in which run; None when nobody does."""
        return lock.held_by(self.engine, self._lock)

    @property
    def _ledger(self) -> Ledger:
        owner, volume = self.compose_project, self._record
        return Ledger(engine=self.engine, owner=owner, volume=volume, any_image=self.any_image)

    def read(self, lock: Held | None = None) -> record.Record:
        """Return the environment's record; through LOCK where it is held."""
        return self._ledger.read(lock)

    def write(self, lock: Held, value: record.Record) -> None:
        """Make VALUE the environment's record; a reader sees it whole or not at all."""
        self._ledger.write(lock, value)

    def render(self, manifest: Manifest) -> str:
        """Return the Compose file of MANIFEST's release."""
        ours = self.settings.rolls and self.settings.front == "haproxy"
        return render.compose(self.project, self.name, manifest, base.front(self.project) if ours else "")

    def _compose(self, rendered: str, *argv: str, timeout: float) -> process.Outcome:
        with contextlib.suppress(OSError):  # for people to read; Compose does not
            tree.hide(self.project.work)
            tree.write_whole(self.project.work / "rendered" / self.name / "compose.yml", rendered.encode())
        # It reads no file but this one: neither `.env` nor what COMPOSE_FILE names.
        prefix = ["compose", "--project-directory", str(self.project.root), "--env-file", "/dev/null"]
        prefix += ["--project-name", self.compose_project, "--file", "-"]
        # Compose takes the values of secrets from its own environment: no file and no argv has them.
        env = {**surroundings.read("docker compose"), **secrets.read_for(self.project, self.name, rendered)}
        limit = timeout + self.settings.grace
        return self.engine.run(*prefix, *argv, timeout=limit, stdin=rendered.encode(), env=env, check=False)

    @property
    def front(self) -> Front:
        """The front that deploy.toml names: the site's Traefik, or else the environment's own service."""
        traefik = self.settings.traefik
        return self._front("", {"traefik": traefik.model_dump()} if traefik else {})

    def _front(self, rendered: str, settings: Mapping[str, Any]) -> Front:
        """Return the front of RENDERED, which says SETTINGS of it."""
        if traefik := settings.get("traefik"):
            return Traefik(engine=self.engine, owner=self.compose_project, settings=traefik, image=self.any_image())
        return HAProxy(
            engine=self.engine,
            compose=lambda *argv, timeout: self._compose(rendered, *argv, timeout=timeout),
            find=self.containers,
            hashes=lambda: self._hashes(rendered),
        )

    def _hashes(self, rendered: str) -> dict[str, str]:
        """Return, by service, the hash that Compose labels its containers of RENDERED with; empty if it takes none."""
        told = self._compose(rendered, "config", "--hash", "*", timeout=60)
        pairs = (line.split() for line in told.text.splitlines())
        return {} if told.code else {pair[0]: pair[1] for pair in pairs if len(pair) == 2}  # noqa: PLR2004 -- "NAME HASH"

    def is_applied(self, rendered: str) -> bool:
        """Say whether the container that runs is what Compose would make of RENDERED and the present secrets."""
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
        """Return what changes for users beside the replica: a front that is to be replaced. An engine tells no more."""
        settings = fronts.read(rendered)
        if settings is None or not self.containers():
            return ""
        way = self._front(rendered, settings)
        if way.is_placed:
            return ""
        had = way.live() or self.containers(FRONT)
        what = "its settings or its template changed" if had else "there is none yet"
        return f"the front is made anew ({what}): this rollout has a moment without an answer"

    def rehearse(self, rendered: str) -> None:
        """Raise `errors.ConfigInvalid` when RENDERED is no file of Compose's, or takes a secret that is not there."""
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
        """Have Compose run RENDERED, the release of MANIFEST; in a new container in any case when RECREATE.

        Where it rolls, the new replica is proven from inside before it goes live, and the previous one runs on until
        `retire`.
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
        """Have Compose replace the replica; a front that is there goes first, for it has the port."""
        _, aside = self._split(self.containers())
        self.front.remove()
        if spare := [container.id for container in aside]:
            self.engine.run("container", "rm", "--force", "--volumes", *spare, check=False)
        argv = ["up", "--detach", "--no-build", "--pull", "never", "--remove-orphans"]
        argv += ["--force-recreate", SERVER] if recreate else [SERVER]
        fronts.refuse_failed(self._compose(rendered, *argv, timeout=180), self.name)

    def retire(self, lock: Held) -> None:
        """End the replicas that requests no longer reach: those that the last `apply` has replaced."""
        for rolling, _ in self._rolled:
            lock.check()
            rolling.retire()
            if not isinstance(rolling.front, HAProxy):
                self._front("", {}).remove()
        self._rolled.clear()

    def _remove_unstarted(self) -> None:
        """Remove what a Compose that was cut off had made and not started: the next would stumble over its name."""
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
        """The front and the replica that it sends requests to; empty if a replica has the port itself."""
        if not self.settings.traefik and not self.containers(FRONT):
            return ""
        return f"{self.front.title}, sends requests to {self.front.live() or 'nobody'}"

    def logs(self, lines: int, *, follow: bool = False, front: bool = False) -> str:
        """Return the last LINES lines that each replica, or the FRONT, wrote; with FOLLOW, pass on what comes."""
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
        """Stop and remove the replica, its front and its network; volumes and the record stay."""
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
