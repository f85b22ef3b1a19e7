"""The Kubernetes environment: replicas in one namespace, rolled out by a Deployment."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from selfdeploy import config, errors, render
from selfdeploy.cluster import kubeconfig
from selfdeploy.cluster.api import Api, Object
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.environments import Lock as Held
from selfdeploy.environments import chain, record
from selfdeploy.environments.kubernetes import asking, inside, lease, objects, rolling
from selfdeploy.environments.kubernetes.record import Ledger, bounded
from selfdeploy.manifest import Manifest
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Replica, Round
from selfdeploy.provenance import Holder, read_holder


@dataclass(frozen=True)
class Kubernetes:
    """One environment of kind `kubernetes`."""

    project: config.Project
    name: str

    @property
    def settings(self) -> config.Kubernetes:
        """The environment's settings in deploy.toml."""
        return self.project.kubernetes(self.name)

    @property
    def continuity(self) -> str:
        """How a rollout affects users, in words."""
        if self.settings.rolls and not self.settings.drain:
            return "a rollout replaces one pod after the other, without a drain: some requests may go unanswered"
        if self.settings.rolls:
            return "a rollout replaces one pod after the other: no moment without an answer"
        return "a rollout ends all pods before it makes new ones: no answer in between"

    @property
    def patience(self) -> float:
        """How long replaced pods may take to terminate, in seconds: as long as a rollout may take."""
        return self.settings.deadline

    @property
    def url(self) -> str:
        """The public URL; if there is none, the Service's name in its cluster."""
        settings = self.settings
        return settings.public_url or f"service/{settings.name} in {settings.namespace} of {settings.context}"

    @cached_property
    def api(self) -> Api:
        """The API server, reached with the user's own kubectl."""
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
        """Raise if no release can succeed here: no access, no namespace, missing rights, or a paused Deployment."""
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
        """Do nothing: the nodes pull IMAGE by its digest when a pod needs it."""

    def hold(self, image: str, holder: Holder) -> AbstractContextManager[Held]:  # noqa: ARG002 -- a Lease runs none
        """Hold the lock for HOLDER while the context is open."""
        return lease.hold(self.api, self._lease, holder)

    def held_by(self) -> Holder | None:
        """Return the lock's holder, with start time and CI run; None if the lock is free."""
        return lease.held_by(self.api, self._lease)

    def read(self, lock: Held | None = None) -> record.Record:
        """Return the environment's record. With LOCK, check the lock first, and prepare for `write`."""
        if lock is None:
            return self._ledger.peek()
        lock.check()
        return self._ledger.read()

    def write(self, lock: Held, value: record.Record) -> None:
        """Replace the environment's record with VALUE, sealed; old entries are dropped if it is too large.

        Raises:
            errors.RecordInvalid: one release alone is too large.
        """
        lock.check()
        self._ledger.write(chain.seal(self.project, self.name, value, lambda whole: bounded(whole, self.api.name)))

    def render(self, manifest: Manifest) -> str:
        """Return the objects of MANIFEST's release, as YAML."""
        return render.kubernetes(self.project, self.name, manifest)

    def is_applied(self, rendered: str) -> bool:
        """Return whether applying RENDERED would change nothing in the cluster."""
        return not self.difference(rendered)

    def difference(self, rendered: str) -> str:
        """Return the changes of `apply` as a diff against the cluster, computed by the server in a dry run.

        One line for each object to prune follows the diff. Raises the errors of `rehearse`.
        """
        wanted = objects.parse(rendered)
        changes = self._objects.changes(wanted)
        self._refuse_paused(changes)
        told = [str(change) for change in changes if change.is_one]
        return "\n".join([*told, *(f"--- {objects.describe(thing)}" for thing in self._surplus(wanted))])

    def rehearse(self, rendered: str) -> None:
        """Raise if the cluster would refuse RENDERED: fields of another manager, policy, missing rights, a pause."""
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

        With RECREATE, the pods are replaced even if no object changes. If an object differs, or is surplus, only that
        is corrected.

        Raises:
            errors.SelfdeployError: the cluster refuses an object, or the rollout fails (see `Rollout.wait`).
        """
        wanted = [self._signed(thing) for thing in objects.parse(rendered)]
        applied = objects.one(wanted, "Deployment")
        # The API server may go away meanwhile: retry each read for as long as a rollout may take.
        patience = self.settings.deadline
        changes = self.api.insist(lambda: self._objects.changes(wanted), patience)
        self._refuse_paused(changes)
        lock.check()
        for change in changes:
            if change.is_one or change.wanted["kind"] == "Deployment":
                if change.before is None:
                    lock.check()  # a new object has no version to detect a conflict by
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
        # Look for surplus objects while the pods start; list them again, as they are then, when the rollout is done.
        left = self.api.insist(
            lambda: objects.without(self._objects.surplus(wanted), self._proven_manifests()), patience
        )
        rollout.wait(lease.of(lock).refuse_lost)
        for thing in self.api.insist(lambda: self._surplus(wanted), patience) if left else ():
            lock.check()
            self._objects.delete(thing)

    def _signed(self, thing: Object) -> Object:
        """Return THING; if it is the Deployment, annotate it with the CI run, but never its pods' template."""
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
        """Return the objects of other releases that neither WANTED, nor a rollback, nor a ReplicaSet needs."""
        return objects.without(self._objects.surplus(wanted), self._proven_manifests() | self._mounted_manifests())

    def _proven_manifests(self) -> set[str]:
        """Return the names of the ConfigMaps needed to roll back to a proven release."""
        parsed = (objects.parse(proven.rendered) for proven in self._ledger.peek().proven)
        return {thing["metadata"]["name"] for things in parsed for thing in things if thing["kind"] == "ConfigMap"}

    def _mounted_manifests(self) -> set[str]:
        """Return the names of the ConfigMaps in the pod templates of all ReplicaSets."""
        listed, _ = self.api.list("apps/v1", "replicasets", labelSelector=self._selector)
        volumes = (volume for one in listed for volume in one["spec"]["template"]["spec"].get("volumes") or ())
        return {volume["configMap"]["name"] for volume in volumes if volume.get("configMap")}

    def replicas(self) -> tuple[Replica, ...]:
        """Return the cluster's replicas of this environment, each with the image digests known to its node."""
        pods = self._pods()
        return (*asking.replicas(self._deployment(), pods), *asking.leaving(pods, self._slices()))

    def _pods(self) -> list[Object]:
        return self.api.list("v1", "pods", labelSelector=self._selector)[0]

    def _slices(self) -> list[Object]:
        label = f"kubernetes.io/service-name={self.settings.name}"
        return self.api.list("discovery.k8s.io/v1", "endpointslices", labelSelector=label)[0]

    def ask(self, manifest: Manifest) -> Round:
        """Ask every pod and the Service through the API server, and the public URL, once.

        If the API server goes away meanwhile, ask again for up to `probes.deadline` seconds.
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
        """Do nothing: a Deployment terminates the replaced pods by itself."""

    @property
    def way_in(self) -> str:
        """Empty: the cluster's own Service and Ingress forward the requests."""
        return ""

    def logs(self, lines: int, *, follow: bool = False, front: bool = False) -> str:
        """Return the last LINES log lines of each replica; with FOLLOW, print new lines until interrupted.

        Raises:
            errors.ConfigInvalid: FRONT is set; a cluster has no front of ours.
        """
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
        """Return the repository of the images, or empty before the first release; a Lease needs no image."""
        return self.project.image.repository if self.read().attempts else ""

    def forget(self, unwanted: Callable[[], Mapping[str, str]]) -> list[str]:  # noqa: ARG002 -- see below
        """Drop nothing: nodes collect images by themselves, and each rollout prunes the manifests no release needs."""
        return []

    def down(self, lock: Held) -> None:
        """Delete a release's objects and wait until all pods are gone; volumes, the record and the lock stay.

        Raises:
            errors.CommandTimedOut: pods are left after the rollout's deadline.
        """
        lock.check()
        ends = time.monotonic() + self.settings.deadline
        # A deletion skips an object that has changed since it was listed; the next listing has it again.
        while (left := self._objects.surplus(())) or self._pods():
            for thing in left:
                lease.of(lock).refuse_lost()
                self._objects.delete(thing)
            if time.monotonic() > ends:
                raise errors.CommandTimedOut(f"{self.name}: pods are left", f"kubectl get pods -l {self._selector}")
            time.sleep(0.2)
