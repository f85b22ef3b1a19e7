"""A site on Compose whose releases are killed: with a registry of its own, and gated revisions, good and bad ones."""

import contextlib
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.events import Events
from chaos.instant import ENGINE, REGISTRY
from lab import children, images
from lab.local_engine import LocalEngine
from lab.registry import Registry
from lab.site import IN_A_CONTAINER, ROOT, Done, Site

ROUNDS = 2
"""How many rounds of asking prove a release here."""

PROBES = f"deadline = 60\nconsecutive = {ROUNDS}\ninterval = 0.1"
MANIFESTS = 3
"""How many manifests an engine keeps: the present release's, the one's before, and that of what failed last."""

BAD = ("dead", "bad")
"""The revisions that are not to be released: one ends at once, one says it is another."""

KEPT = 4
"""Of how many releases the images stay on the engine: those that can still be put back to, and some."""


@dataclass(kw_only=True)
class World:
    """What a trial works on; `site` names the repository of the release at hand."""

    site: Site
    store: Registry
    base: str = ""
    events: Events | None = None
    engine: LocalEngine | None = None
    revisions: dict[str, str] = field(default_factory=dict)
    running: str = "one"
    number: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    runtime = "compose"

    @property
    def faults(self) -> tuple[str, ...]:
        """The parts that may be stopped here; an engine only where it is this world's own."""
        return (REGISTRY, ENGINE) if self.engine else (REGISTRY,)

    @contextlib.contextmanager
    def apart(self, how: str) -> Iterator[None]:  # noqa: ARG002 -- what is stopped here is this world's own
        """Have nobody else use what is stopped when a release is struck as HOW says, until the block ends."""
        yield

    @contextlib.contextmanager
    def beside(self, how: str) -> Iterator[None]:  # noqa: ARG002 -- nobody else stops what is this world's own
        """Have nobody stop what is used when a release is struck as HOW says, until the block ends."""
        yield

    @contextlib.contextmanager
    def without(self, part: str) -> Iterator[None]:
        """Have PART, one of the faults, not run until the block ends; any other is not touched."""
        if part == REGISTRY:
            self.store.stop()
        elif part == ENGINE and self.engine:
            self.engine.kill()
        try:
            yield
        finally:
            if part == REGISTRY:
                self.store.start()
            elif part == ENGINE and self.engine:
                self._switch_on(self.engine)

    def _switch_on(self, engine: LocalEngine) -> None:
        engine.start()
        if self.events:
            self.events.follow()
        # It begins what ran when it lost its power, one after the other.
        argv = ("ps", "--all", "--format", "{{.State}}", "--filter", "label=com.docker.compose.service=server")
        began = lambda: not {"restarting", "dead"} & set(self.site.docker(*argv).stdout.split())  # noqa: E731
        children.wait_until(began, "the containers of an engine that is back", seconds=60)

    def next_release(self, *, bad: bool) -> str:
        """Have the site be about to release something that no registry and no environment has; return its revision.

        It is one of the gated trees under another repository's name, so that all after the gates is to be done anew.
        """
        self.number += 1
        self.site = dataclasses.replace(self.site, repository=f"{self.store.name}/sf{self.number}")
        self.configure(self.site)
        wanted = BAD[self.number % len(BAD)] if bad else next(name for name in ("one", "two") if name != self.running)
        self.site.git("checkout", "--quiet", "--detach", self.revisions[wanted])
        self._forget_images()
        return self.revisions[wanted]

    def configure(self, site: Site) -> None:
        """Write SITE's deploy.toml."""
        site.configure(probes=PROBES, image=f'base = "{self.base}"')

    def settled(self, revision: str) -> None:
        """Remember that both environments run the good REVISION."""
        self.running = next(name for name, known in self.revisions.items() if known == revision)

    @contextlib.contextmanager
    def clone(self) -> Iterator[Site]:
        """Give the project as somebody else has it who has just cloned it, and who is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="clone-", dir=self.site.folder.parent) as folder:
            yield self.site.cloned(Path(folder) / "c")

    def ask(self, path: str) -> tuple[int, bytes]:
        """Return what the registry has at PATH of the repository at hand."""
        name = self.site.repository.partition("/")[2]
        kinds = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        kinds += ", application/vnd.docker.distribution.manifest.v2+json"
        return self.store.ask(f"/v2/{name}/{path}", headers={"Accept": kinds})

    def pushed(self, since: int) -> list[str]:
        """Return what was put into the repository at hand after the first SINCE bytes of its log."""
        name = self.site.repository.partition("/")[2]
        with self.store.log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        puts = [line.partition('"PUT ')[2].partition(" ")[0] for line in lines if f'"PUT /v2/{name}/' in line]
        return [path for path in puts if "/manifests/kept-" not in path]

    def states(self, environment: str) -> dict[str, str]:
        """Return the states of the replicas of ENVIRONMENT by their names, as the engine has them."""
        labels = (f"project={self.site.name}-{environment[0]}", "service=server")
        filters = [word for label in labels for word in ("--filter", f"label=com.docker.compose.{label}")]
        listed = self.site.docker("ps", "--all", "--format", "{{.Names}} {{.State}}", *filters).stdout
        return dict(line.split() for line in listed.splitlines())

    def is_held(self, environment: str) -> bool:
        """Say whether somebody may hold ENVIRONMENT."""
        return bool(self.containers(f"name=^/{self.site.name}-{environment[0]}-lock$", "status=running"))

    def unproven(self) -> list[str]:
        """Return every start of prod with what test had not been asked about before, as the engine tells."""
        test, prod = (self.site.container(name) for name in ("test", "prod"))
        if not self.events:
            return ["nobody listened to the engine"]
        bad = [f"prod ran the {name} revision" for name in BAD if self.events.ran(prod, self.revisions[name])]
        return bad + self.events.unproven(test, prod, ROUNDS)

    def left(self) -> list[str]:
        """Return what is left on the engine that a release which is done leaves not behind."""
        site = self.site
        expected = {site.container("test"), site.container("prod")}
        ours, wrong = set(self.containers(f"name={site.name}-")), []
        # The one that writes a manifest has no name of ours: it is known by its image.
        listed = site.docker("ps", "--all", "--format", "{{.Names}} {{.Image}}").stdout.splitlines()
        ours |= {line.split()[0] for line in listed if line.partition(" ")[2].startswith(f"{self.store.name}/")}
        for name in ("t", "p"):
            ours |= {*self.containers(f"volume={site.name}-{name}-record")}
            ours |= {*self.containers(f"label=com.docker.compose.project={site.name}-{name}")}
            label = f"label=dev.selfdeploy.project={site.name}-{name}"
            volumes = site.docker("volume", "ls", "--quiet", "--filter", label).stdout.split()
            if len(volumes) > MANIFESTS:
                wrong.append(f"{name}: manifests are left: {volumes}")
        return wrong + [f"a container is left: {name}" for name in sorted(ours - expected)]

    def containers(self, *filters: str) -> list[str]:
        """Return the names of the containers that match all FILTERS, running or not."""
        argv = [word for one in filters for word in ("--filter", one)]
        return self.site.docker("ps", "--all", "--format", "{{.Names}}", *argv).stdout.split()

    def record(self, environment: str) -> dict[str, Any]:
        """Return the record of ENVIRONMENT, read past the tool; empty when there is none."""
        image = self.site.inspect(environment).get("Image", "") or self.base
        volume = f"{self.site.name}-{environment[0]}-record:/r:ro"
        argv = ["run", "--rm", "--network", "none", "--volume", volume, "--entrypoint", "cat", image, "/r/record.json"]
        return dict(json.loads(self.site.docker(*argv).stdout or self.site.docker(*argv).stdout or "{}"))

    def _forget_images(self) -> None:
        old = f"{self.store.name}/sf{self.number - KEPT}"
        told = self.site.docker("image", "ls", "--digests", "--format", "{{.Digest}}", old).stdout.split()
        names = [f"{old}@{digest}" for digest in told if digest.startswith("sha256:")]
        names += self.site.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", old).stdout.split()
        if names:
            self.site.docker("image", "rm", *names)  # what an environment still runs stays

    def must(self, done: Done) -> Done:
        """Return DONE, which has to have ended well."""
        if done.returncode:
            raise children.LabError(f"{done.args}: exit code {done.returncode}: {done.stderr}")
        return done


def prepare(world: World) -> None:
    """Gate the revisions of WORLD's site, and release a good one."""
    site = world.site
    world.base = world.must(site.inv("base", "--quiet")).stdout.strip()
    world.revisions["one"] = site.revision
    site.git("commit", "--quiet", "--allow-empty", "--message", "two")
    world.revisions["two"] = site.revision
    world.revisions["bad"] = site.answer_as_another_revision()
    world.revisions["dead"] = site.begin_server(f"{IN_A_CONTAINER} process.exit(1);", "ends at once")
    world.configure(site)
    for name in (*BAD, "two", "one"):
        site.git("checkout", "--quiet", "--detach", world.revisions[name])
        world.must(site.inv("gates"))
    world.must(site.inv("release"))


