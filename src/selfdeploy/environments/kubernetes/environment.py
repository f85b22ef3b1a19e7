"""An environment in a Kubernetes namespace: so many replicas, rolled by their Deployment."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from selfdeploy import config, errors, probe, render
from selfdeploy.environments import Lock as Held
from selfdeploy.environments import record
from selfdeploy.environments.kubernetes import asking, inside, kubeconfig, lease, objects, rolling
from selfdeploy.environments.kubernetes.api import Api, Object
from selfdeploy.environments.kubernetes.kubectl import Kubectl
from selfdeploy.environments.kubernetes.record import Ledger
from selfdeploy.manifest import Manifest
from selfdeploy.provenance import Holder, read_holder
from selfdeploy.witness import Replica, Round


@dataclass(frozen=True)
class Kubernetes:
    """One environment of kind `kubernetes`."""

    project: config.Project
    name: str

    @property
    def settings(self) -> config.Kubernetes:
        """What deploy.toml says of it."""
        return self.project.kubernetes(self.name)

    @property
    def continuity(self) -> str:
        """How a rollout goes for who uses it."""
        if self.settings.rolls and not self.settings.drain:
            return "a rollout replaces one pod after the other, without a drain: some requests may go unanswered"
        if self.settings.rolls:
            return "a rollout replaces one pod after the other: no moment without an answer"
        return "a rollout ends all pods before it makes new ones: no answer in between"

    @property
    def patience(self) -> float:
        """Seconds that pods which have been replaced have to go: as many as a rollout has."""
        return self.settings.deadline

    @property
    def url(self) -> str:
        """The public way to it; or else what it is called in its cluster."""
        settings = self.settings
        return settings.public_url or f"service/{settings.name} in {settings.namespace} of {settings.context}"

    @cached_property
    def api(self) -> Api:
        """The API server, as the person's own kubectl reaches it."""
        settings = self.settings
        kubectl = Kubectl(
            name=self.name,
            command=settings.kubectl,
            context=settings.context,
            namespace=settings.namespace,
            kubeconfig=kubeconfig.find(self.project, self.name),
        )
        return Api(kubectl=kubectl)

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self.api, f"{self.settings.name}-record")

    @cached_property
    def _objects(self) -> objects.Objects:
        return objects.Objects(api=self.api, selector=f"{self._selector},{render.MANAGED_BY}={objects.MANAGER}")

    @property
    def _selector(self) -> str:
        return ",".join(f"{key}={value}" for key, value in render.selector(self.settings).items())

    @property
    def _lease(self) -> str:
        return f"{self.settings.name}-lock"

    def refuse_unfit(self) -> None:
        """Raise what would keep a release from ending here: the way in, the namespace, rights, a paused Deployment."""
        lease.rehearse(self.api, self._lease)
        name = self.settings.name
        rolling.rehearse(self.api, rolling.queries(name, self._selector, name))
        if self.project.probes.needs_token:
            inside.rehearse(self.api.kubectl)
        deployment = self._deployment()
        if deployment and deployment["spec"].get("paused"):
            raise rolling.paused(self.name, deployment)

    def _deployment(self) -> Object | None:
        return self.api.get("apps/v1", "deployments", self.settings.name)

    def fetch(self, image: str) -> None:
        """Do nothing: the nodes pull IMAGE, by its digest, when a pod needs it."""

    def hold(self, image: str, holder: Holder) -> AbstractContextManager[Held]:  # noqa: ARG002 -- a Lease runs none
        """Hold the environment for HOLDER."""
        return lease.hold(self.api, self._lease, holder)

    def held_by(self) -> Holder | None:
        """Return who holds the environment, since when and in which run; None when nobody does."""
        return lease.held_by(self.api, self._lease)

    def read(self, lock: Held | None = None) -> record.Record:
        """Return the environment's record; through LOCK where it is held."""
        if lock is None:
            return self._ledger.peek()
        lock.check()
        return self._ledger.read()

    def write(self, lock: Held, value: record.Record) -> None:
        """Make VALUE the environment's record; a reader sees it whole or not at all."""
        lock.check()
        self._ledger.write(value)

    def render(self, manifest: Manifest) -> str:
        """Return the objects of MANIFEST's release, as YAML."""
        return render.kubernetes(self.project, self.name, manifest)

    def is_applied(self, rendered: str) -> bool:
        """Say whether applying RENDERED would change nothing in the cluster."""
        return not self.difference(rendered)

    def difference(self, rendered: str) -> str:
        """Return, as a diff against the cluster, what `apply` of RENDERED would change; the server says what that is.

        Raises what `rehearse` raises.
        """
        wanted = objects.parse(rendered)
        changes = self._objects.changes(wanted)
        self._refuse_paused(changes)
        told = [str(change) for change in changes if change.is_one]
        return "\n".join([*told, *(f"--- {objects.describe(thing)}" for thing in self._surplus(wanted))])

    def rehearse(self, rendered: str) -> None:
        """Raise why the cluster would not take RENDERED: another manager's fields, policy, rights, a pause."""
        self.difference(rendered)

    def apply(
        self,
        lock: Held,
        manifest: Manifest,
        rendered: str,
        *,
        recreate: bool = False,
        answered: Collection[str] | None = None,  # noqa: ARG002 -- a Deployment proves nothing
    ) -> None:
        """Apply RENDERED, the release of MANIFEST, and wait until it is rolled out.

        When RECREATE, pods are made anew although nothing of it has changed; where something has, that is mended first.

        Raises:
            what `Rollout.wait` raises, and what keeps the objects from being applied.
        """
        wanted = [self._signed(thing) for thing in objects.parse(rendered)]
        applied = objects.one(wanted, "Deployment")
        # An API server that goes away is waited for by whatever can be asked again, as it is by the rollout.
        patience = self.settings.deadline
        changes = self.api.insist(lambda: self._objects.changes(wanted), patience)
        self._refuse_paused(changes)
        lock.check()
        for change in changes:
            if change.is_one or change.wanted["kind"] == "Deployment":
                if change.before is None:
                    lock.check()  # what is new has no version that would tell
                lease.of(lock).refuse_lost()
                made = self._objects.apply(change.wanted, change.before)
                applied = made if change.wanted["kind"] == "Deployment" else applied
        changed = any(change.is_one for change in changes)
        if recreate and not changed and not self.api.insist(lambda: self._surplus(wanted), patience):
            applied = self._objects.restart(applied)
        rollout = rolling.Rollout(
            api=self.api,
            applied=applied,
            selector=self._selector,
            service=objects.one(wanted, "Service")["metadata"]["name"],
            images=manifest.image.digests,
            deadline=self.settings.deadline,
        )
        # Whether there is any is found out while the pods come up; what it is then like, when the rollout is done.
        left = self.api.insist(
            lambda: objects.without(self._objects.surplus(wanted), self._proven_manifests()), patience
        )
        rollout.wait(lease.of(lock).refuse_lost)
        for thing in self.api.insist(lambda: self._surplus(wanted), patience) if left else ():
            lock.check()
            self._objects.delete(thing)

    def _signed(self, thing: Object) -> Object:
        """Return THING with the CI run that applies it; on the Deployment alone, never in what its pods are made of."""
        run = read_holder().run
        if thing["kind"] != "Deployment" or not run:
            return thing
        metadata = thing["metadata"]
        notes = {**(metadata.get("annotations") or {}), objects.RUN: run}
        return {**thing, "metadata": {**metadata, "annotations": notes}}

    def _refuse_paused(self, changes: Sequence[objects.Change]) -> None:
        for change in changes:
            if change.wanted["kind"] == "Deployment" and change.after["spec"].get("paused"):
                raise rolling.paused(self.name, change.after)

    def _surplus(self, wanted: Sequence[Object]) -> list[Object]:
        """Return what is left of other releases and is not needed: not by one that may be put back either."""
        return objects.without(self._objects.surplus(wanted), self._proven_manifests() | self._mounted_manifests())

    def _proven_manifests(self) -> set[str]:
        """Return the names of the ConfigMaps that a put back would need."""
        parsed = (objects.parse(proven.rendered) for proven in self._ledger.peek().proven)
        return {thing["metadata"]["name"] for things in parsed for thing in things if thing["kind"] == "ConfigMap"}

    def _mounted_manifests(self) -> set[str]:
        """Return the names of the ConfigMaps that pods of a ReplicaSet mount, or would."""
        listed, _ = self.api.list("apps/v1", "replicasets", labelSelector=self._selector)
        volumes = (volume for one in listed for volume in one["spec"]["template"]["spec"].get("volumes") or ())
        return {volume["configMap"]["name"] for volume in volumes if volume.get("configMap")}

    def replicas(self) -> tuple[Replica, ...]:
        """Return what the cluster runs here, each with the digest that its node knows the image by."""
        pods = self._pods()
        return (*asking.replicas(self._deployment(), pods), *asking.leaving(pods, self._slices()))

    def _pods(self) -> list[Object]:
        return self.api.list("v1", "pods", labelSelector=self._selector)[0]

    def _slices(self) -> list[Object]:
        label = f"kubernetes.io/service-name={self.settings.name}"
        return self.api.list("discovery.k8s.io/v1", "endpointslices", labelSelector=label)[0]

    def ask(self, manifest: Manifest) -> Round:
        """Ask every pod and the Service through the API server, and the public way, once.

        An API server that goes away in between is waited for, for as long as a server that does not answer is.
        """
        return self.api.insist(lambda: self._ask(manifest), self.project.probes.deadline)

    def _ask(self, manifest: Manifest) -> Round:
        url, timeout, probes = self.settings.public_url, self.project.probes.timeout, self.project.probes
        with ThreadPoolExecutor(3) as beside:
            wanted = beside.submit(self._deployment)
            pods = self._pods()
            before = asking.replicas(wanted.result(), pods)
            last_words = beside.submit(asking.ask_leaving, self.api, pods, manifest.probes["healthz"])
            names = [replica.name for replica in before if replica.state == "running"]
            question = probe.token_question(probes, self.settings.secrets)
            token = beside.submit(inside.ask, self.api.kubectl, names if probes.needs_token else (), question, timeout)
            bare = () if probes.extra_token else probes.extra
            answers = asking.ask(self.api, names, self.settings.name, url, manifest.probes, timeout, bare)
            answers = inside.merge(answers, token.result())
            told = last_words.result()
            wanted, slices = beside.submit(self._deployment), beside.submit(self._slices)
            pods = self._pods()
        after, leaving = asking.replicas(wanted.result(), pods), asking.leaving(pods, slices.result(), told)
        return Round(before=before, after=after, answers=answers, leaving=leaving)

    def retire(self, lock: Held) -> None:
        """Do nothing: a Deployment ends the pods that it replaces by itself."""

    @property
    def way_in(self) -> str:
        """Nothing of ours: the cluster's Service and Ingress are."""
        return ""

    def logs(self, lines: int, *, follow: bool = False, front: bool = False) -> str:
        """Return the last LINES lines that each replica wrote; with FOLLOW, pass on what comes until interrupted."""
        if front:
            raise errors.ConfigInvalid(
                f"{self.name}: a cluster's pods have no front of ours", "ask the Ingress controller for its log"
            )
        if follow:
            argv = ["logs", "--follow", f"--tail={lines}", "--prefix", "--max-log-requests=100"]
            self.api.kubectl.follow(*argv, f"--selector={self._selector}")
            return ""
        told: list[str] = []
        for pod in sorted(self._pods(), key=lambda pod: str(pod["metadata"].get("creationTimestamp"))):
            told += rolling.tell(self.api, pod, lines)
        return "\n".join(told)

    def any_image(self) -> str:
        """Return the repository of the images here: a Lease is held without one; empty when there was no release."""
        return self.project.image.repository if self.read().attempts else ""

    def forget(self, unwanted: Callable[[], Mapping[str, str]]) -> list[str]:  # noqa: ARG002 -- see below
        """Drop nothing: nodes collect images by themselves, and a rollout the manifests that nothing needs."""
        return []

    def down(self, lock: Held) -> None:
        """Delete what a release is made of, and wait until no pod is left; volumes, the record and the lock stay."""
        lock.check()
        ends = time.monotonic() + self.settings.deadline
        # What has changed since it was listed is left by a deletion, and listed again.
        while (left := self._objects.surplus(())) or self._pods():
            for thing in left:
                lease.of(lock).refuse_lost()
                self._objects.delete(thing)
            if time.monotonic() > ends:
                raise errors.CommandTimedOut(f"{self.name}: pods are left", f"kubectl get pods -l {self._selector}")
            time.sleep(0.2)
