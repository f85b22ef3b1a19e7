"""A site on Kubernetes whose releases are killed: two namespaces of a real cluster; its own events are the witness."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import world
from chaos.instant import API, REGISTRY
from lab import children, cluster, images
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

    def states(self, environment: str) -> list[str]:
        """Return the states of the pods of ENVIRONMENT that are not on their way out."""
        return [asking.state(pod) for pod in self.site.pods(environment).values()]

    def is_held(self, environment: str) -> bool:
        """Say whether somebody may hold ENVIRONMENT: a Lease tells of its holder also when that one is gone."""
        leases = self.site.get(environment, "leases")["items"]
        return any(lease["spec"].get("holderIdentity") for lease in leases)

    def record(self, environment: str) -> dict[str, Any]:
        """Return the record of ENVIRONMENT, read past the tool; empty when there is none."""
        try:
            return self.site.record(environment)
        except (children.LabError, KeyError):
            return {}

    def unproven(self) -> list[str]:
        """Return every image that a node was told to run for prod and had not started for test before."""
        test, prod = (self._started(name) for name in ("test", "prod"))
        sets = self.site.get("prod", "replicasets")["items"]
        told = {(one["metadata"].get("annotations") or {}).get("dev.selfdeploy/revision") for one in sets}
        bad = ["prod was to run the bad revision"] if self.revisions["bad"] in told else []
        return bad + [
            f"prod ran {image} at {at}, and test had not, {test.get(image, 'never')}"
            for image, at in prod.items()
            if test.get(image, "9") > at
        ]

    def _started(self, environment: str) -> dict[str, str]:
        """Return the images that containers were started with in ENVIRONMENT, each with when that was first."""
        events = self.site.get(environment, "events")["items"]
        found: dict[str, str] = {}
        for event in events:
            at = str(event.get("firstTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
            if event["reason"] in ("Pulled", "Pulling"):
                image = next((w for w in event["message"].replace('"', " ").split() if "@sha256:" in w), "")
                if image:
                    found[image] = min(at, found.get(image, at))
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


@contextlib.contextmanager
def begin(ship: Path, folder: Path) -> Iterator[World]:
    """Give a world below FOLDER that has released a good revision; SHIP is what the real gates built."""
    real = cluster.provide()
    with contextlib.ExitStack() as held:
        store = held.enter_context(Registry(port=held.enter_context(cluster.registry_port())))
        held.callback(images.forget, store.name)
        place = folder / "site"
        place.mkdir()
        made = held.enter_context(sites.make(real, place, ship, f"{store.name}/sf0"))
        # The parts of another cluster are not ours to stop.
        faults = (REGISTRY,) if os.environ.get(cluster.KUBECONFIG) else (REGISTRY, API)
        here = World(site=made, store=store, faults=faults)
        world.prepare(here)
        yield here
