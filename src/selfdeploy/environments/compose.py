"""An environment on a Docker engine, run by Compose: one replica, replaced by each release."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from python_on_whales.exceptions import DockerException

from selfdeploy import config, errors, probe, process, render, surroundings, tree
from selfdeploy.environments import Lock as Held
from selfdeploy.environments import containers, engine, fitness, images, lock, proxies, record, secrets, volumes
from selfdeploy.environments.containers import Container
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
        return "a rollout replaces the container: a moment without an answer"

    @property
    def patience(self) -> float:
        """None: Compose ends a container before it starts the next."""
        return 0.0

    @property
    def url(self) -> str:
        """The public way to it."""
        return self.settings.url.rstrip("/") or address(self.settings.bind, self.settings.port)

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
        secrets.read(self.project, self.name)
        fitness.refuse_few_cpus(self.engine, self.settings.cpus, f"environments.{self.name}.cpus")
        if not self.engine.is_remote:
            fitness.refuse_full_disk(self.engine)
            if address(self.settings.bind, self.settings.port) not in _published(self.containers()):
                self._refuse_taken_port()

    def _refuse_taken_port(self) -> None:
        bind, port = self.settings.bind, self.settings.port
        if why := fitness.why_taken(bind, port):
            hint = f"free it, or set environments.{self.name}.port or bind"
            raise errors.PortTaken(f"{self.name}: {bind}:{port}: {why}", hint)

    def containers(self) -> tuple[Container, ...]:
        """Return the environment's containers, running or not, as the engine describes them."""
        argv = ["container", "ls", "--all", "--quiet", "--no-trunc"]
        argv += ["--filter", f"label=com.docker.compose.project={self.compose_project}"]
        ids = self.engine.run(*argv, "--filter", "label=com.docker.compose.service=server", timeout=30).text.split()
        told = [self.engine.describe("container", each) or b"" for each in ids]  # one may have gone away in between
        return tuple(container for data in told for container in containers.parse(data, self.name))

    def replicas(self) -> tuple[Replica, ...]:
        """Return what the engine runs here, each with every digest the engine knows its image by."""
        return self._replicas(self.containers())

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
        found = self.containers()
        before = self._replicas(found)
        answers: dict[str, dict[str, Answer]] = {}
        question = probe.question(manifest, settings, self.settings.secrets)
        for replica in before:
            argv = ["exec", *surroundings.inside(), replica.name, "node", "-e", probe.SCRIPT, question]
            try:
                told = self.engine.run(*argv, timeout=settings.timeout + 5, check=False).stdout
            except errors.CommandTimedOut:
                told = b""
            answers[replica.name] = probe.read_answers(told[: 8 * probe.LIMIT])
        for url in {self.settings.url.rstrip("/")} if self.settings.url else _published(found):
            answers[url] = probe.get_all(url, manifest.probes, settings.timeout)
        return Round(before=before, after=self.replicas(), answers=answers)

    def fetch(self, image: str) -> None:
        """Have the engine hold IMAGE, by digest; from the registry unless it is there."""
        if self.engine.inspect("image", image) is None:
            self.engine.run("pull", "--quiet", image, timeout=600)

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

    def read(self, lock: Held | None = None) -> record.Record:
        """Return the environment's record; through LOCK where it is held."""
        if lock:
            argv = ("exec", *surroundings.inside(), lock.container, "cat", "/record/record.json")
            told = volumes.insist(lambda: self.engine.run(*argv, check=False))
            self._refuse_lost(told)
        else:
            volume = self.engine.inspect("volume", self._record)
            if volume is None:
                return record.Record()
            image = self.any_image() or str((volume.get("Labels") or {}).get(f"{render.LABEL}.image", ""))
            if not image:
                raise errors.ImageGone(
                    f"{self.name}: volume {self._record}: nothing here can read it: no image of a release is left",
                    "inv release brings one",
                )
            told = volumes.read(self.engine, image, self.compose_project, self._record, "record.json")
        if told.code and b"No such file" in told.stderr:
            return record.Record()
        if told.code:
            raise errors.CommandFailed(f"{self.name}: the record cannot be read", told.complaint)
        return record.parse(told.stdout, f"{self.name}: record")

    def write(self, lock: Held, value: record.Record) -> None:
        """Make VALUE the environment's record; a reader sees it whole or not at all."""
        lock.check()
        data = value.model_dump_json().encode()
        argv = ["exec", "--interactive", *surroundings.inside(), lock.container, "node"]
        argv += volumes.script("/record/record.json", data)
        told = volumes.insist(lambda: self.engine.run(*argv, stdin=data, check=False))
        self._refuse_lost(told)
        if told.code or told.stdout != data:
            raise errors.CommandFailed(f"{self.name}: the record was not written", told.complaint)

    def _refuse_lost(self, told: process.Outcome) -> None:
        if told.code and ("No such container" in told.complaint or "is not running" in told.complaint):
            raise errors.LockLost(f"{self.name}: the lock went away", "run the command again")

    def render(self, manifest: Manifest) -> str:
        """Return the Compose file of MANIFEST's release."""
        return render.compose(self.project, self.name, manifest)

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

    def is_applied(self, rendered: str) -> bool:
        """Say whether the container that runs is what Compose would make of RENDERED and the present secrets."""
        found = self.containers()
        if len(found) != 1:
            return False
        image = self.engine.inspect("image", found[0].image) or {}
        if proxies.foreign(found[0].config.env or (), image, rendered):
            return False
        told = self._compose(rendered, "config", "--hash", "server", timeout=60)
        wanted = told.text.split()[-1:] if not told.code else []
        return wanted == [found[0].labels.get("com.docker.compose.config-hash")]

    def difference(self, rendered: str) -> str:  # noqa: ARG002 -- Compose compares hashes
        """Return nothing: an engine knows what runs, and not what it was rendered from."""
        return ""

    def rehearse(self, rendered: str) -> None:
        """Raise `errors.ConfigInvalid` when RENDERED is no file of Compose's, or takes a secret that is not there."""
        told = self._compose(rendered, "config", "--quiet", timeout=60)
        if told.code:
            raise errors.ConfigInvalid(
                f"{self.name}: docker compose config: {told.complaint}",
                "compare templates/compose.yml.j2 with the one that comes with selfdeploy; nothing was changed",
            )

    def apply(self, lock: Held, manifest: Manifest, rendered: str, *, recreate: bool = False) -> None:
        """Have Compose run RENDERED, the release of MANIFEST; in a new container in any case when RECREATE."""
        self._place_manifest(manifest)
        lock.check()
        self._remove_unstarted()
        argv = ["up", "--detach", "--no-build", "--pull", "never", "--remove-orphans"]
        argv += ["--force-recreate", "server"] if recreate else ["server"]
        outcome = self._compose(rendered, *argv, timeout=180)
        if outcome.code:
            said = outcome.complaint
            if "port is already allocated" in said or "address already in use" in said:
                raise errors.PortTaken(f"{self.name}: port {self.settings.port} is taken", "free it or name another")
            if told := [line for line in said.splitlines() if "OCI runtime" in line]:  # as of a command it has not got
                raise errors.ReplicaFailed(f"{self.name}: {told[-1]}", "mend the image")
            raise errors.CommandFailed(f"{self.name}: docker compose up: exit code {outcome.code}", said)

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

    def logs(self, lines: int, *, follow: bool = False) -> str:
        """Return the last LINES lines that each replica wrote; with FOLLOW, pass on what comes until interrupted."""
        told = []
        for container in self.containers():
            argv = ["logs", "--tail", str(lines), container.name.lstrip("/")]
            if follow:
                self.engine.follow(*argv[:1], "--follow", *argv[1:])
            else:
                outcome = self.engine.run(*argv, check=False)
                told.append((outcome.stdout + outcome.stderr).decode(errors="replace"))
        return "\n".join(told)

    def down(self, lock: Held) -> None:
        """Stop and remove the replica and its network; volumes and the record stay."""
        lock.check()
        limit, project = 120 + self.settings.grace, self.compose_project
        client = self.engine.client(limit, like="docker compose", compose_project_name=project)
        try:
            client.compose.down(remove_orphans=True, quiet=True)
        except DockerException as exc:
            raise errors.CommandFailed(f"{self.name}: docker compose down: {exc.return_code}", str(exc.stderr)) from exc


def _published(found: Sequence[Container]) -> list[str]:
    """Return the addresses that the containers FOUND are published at; those of what runs, not of deploy.toml."""
    return [address(*one) for container in found for one in container.published]


def address(bind: str, port: int) -> str:
    """Return the address at which what is published on BIND at PORT is reached."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 -- all addresses are reached by loopback
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
