"""Roll out in a real cluster by the tool, by kubectl and by Helm: the same objects, under steady requests."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.rollouts import HELM, KUBECTL, TOOL, Comparison, Rollout
from benchmarks.traffic import Traffic
from lab import children, cluster, embedded
from lab.children import LabError
from lab.cluster import site as sites
from lab.cluster.site import CLAIMS, Site
from lab.site import Site as Plain
from selfdeploy import process

GONE = "gone"
"""What the release is called whose image no registry has."""

PATIENCE = 40
"""Seconds that kubectl and Helm wait for a release that does not start."""

AFTERWARDS = 3.0
"""Seconds that requests go on after a rollout has returned: who answers then is what counts."""

LIMIT = 300.0
"""Seconds for one command."""

TOOLS = Path(__file__).parents[1] / "tests" / "lab" / "tools" / "build"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of rolling out: what has a revision run in NAMESPACE, one command after the other, and its NodePort."""

    name: str
    namespace: str
    commands: Callable[[str], list[list[str]]]
    port: int
    site: Site

    def run(self, revision: str, *, after: float | None = None) -> tuple[int, str]:
        """Have REVISION rolled out; return the exit code and what was said. Killed AFTER so many seconds, if given."""
        ends = time.monotonic() + (after if after is not None else LIMIT)
        env = {**os.environ, **self.site.environment}
        for argv in self.commands(revision):
            child = process.start(argv, timeout=LIMIT, cwd=self.site.folder, env=env, stderr=process.STDOUT)
            killer = threading.Timer(max(0.0, ends - time.monotonic()), _kill, [child])
            killer.start()
            try:
                said = child.communicate()[0].decode(errors="replace")
            finally:
                killer.cancel()
                process.end(child)
            if child.returncode:
                return child.returncode, said
        return 0, ""

    def good(self, revision: str) -> None:
        """Have REVISION rolled out, which has to work."""
        code, said = self.run(revision)
        if code:
            raise LabError(f"{self.name}: exit code {code}: {said[-1500:]}")


def _kill(child: process.Child) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # the deadline's group: it, and what it runs


@dataclass(frozen=True, kw_only=True)
class Field:
    """What is rolled out where: the site, its cluster, and the releases on record."""

    site: Site
    good: tuple[str, str]
    bad: str
    ways: dict[str, Way]

    def kubectl(self, way: Way, *argv: str) -> list[str]:
        """Return the kubectl command line ARGV in the namespace of WAY."""
        return [*_kubectl(self.site, way.namespace), *argv]


def rolled(field: Field, way: Way, revision: str) -> Rollout:
    """Return how WAY rolled REVISION out under steady requests."""
    with Traffic(way.port) as traffic, _status(field, way) as ended:
        time.sleep(0.5)
        began = time.monotonic()
        way.good(revision)
        returned = time.monotonic()
        time.sleep(AFTERWARDS)
    late = returned - ended[0] if ended else None
    return Rollout(seconds=returned - began, stale=traffic.stale(returned, revision), failed=traffic.failed, late=late)


@contextlib.contextmanager
def _status(field: Field, way: Way) -> Iterator[list[float]]:
    """Give a list that gets the time when `kubectl rollout status`, begun with the tool's rollout, has returned."""
    ended: list[float] = []
    if way.name != TOOL:
        yield ended
        return
    generation = ["get", "deployment/sf", "--watch", "--output=jsonpath={.metadata.generation}{'\\n'}"]
    watch = process.start(field.kubectl(way, *generation), timeout=LIMIT)

    def follow() -> None:
        seen = {watch.stdout.readline()} if watch.stdout else set()
        for line in watch.stdout or ():
            if line not in seen:
                process.run(field.kubectl(way, "rollout", "status", "deployment/sf"), timeout=LIMIT, check=False)
                ended.append(time.monotonic())
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield ended
        thread.join(5)
    finally:
        process.end(watch)


def compare(field: Field, times: int, tell: Callable[[str], None]) -> Comparison:
    """Return how the ways did: TIMES rollouts of each in turn, two bad releases, and as many kills."""
    made = Comparison()
    for turn in range(times + 1):
        revision = field.good[turn % 2]
        for name, way in field.ways.items():
            seen = rolled(field, way, revision)
            if turn:  # the first puts everything there
                made.sides[name].rollouts.append(seen)
                tell(f"rollout {turn} of {times}: {name}: {seen.seconds:.1f} s, {seen.stale} old answers")
    present, other = field.good[times % 2], field.good[(times + 1) % 2]
    for name, way in field.ways.items():
        made.sides[name].bad.append(_refused(way, field.bad))
        tell(f"a release that does not start: {name}: {made.sides[name].bad[-1]:.1f} s")
        way.good(present)
        with _without_image(field.site):
            made.sides[name].gone.append(_refused(way, other if name == TOOL else GONE))
        tell(f"an image that cannot be pulled: {name}: {made.sides[name].gone[-1]:.1f} s")
        way.good(present)
    for name in (TOOL, HELM):
        usual = median(one.seconds for one in made.sides[name].rollouts)
        for turn in range(times):
            field.ways[name].run((other, present)[turn % 2], after=usual * (turn + 1) / (times + 1))
            code, said = field.ways[name].run((other, present)[turn % 2])
            made.sides[name].converged.append(not code)
            tell(
                f"killed, kill {turn + 1} of {times}: {name}: {said.strip().splitlines()[-1] if code else 'converged'}"
            )
            if code:
                # What a person does whom Helm refuses: have it forget what it was about to do.
                pending = "--selector=owner=helm,status in (pending-install,pending-upgrade,pending-rollback)"
                process.run(field.kubectl(field.ways[name], "delete", "secret", pending), timeout=LIMIT)
    return made