@contextlib.contextmanager
def begin(ship: Path, folder: Path, engine: LocalEngine | None = None) -> Iterator[World]:
    """Give a world below FOLDER that has released a good revision; SHIP is what the real gates built.

    ENGINE is one of its own, which may lose its power; the machine's when left out.
    """
    url = engine.url if engine else ""
    with Registry() as store, Events(folder, url) as events:
        site = Site(folder=folder / "site", repository=f"{store.name}/sf0", ship=ship, engine=url)
        site.folder.mkdir()
        site.lay_out()
        world = World(site=site, store=store, events=events, engine=engine)
        try:
            prepare(world)
            yield world
        finally:
            site.close()
            images.forget(store.name)


@contextlib.contextmanager
def begin_apart(ship: Path, folder: Path) -> Iterator[World]:
    """Give a world as `begin` does, with an engine of its own."""
    with LocalEngine() as engine, begin(ship, folder, engine) as world:
        yield world


@contextlib.contextmanager
def built() -> Iterator[Path]:
    """Give what the application's real gates build, made now."""
    with tempfile.TemporaryDirectory(prefix="selfdeploy-chaos-") as scratch:
        site = Site(folder=Path(scratch) / "application")
        site.folder.mkdir()
        site.lay_out()
        done = site.nox()
        if done.returncode:
            raise children.LabError(f"the gates of {ROOT / 'examples' / 'sf'}: {done.stderr}")
        yield site.shipped
        shutil.rmtree(site.folder)
