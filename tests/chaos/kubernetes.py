"""A site on Kubernetes whose releases are killed: two namespaces of a real cluster; its own events are the witness."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import world
from chaos.instant import API, REGISTRY
from lab import children, cluster, images
from lab.cluster import audit
from lab.cluster import site as sites
from lab.registry import Registry
from lab.site import Site as Plain
from selfdeploy.environments import record
from selfdeploy.environments.kubernetes import asking, verdict

MANIFESTS = record.PROVEN + 4
"""How many manifests a namespace keeps: of all that is proven, and of what replica sets may still be scaled up from."""


@dataclass(kw_only=True)
class World(world.World):
    """What a trial works on."""

    site: sites.Site

    runtime = "kubernetes"

    @property
    def faults(self) -> tuple[str, ...]:
        """The parts that may be stopped here; those of another cluster are not ours to stop."""
        return (REGISTRY,) if os.environ.get(cluster.KUBECONFIG) else (REGISTRY, API)

    @contextlib.contextmanager
    def apart(self, how: str) -> Iterator[None]:
        """Have no test use the cluster when its API server is what is stopped, until the block ends."""
        with cluster.turn(alone=True) if how == API else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def beside(self, how: str) -> Iterator[None]:
        """Have no test stop parts of the cluster while a trial uses it that stops none itself, until the block ends."""
        with cluster.turn(alone=False) if how != API else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def without(self, part: str) -> Iterator[None]:
        """Have PART, one of the faults, not run until the block ends; any other is not touched."""
        if part != API:
            with super().without(part):
                yield
            return
        cluster.kill("kube-apiserver")
        try:
            yield
        finally:
            cluster.provide()

    def configure(self, site: Plain) -> None:
        """Write SITE's deploy.toml."""
        site.configure(probes=world.PROBES, image=f'base = "{self.base}"', prod="replicas = 1")

    def states(self, environment: str) -> dict[str, str]:
        """Return the states, by their names, of the pods of ENVIRONMENT that are not on their way out."""
        return {pod["metadata"]["name"]: asking.state(pod) for pod in self.site.pods(environment).values()}

    def is_held(self, environment: str) -> bool:  # noqa: ARG002
        """Return false: a Lease tells of its holder also when that one is gone, as all are who are asked for here."""
        return False

    def record(self, environment: str) -> dict[str, Any]:
        """Return the record of ENVIRONMENT, read past the tool; empty when there is none."""
        try:
            return self.site.record(environment)
        except (children.LabError, KeyError):
            return {}

    def unproven(self) -> list[str]:
        """Return every image that a node was told to run for prod and that test had not answered as before."""
        sets = self.site.get("prod", "replicasets")["items"]
        told = {(one["metadata"].get("annotations") or {}).get("dev.selfdeploy/revision") for one in sets}
        bad = [f"prod was to run the {name} revision" for name in world.BAD if self.revisions[name] in told]
        tested, prod = self._tested(), _first(self._started("prod"))
        return bad + [
            f"prod ran {image} at {at}, and test had answered as it at {tested.get(image, [])}"
            for image, at in prod.items()
            if sum(one <= at for one in tested.get(image, [])) < self._needed
        ]

    @property
    def _needed(self) -> int:
        """How often test has to have answered; of another cluster's API server nobody here knows what it was asked."""
        return 1 if os.environ.get(cluster.KUBECONFIG) else world.ROUNDS

    def _tested(self) -> dict[str, list[str]]:
        """Return when test answered which build it is, by image; on another cluster when it was started, no more."""
        started = self._started("test")
        if os.environ.get(cluster.KUBECONFIG):
            return {image: [at] for image, at in _first(started).items()}
        found: dict[str, list[str]] = {}
        for pod, at in audit.answered(self.site.namespace("test"), "/api/version"):
            for image in started.get(pod, {}):
                found.setdefault(image, []).append(at)
        return found

    def _started(self, environment: str) -> dict[str, dict[str, str]]:
        """Return the images that each pod of ENVIRONMENT was started with, each with the second when that was first."""
        found: dict[str, dict[str, str]] = {}
        for event in self.site.get(environment, "events")["items"]:
            at = str(event.get("firstTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
            if event["reason"] in ("Pulled", "Pulling"):
                image = next((w for w in event["message"].replace('"', " ").split() if "@sha256:" in w), "")
                if image:
                    images = found.setdefault(event["involvedObject"]["name"], {})
                    images[image] = min(at[: audit.SECOND], images.get(image, at))
        return found

    def left(self) -> list[str]:
        """Return what is left in the namespaces that a release which is done leaves not behind."""
        wrong = []
        for name in ("test", "prod"):
            with contextlib.suppress(children.LabError):
                children.wait_until(lambda name=name: len(self._pods(name)) == 1, "one pod", seconds=60)  # type: ignore[misc]
            if len(pods := self._pods(name)) != 1:
                wrong.append(f"{name}: pods are left: {pods}")
            maps = [one["metadata"]["name"] for one in self.site.get(name, "configmaps")["items"]]
            manifests = [one for one in maps if "-manifest-" in one]
            if len(manifests) > MANIFESTS:
                wrong.append(f"{name}: manifests are left: {manifests}")
            if jobs := self.site.get(name, "jobs")["items"]:
                wrong.append(f"{name}: jobs are left: {jobs}")
        return wrong

    def _pods(self, environment: str) -> list[str]:
        listed = self.site.get(environment, "pods")["items"]
        return [pod["metadata"]["name"] for pod in listed if not verdict.is_leaving(pod)]


def _first(started: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return when each image was started first, of what was STARTED, by pod."""
    found: dict[str, str] = {}
    for images_of in started.values():
        for image, at in images_of.items():
            found[image] = min(at, found.get(image, at))
    return found


class OnKine(World):
    """A world whose cluster stores its objects as k3s does."""

    runtime = "kine"


@contextlib.contextmanager
def begin(ship: Path, folder: Path, kind: type[World] = World) -> Iterator[World]:
    """Give a world of KIND below FOLDER that has released a good revision; SHIP is what the real gates built."""
    real = cluster.provide()
    with contextlib.ExitStack() as held:
        store = held.enter_context(Registry(port=held.enter_context(cluster.registry_port())))
        held.callback(images.forget, store.name)
        place = folder / "site"
        place.mkdir()
        made = held.enter_context(sites.make(real, place, ship, f"{store.name}/sf0"))
        here = kind(site=made, store=store)
        world.prepare(here)
        yield here


def begin_on_kine(ship: Path, folder: Path) -> contextlib.AbstractContextManager[World]:
    """Give what `begin` does, with the lab's cluster brought up on kine; one on etcd is brought down before."""
    os.environ.pop(cluster.KUBECONFIG, None)
    os.environ[cluster.STORAGE] = "kine"
    return begin(ship, folder, OnKine)