def _refused(way: Way, revision: str) -> float:
    """Return how many seconds it took until WAY refused REVISION; by the tool also put back and proven."""
    began = time.monotonic()
    code, said = way.run(revision)
    seconds = time.monotonic() - began
    if not code or (way.name == TOOL and "again, proven" not in said):
        raise LabError(f"{way.name}: {revision}: exit code {code}: {said[-1500:]}")
    return seconds


@contextlib.contextmanager
def _without_image(site: Site) -> Iterator[None]:
    """Have the pods of SITE be of an image that no registry has, until the block ends."""
    site.template("image: {{ image | tojson }}", 'image: {{ image | replace("/sf@", "/none@") | tojson }}')
    try:
        yield
    finally:
        (site.folder / "templates" / "kubernetes" / "deployment.yml.j2").unlink()


@contextlib.contextmanager
def prepared(folder: Path, tell: Callable[[str], None]) -> Iterator[Field]:
    """Have everything there that is compared, working below FOLDER, until the block ends."""
    if cluster.MISSING:
        raise LabError(f"missing here: {', '.join(cluster.MISSING)}")
    tell("the cluster, and Helm: minutes the first time")
    real = cluster.provide()
    helm = Path(children.run([str(TOOLS), "helm"], timeout=1800).decode().split()[-1]) / "helm"
    plain = Plain(folder=folder / "gates")
    plain.folder.mkdir()
    plain.lay_out()
    if (done := plain.nox()).returncode:
        raise LabError(done.stderr)
    with contextlib.ExitStack() as held:
        port = held.enter_context(cluster.registry_port())
        held.callback(embedded.remove, f"127.0.0.1:{port}/sf")
        (folder / "site").mkdir()
        site = held.enter_context(sites.make(real, folder / "site", plain.shipped, f"127.0.0.1:{port}/sf"))
        extra = held.enter_context(real.namespace())
        held.enter_context(real.volumes(extra, *CLAIMS))
        yield _fill(site, extra, helm, tell)


def _fill(site: Site, extra: str, helm: Path, tell: Callable[[str], None]) -> Field:
    # The application itself goes on for 200 ms after SIGTERM; a drain before that would be part of what is measured.
    site.configure(test="replicas = 2\ndrain = 0", prod="replicas = 2\ndrain = 0\nafter = []")
    good = (site.revision, "")
    _release(site, tell)
    good = (good[0], site.commit("two"))
    _release(site, tell)
    bad = site.end_when_there_is(".")
    _release(site, tell)
    own = site.folder / "rendered"
    for revision in (*good, bad):
        _inv(site, "render", "-e", "prod", "-o", str(own / revision), "--revision", revision)
    with _without_image(site):
        _inv(site, "render", "-e", "prod", "-o", str(own / GONE), "--revision", good[1])
    for name in (*good, bad, GONE):
        _chart(own / name, own / f"{name}-chart", site.namespace("prod"), extra)
    namespaces = {TOOL: site.namespace("test"), KUBECTL: site.namespace("prod"), HELM: extra}
    kubectl = _kubectl(site, namespaces[KUBECTL])
    place = [
        f"--kubeconfig={site.cluster.kubeconfig}",
        f"--kube-context={site.cluster.context}",
        f"--namespace={extra}",
    ]
    waiting = ["--wait", f"--timeout={PATIENCE}s"]
    commands: dict[str, Callable[[str], list[list[str]]]] = {
        TOOL: lambda revision: [
            [sys.executable, "-m", "invoke", "rollout", "-e", "test", "--revision", revision, "--older", "--wait"]
        ],
        KUBECTL: lambda revision: [
            [*kubectl, "apply", f"--filename={own / revision}"],
            [*kubectl, "rollout", "status", "deployment/sf", f"--timeout={PATIENCE}s"],
        ],
        HELM: lambda revision: [
            [str(helm), "upgrade", "--install", "sf", str(own / f"{revision}-chart"), *place, *waiting]
        ],
    }
    ways = {
        name: Way(
            name=name,
            namespace=namespaces[name],
            commands=commands[name],
            port=_publish(site, namespaces[name]),
            site=site,
        )
        for name in commands
    }
    return Field(site=site, good=good, bad=bad, ways=ways)


def _kubectl(site: Site, namespace: str) -> list[str]:
    one = site.cluster
    return [*one.command, f"--kubeconfig={one.kubeconfig}", f"--context={one.context}", f"--namespace={namespace}"]


def _inv(site: Site, *argv: str) -> None:
    if (done := site.inv(*argv)).returncode:
        raise LabError(f"inv {' '.join(argv)}: {done.stderr}")


def _release(site: Site, tell: Callable[[str], None]) -> None:
    tell(f"putting {site.revision[:12]} on record")
    for command in ("gates", "build", "manifest"):
        _inv(site, command)


def _chart(rendered: Path, chart: Path, namespace: str, other: str) -> None:
    """Make CHART of the files RENDERED for NAMESPACE, for the namespace OTHER."""
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: sf\nversion: 0.1.0\n")
    for file in rendered.glob("*.y*ml"):
        (chart / "templates" / file.name).write_text(file.read_text().replace(namespace, other))


def _publish(site: Site, namespace: str) -> int:
    """Have the pods of NAMESPACE reached at a port of this host's loopback, and return it."""
    ports: Sequence[dict[str, object]] = [{"port": 80, "targetPort": 4000}]
    spec = {"type": "NodePort", "selector": {"app.kubernetes.io/instance": "sf"}, "ports": ports}
    metadata = {"name": "traffic", "namespace": namespace}
    site.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    told = site.cluster.get(f"--namespace={namespace}", "service", "traffic")
    return int(told["spec"]["ports"][0]["nodePort"])
