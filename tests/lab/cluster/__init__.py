"""A real Kubernetes for the tests: the one that SELFDEPLOY_TEST_KUBECONFIG names, or else the lab's own."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import children
from lab.needed import need

HERE = Path(__file__).parent
HOME = Path(os.environ.get("CLUSTER_HOME", Path.home() / ".cache" / "selfdeploy-cluster"))
KUBECONFIG, INGRESS = "SELFDEPLOY_TEST_KUBECONFIG", "SELFDEPLOY_TEST_INGRESS"
STORAGE = "CLUSTER_STORAGE"
"""The variable that says what the lab's cluster keeps its objects in: `etcd`, or `kine`."""
REGISTRY_PORTS = range(5010, 5030)
"""The ports of this host's loopback that the cluster pulls from; see README.md beside this file."""


def state() -> Path:
    """Return the folder of what the lab's own cluster keeps: each storage has one."""
    storage = os.environ.get(STORAGE, "etcd")
    return HOME / ("state" if storage == "etcd" else f"state-{storage}")


TOOLS = ("dpkg-query", "flock", "ip", "nsenter", "openssl")
BUILT = (HOME / "bin" / ".traefik").exists()
MISSING = [
    *(tool for tool in TOOLS if not shutil.which(tool)),
    *([] if BUILT or shutil.which("go") else ["go, which compiles Kubernetes"]),
    *([] if os.geteuid() == 0 else ["root"]),
]
"""What the lab's own cluster needs and is not here."""

BUILDING = 3600.0
"""Seconds for the cluster to come up, with all of Kubernetes compiled on a machine that has other things to do."""

PERSON = 1000
"""Whom the server runs as."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that the tests may do anything to, in namespaces that they make and remove.

    `ingress` is where Traefik listens on this host, `host:port`; which Ingress is meant goes by the Host header.
    """

    kubeconfig: Path
    context: str
    ingress: str
    command: tuple[str, ...]

    def kubectl(self, *argv: str, given: bytes = b"", timeout: float = 120.0) -> str:
        """Run the kubectl command on this cluster, as its administrator, and return what it printed."""
        named = [f"--kubeconfig={self.kubeconfig}", f"--context={self.context}"]
        return children.run([*self.command, *named, *argv], given=given, timeout=timeout).decode()

    def get(self, *argv: str) -> dict[str, Any]:
        """Return what `kubectl get` with ARGV says, as data."""
        told: dict[str, Any] = json.loads(self.kubectl("get", "--output=json", *argv))
        return told

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Have the cluster hold OBJECTS."""
        whole = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--filename=-", given=json.dumps(whole).encode())

    @contextlib.contextmanager
    def namespace(self, *, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """Return a namespace of this process's own, which takes only what passes `restricted`, until the block ends."""
        name = f"sf-{os.getpid()}-{secrets.token_hex(3)}"
        marked = {"pod-security.kubernetes.io/enforce": "restricted", **(labels or {})}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": marked}})
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    @contextlib.contextmanager
    def volumes(self, namespace: str, *claims: str, access: str = "ReadWriteMany", size: str = "5Gi") -> Iterator[None]:
        """Have a volume for each of CLAIMS in NAMESPACE, until the block ends, unless the cluster makes its own."""
        if self._makes_volumes():
            yield
            return
        folder = children.new_folder("volumes", Path("/var/tmp"))  # noqa: S108 -- a disk, and new_folder's is its own
        folder.chmod(0o755)
        names = {claim: f"{namespace}-{claim}" for claim in claims}
        for claim, name in names.items():
            (folder / claim).mkdir()
            os.chown(folder / claim, PERSON, PERSON)
            self.apply(_volume(name, folder / claim, namespace, claim, access, size))
        try:
            yield
        finally:
            self.kubectl("delete", "persistentvolume", *names.values(), "--wait=false")
            shutil.rmtree(folder, ignore_errors=True)

    def _makes_volumes(self) -> bool:
        default = "storageclass.kubernetes.io/is-default-class"
        classes = self.get("storageclass")["items"]
        return any((item["metadata"].get("annotations") or {}).get(default) == "true" for item in classes)


FOLLOWERS = ("kube-scheduler", "kube-controller-manager", "kube-proxy", "traefik")
CAUGHT_UP = "caught-up"
POD = """
securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
containers:
  - name: pause
    image: cluster.local/pause:1
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: one, mountPath: /one}]
volumes: [{name: one, persistentVolumeClaim: {claimName: caught-up}}]
"""


def _volume(name: str, folder: Path, namespace: str, claim: str, access: str, size: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": [access],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim},
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def provide() -> Cluster:
    """Return a cluster that runs; skip the test where there can be none, fail it where everything is required."""
    if named := os.environ.get(KUBECONFIG):
        return _connect(Path(named), os.environ.get(INGRESS, "127.0.0.1:80"))
    need(MISSING)
    told = children.run([str(HERE / "up")], timeout=BUILDING).decode().split()
    return _connect(Path(told[-1]), f"127.0.0.1:{os.environ.get('CLUSTER_INGRESS_PORT', '18000')}")


def _connect(kubeconfig: Path, ingress: str) -> Cluster:
    ours = HOME / "bin" / "kubectl"
    command = (str(ours) if ours.exists() else "kubectl",)
    context = children.run([*command, f"--kubeconfig={kubeconfig}", "config", "current-context"]).decode().strip()
    cluster = Cluster(kubeconfig=kubeconfig, context=context, ingress=ingress, command=command)
    cluster.kubectl("get", "--raw=/readyz")
    return cluster


@contextlib.contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Use the cluster until the block ends: beside others, or ALONE, as who stops parts of it; in whichever process.

    Who was alone hands it on when all its parts follow each other again.
    """
    folder = Path(tempfile.gettempdir())
    with (folder / "cluster-faults.turn").open("a") as first, (folder / "cluster-faults.lock").open("a") as held:
        fcntl.flock(first, fcntl.LOCK_EX)  # who waits for all others is not overtaken by them
        fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(first, fcntl.LOCK_UN)
        try:
            yield
        finally:
            if alone and not MISSING and not os.environ.get(KUBECONFIG):
                _catch_up()


def _catch_up() -> None:
    """Have all parts of the lab's own cluster follow its API server, as a new pod with a new volume shows."""
    provide()
    for name in FOLLOWERS:  # which look for one that went away less and less often, for a minute in the end
        kill(name)
    cluster = provide()
    with cluster.namespace() as namespace, cluster.volumes(namespace, CAUGHT_UP):
        metadata = {"name": CAUGHT_UP, "namespace": namespace}
        spec = yaml.safe_load(POD)
        claim = {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Gi"}},
        }
        volume = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim}

        def is_made() -> bool:
            try:  # the namespace's own account comes a moment after it
                cluster.apply(volume, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            except children.LabError:
                return False
            return True

        children.wait_until(is_made, "a pod", seconds=180)
        argv = (f"--namespace={namespace}", "wait", "--for=condition=Ready", f"pod/{CAUGHT_UP}")
        cluster.kubectl(*argv, "--timeout=180s", timeout=200)


def process(name: str) -> int:
    """Return the pid of the process NAME of the lab's own cluster."""
    return int(Path("/run/selfdeploy-cluster", f"{name}.pid").read_text().split()[0])


def kill(name: str) -> None:
    """Kill the process NAME of the lab's own cluster; `provide` starts it again."""
    pid = process(name)
    os.kill(pid, signal.SIGKILL)
    children.wait_until(lambda: not Path(f"/proc/{pid}").exists(), f"the end of {name}")


@contextlib.contextmanager
def registry_port() -> Iterator[int]:
    """Return a port that the cluster pulls from and nobody listens on; no other test gets it until the block ends."""
    for port in REGISTRY_PORTS:
        with Path(tempfile.gettempdir(), f"lab-registry-port-{port}").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if children.is_free(port):
                yield port
                return
    raise children.LabError(f"every port of {REGISTRY_PORTS} is taken")
