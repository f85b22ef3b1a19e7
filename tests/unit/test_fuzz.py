"""Hostile files and answers: whatever they hold, it ends in an error of ours or in success, and tells no secret."""

import base64
import dataclasses
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.values import (
    CHILD,
    HOLDER,
    INDEX,
    OK,
    a_manifest,
    a_namespace_with_everything,
    a_project,
    a_proven,
    a_replica,
    a_round,
    an_attempt,
)
from selfdeploy import (
    config,
    deploy_toml,
    errors,
    gates,
    manifest,
    probe,
    process,
    provenance,
    registry,
    render,
    source,
    tree,
    witness,
)
from selfdeploy.environments import containers, lock, queue, record, secrets
from selfdeploy.environments.kubernetes import asking, claim, kubeconfig, lease, objects, refusal, shape, verdict
from selfdeploy.environments.kubernetes.api import Api
from selfdeploy.environments.kubernetes.kubectl import Kubectl
from selfdeploy.environments.kubernetes.record import KEY, Ledger
from selfdeploy.registry import artifact, credentials, tokens

SECRET = "hunter2-and-then-some"  # noqa: S105 -- of nobody
fuzzed = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

HANG = 120
"""Seconds after which a test of some dozens of examples, which take a few together, is said to hang."""


class Hang(BaseException):
    """No error that anybody catches."""


@pytest.fixture(autouse=True)
def never_hangs() -> Iterator[None]:
    def hung(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HANG)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


TEXT = st.one_of(
    st.text(max_size=30), st.sampled_from(["", "\0", "..", "/", "~nobody-of-that-name", "\ud800", "%", "$x", "-x"])
)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from([10**400, -1, 2**63, 1e308, INDEX])
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8
)
DEEP = st.sampled_from([b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"null", b"NaN", b"9" * 5000])

NO_YAML = st.sampled_from(
    [b"a: [", b"- 2001-99-99", b"{[]: 1}", b"&a [*a]", b"!!python/object:x {}", b"a\tb: \x00", b"= : ="]
)


def dump(value: object) -> bytes:
    return json.dumps(value).encode()


@st.composite
def changed(draw: st.DrawFn, whole: Any) -> Any:  # noqa: ANN401 -- any JSON
    """WHOLE, JSON data, with something else at one or two of its places, or without it."""
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        at: Any = None
        key: Any = None
        here = value
        while isinstance(here, dict | list) and here and draw(st.integers(0, 3)):
            at, key = here, draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            here = at[key]
        if at is None:
            return draw(VALUE)
        if draw(st.booleans()):
            at[key] = draw(VALUE)
        elif isinstance(at, dict):
            del at[key]
            at[draw(TEXT)] = draw(VALUE)
    return value


def data(whole: object) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=60), DEEP, VALUE.map(dump), changed(whole).map(dump))


def ends_well(call: Callable[[], object]) -> None:
    """Let CALL return, or raise an error of ours whose text has no secret; whatever else it raises fails the test."""
    told: errors.SelfdeployError | None = None
    try:
        call()
    except errors.SelfdeployError as exc:
        told = exc
    if told:
        assert told.message
        assert SECRET not in f"{told.message}{told.hint}"
        assert told.exit_code >= 10


RECORD = json.loads(record.Record().begin(an_attempt()).prove(a_proven(), "t").hold(INDEX, "why").model_dump_json()) | {
    "attempts": [json.loads(an_attempt().model_dump_json())]
}
CONFIG = {
    "source": {"path": "sf"},
    "gates": {"node": "24.19.0", "jobs": 2, "override": {"x": {"command": ["true"], "needs": ["npm-ci"]}}},
    "image": {"repository": "127.0.0.1:5000/sf", "base": f"b/c@{INDEX}", "include": ["dist"]},
    "environments": {
        "test": {"kind": "compose", "port": 4101, "variables": {"A": "b"}},
        "prod": {"kind": "compose", "port": 4100, "after": ["test"], "secrets": {"S": {"env": "X"}}, "url": "http://x"},
    },
}
DESCRIPTOR = {"mediaType": artifact.SINGLE[0], "digest": CHILD, "size": 3}
CONTAINER = {
    "Id": "c",
    "Name": "/sf-test-server-1",
    "Image": CHILD,
    "Created": "2026-01-01T00:00:00Z",
    "Config": {"Hostname": "h", "Labels": {"dev.selfdeploy.who": "w"}, "Image": "i"},
    "State": {"Status": "running", "Running": True},
    "HostConfig": {"PortBindings": {"4000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4100"}]}},
}


@fuzzed
@given(changed(CONFIG) | VALUE)
def test_a_config_is_taken_or_refused_and_what_was_taken_renders(told: object) -> None:
    def use() -> None:
        project = deploy_toml.parse(told if isinstance(told, dict) else {"source": told}, root=Path("/nowhere"))
        project.source_path()
        for name, environment in project.environments.items():
            if environment.kind == "compose":
                render.compose(project, name, a_manifest())

    ends_well(use)


@fuzzed
@given(changed(a_namespace_with_everything()))
def test_a_namespace_is_taken_or_refused_and_what_was_taken_renders(told: object) -> None:
    def use() -> None:
        project = deploy_toml.parse({"environments": {"test": told}}, root=Path("/nowhere"))
        kubeconfig.find(project, "test")
        assert objects.one(objects.parse(render.kubernetes(project, "test", a_manifest())), "Deployment")
        assert [one["kind"] for one in yaml.safe_load_all(render.rights(project, "test"))][1:] == [
            "Role",
            "RoleBinding",
        ]

    ends_well(use)


@fuzzed
@given(data({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "services": {"server": {}}}) | NO_YAML)
def test_what_was_rendered_is_taken_or_refused(told: bytes) -> None:
    text = told.decode(errors="replace")

    def use() -> None:
        for one in objects.parse(text):
            objects.describe(one)

    ends_well(use)
    ends_well(lambda: secrets.named(text))


@fuzzed
@given(st.binary(max_size=60) | TEXT.map(lambda text: f'[source]\npath = "{text}"'.encode(errors="surrogatepass")))
def test_a_config_file_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, told: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / config.FILE).write_bytes(told)

    ends_well(lambda: deploy_toml.load(folder).source_path())


@fuzzed
@given(data(json.loads(a_manifest().bytes)))
def test_a_manifest_is_taken_or_refused(told: bytes) -> None:
    ends_well(lambda: manifest.parse(told))


@fuzzed
@given(data(RECORD))
def test_the_record_of_an_environment_is_taken_or_refused(told: bytes) -> None:
    def use() -> None:
        for attempt in record.parse(told, "test").attempts:
            str(attempt)

    ends_well(use)


@fuzzed
@given(data({"schema": 1, "builtAt": "t", "who": "w", "run": {"authority": "forgejo"}, "base": {"x": "y"}}))
def test_evidence_is_taken_or_refused(told: bytes) -> None:
    ends_well(lambda: provenance.authority(provenance.decode(told)))


@fuzzed
@given(st.dictionaries(st.sampled_from(["FORGEJO_RUN_ID", "GITHUB_RUN_ID", "GITHUB_SERVER_URL"]), TEXT))
def test_who_runs_this_is_always_told(told: dict[str, str]) -> None:
    ends_well(lambda: provenance.read_holder(told))


@fuzzed
@given(
    data({"manifests": [{**DESCRIPTOR, "platform": {"os": "linux", "architecture": "amd64"}}]}),
    data({"config": DESCRIPTOR, "layers": [DESCRIPTOR], "artifactType": artifact.RELEASE, "subject": DESCRIPTOR}),
    TEXT,
)
def test_what_a_registry_holds_is_taken_or_refused(index: bytes, single: bytes, reference: str) -> None:
    ends_well(lambda: artifact.parse(artifact.Index, index, "x"))
    ends_well(lambda: artifact.parse(artifact.Single, single, "x"))
    ends_well(lambda: artifact.decode_record(single, "x"))
    ends_well(lambda: artifact.parse_object(single, "x"))
    ends_well(lambda: registry.Reference.parse(reference))
    ends_well(lambda: registry.is_loopback(reference))


AUTHS = {
    "auths": {
        "h:1": {"auth": base64.b64encode(f"ci:{SECRET}".encode()).decode(), "password": SECRET, "username": "ci"},
        "https://h:2/v1": {"identitytoken": SECRET},
    },
    "credsStore": "",
}


@fuzzed
@given(data(AUTHS), st.sampled_from(["h:1", "h:2"]))
def test_a_login_is_found_or_refused_and_never_told(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, told: bytes, host: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "config.json"
    file.write_bytes(told)
    answer = process.Outcome(argv=(), code=0, stdout=told)
    monkeypatch.setattr(process, "run", lambda *_, **__: answer)

    ends_well(lambda: credentials.find(host, file))


@fuzzed
@given(TEXT | st.just('Bearer realm="https://[x",service="') | st.text(alphabet='Bearer realm="s:/[],', max_size=60))
def test_a_challenge_is_answered_or_refused(told: str) -> None:
    login = tokens.Login(host="h:1", repository="sf")
    login.__dict__["_known"] = credentials.Credentials(user="ci", password=SECRET)

    ends_well(lambda: login.answer(told, "https"))


@fuzzed
@given(st.integers(100, 599), data({"token": SECRET}))
def test_a_token_is_taken_or_refused_and_never_told(status: int, told: bytes) -> None:
    login = tokens.Login(host="h:1", repository="sf")
    login.__dict__["_known"] = None

    ends_well(lambda: login.take(status, told))


@fuzzed
@given(data({"healthz": {"status": 200, "body": "{}"}, "version": {"status": 200, "body": "{}"}}), TEXT)
def test_the_answers_of_a_replica_are_compared_whatever_they_are(told: bytes, body: str) -> None:
    made = a_manifest()
    answers = {**probe.read_answers(told), "version": witness.Answer(status=200, body=body), "healthz": OK}
    seen = witness.Round(before=(a_replica(),), after=(a_replica(),), answers={"r": answers})

    ends_well(lambda: witness.compare(made, seen, rpc=True))
    ends_well(lambda: witness.contradicts(made, seen))
    assert witness.compare(made, seen)


@fuzzed
@given(VALUE.map(json.dumps))
def test_a_version_that_is_not_the_release_s_never_agrees(body: str) -> None:
    made = a_manifest()
    seen = a_round(made)
    answers = {**seen.answers["r"], "version": witness.Answer(status=200, body=body)}

    assert witness.compare(made, witness.Round(before=seen.before, after=seen.after, answers={"r": answers}))


@fuzzed
@given(data([CONTAINER]))
def test_what_docker_inspects_is_taken_or_refused(told: bytes) -> None:
    def use() -> None:
        for container in containers.parse(told, "test"):
            container.replica(frozenset())
            lock.describe(container)
            assert all(isinstance(port, int) for _, port in container.published)

    ends_well(use)


METADATA = {
    "name": "sf",
    "namespace": "n",
    "uid": "u",
    "resourceVersion": "7",
    "generation": 2,
    "annotations": {verdict.REVISION: "1", "dev.selfdeploy/who": "w"},
    "ownerReferences": [{"uid": "u", "controller": True}],
}
CONDITION = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "m"}
WAITING = {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}
STATUS = {"name": "server", "imageID": f"r@{INDEX}", "restartCount": 1, "state": WAITING, "lastState": WAITING}
TEMPLATE = {
    "metadata": {"labels": {"app": "sf", verdict.HASH: "h"}},
    "spec": {"volumes": [{"name": "m", "configMap": {"name": "c"}}]},
}
OBJECTS: dict[str, dict[str, Any]] = {
    "deployments": {
        "metadata": METADATA,
        "spec": {"replicas": 1, "template": TEMPLATE},
        "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "conditions": [CONDITION]},
    },
    "replicasets": {
        "metadata": METADATA,
        "spec": {"template": TEMPLATE},
    },
    "pods": {
        "metadata": METADATA,
        "status": {"phase": "Pending", "conditions": [CONDITION], "containerStatuses": [STATUS]},
    },
    "endpointslices": {
        "metadata": METADATA,
        "endpoints": [{"conditions": {"ready": True, "serving": True}, "targetRef": {"uid": "u"}}],
    },
    "events": {"metadata": METADATA, "involvedObject": {"uid": "u"}, "reason": "FailedMount", "message": "m"},
    "leases": {"metadata": METADATA, "spec": {"holderIdentity": "h", "acquireTime": "t"}},
    "configmaps": {"metadata": METADATA, "data": {KEY: "{}"}},
    "persistentvolumeclaims": {"metadata": METADATA, "spec": {"resources": {"requests": {"storage": "5Gi"}}}},
}


@fuzzed
@given(st.sampled_from(sorted(OBJECTS)), st.data())
def test_what_a_cluster_answers_is_taken_or_refused(kind: str, drawn: st.DataObject) -> None:
    def use() -> None:
        told = shape.check("test", kind, drawn.draw(changed(OBJECTS[kind]) | VALUE))
        if kind == "leases":
            lease.describe(told)
            return
        if kind == "configmaps":
            return
        if kind == "persistentvolumeclaims":
            claim.unshrunk({"kind": "PersistentVolumeClaim", **OBJECTS[kind]}, told)
            return
        have = {**OBJECTS, kind: told}
        state = verdict.State(
            deployment=have["deployments"],
            sets=[have["replicasets"]],
            pods=[have["pods"]],
            slices=[have["endpointslices"]],
            events=[have["events"]],
        )
        verdict.missing(state, [INDEX])
        [str(trouble) for trouble in verdict.troubles(state)]
        asking.replicas(state.deployment, state.pods)
        asking.leaving(state.pods, state.slices)

    for name, whole in OBJECTS.items():
        shape.check("test", name, whole)
    ends_well(use)


MAP = {"metadata": METADATA, "data": {KEY: json.dumps(RECORD)}}
PLACE = "/api/v1/namespaces/n/configmaps"
LEASE = f"/apis/{lease.VERSION}/namespaces/n/leases"
CLUSTER: dict[str, Any] = {
    "/api/v1": {"resources": [{"kind": "ConfigMap", "name": "configmaps", "namespaced": True}]},
    PLACE: {"metadata": {"resourceVersion": "7"}, "items": [MAP]},
    f"{PLACE}/sf-record": MAP,
    LEASE: {"metadata": {**METADATA, "name": "sf-lock"}, "spec": {"leaseTransitions": 1}},
    f"{LEASE}/sf-lock": {
        "metadata": {**METADATA, "name": "sf-lock"},
        "spec": {"holderIdentity": "h", "leaseTransitions": 1},
    },
}
NOTHING = b'{"items": [], "metadata": {}}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told(Api):
    """A cluster that answers what is TOLD of a path, whatever is asked of it."""

    kubectl: Kubectl = dataclasses.field(
        default_factory=lambda: Kubectl(name="test", command=("kubectl",), context="c", namespace="n")
    )
    told: Mapping[str, bytes]

    def fetch(self, method: str, path: str, *_: object, **__: object) -> tuple[int, bytes]:
        assert method
        return 200, self.told.get(path, NOTHING)


def use_maps(cluster: Api) -> None:
    """Read and write the record, and plan, apply and prune a ConfigMap, as a release does."""
    ledger = Ledger(cluster, "sf-record")
    ledger.peek()
    ledger.write(ledger.read())
    those = objects.Objects(api=cluster, selector="a=b")
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sf-record"}, "data": {"a": "b"}}
    for change in those.changes([wanted]):
        assert change.is_one == bool(str(change))
        those.apply(change.wanted, change.before)
    for thing in those.surplus(()):
        those.delete(thing)


def use_lease(cluster: Api) -> None:
    """Look at the lock, take it over and let go of it."""
    lease.held_by(cluster, "sf-lock")
    with lease.hold(cluster, "sf-lock", HOLDER) as lock:
        lock.check()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/v1", {"resources": [{"name": "configmaps"}]}),
        ("/api/v1", {"resources": []}),
        (f"{PLACE}/sf-record", {"metadata": METADATA, "data": {KEY: 7}}),
        (f"{LEASE}/sf-lock", {"metadata": METADATA, "spec": {"leaseTransitions": "many"}}),
    ],
)
def test_an_answer_of_another_shape_is_no_cluster_s(path: str, told: object) -> None:
    hostile = Told(told={path: dump(told) for path, told in {**CLUSTER, path: told}.items()})

    with pytest.raises((errors.ClusterUnreachable, errors.ObjectRefused)):  # noqa: PT012 -- whichever asks for it
        use_maps(hostile)
        use_lease(hostile)


@settings(fuzzed, max_examples=150)
@given(st.sampled_from(sorted(CLUSTER)), st.data())
def test_whatever_a_cluster_answers_a_release_ends_well(
    monkeypatch: pytest.MonkeyPatch, path: str, drawn: st.DataObject
) -> None:
    monkeypatch.setattr(lease, "DURATION", 0)
    monkeypatch.setattr(lease, "RENEWAL", 0.001)
    whole = {path: dump(value) for path, value in CLUSTER.items()}
    use_maps(Told(told=whole))
    use_lease(Told(told=whole))

    hostile = Told(told={**whole, path: drawn.draw(data(CLUSTER[path]))})

    ends_well(lambda: use_maps(hostile))
    ends_well(lambda: use_lease(hostile))


@fuzzed
@given(st.integers(200, 599), data({"kind": "Status", "message": "m", "details": {"kind": "pods", "causes": [{}]}}))
def test_a_refusal_of_a_cluster_is_explained(code: int, told: bytes) -> None:
    def use() -> None:
        try:
            value = json.loads(told)
        except (ValueError, RecursionError):
            value = {}
        raise refusal.explain("test", "ns", code, value if isinstance(value, dict) else {}, told.decode("latin-1"))

    ends_well(use)


@fuzzed
@given(TEXT)
def test_a_wait_is_taken_or_refused(told: str) -> None:
    ends_well(lambda: queue.parse(told))


@fuzzed
@given(st.binary(max_size=40), st.integers(0, 1), TEXT)
def test_what_git_says_is_taken_or_refused(
    monkeypatch: pytest.MonkeyPatch, told: bytes, code: int, address: str
) -> None:
    answer = process.Outcome(argv=(), code=code, stdout=told, stderr=told)
    monkeypatch.setattr(process, "run", lambda *_, **__: answer)

    ends_well(lambda: source.read(Path("/")))
    ends_well(lambda: source.resolve(Path("/"), address))
    ends_well(lambda: source.compare_revisions(Path("/"), "a" * 40, address))
    assert "@" not in source.name_repository(address)


@fuzzed
@given(data({"key": "k", "tree": INDEX, "gates": {"npm-ci": {"passed": True, "log": INDEX}}}))
def test_a_receipt_is_honoured_or_not_and_why_it_failed_is_told(
    tmp_path_factory: pytest.TempPathFactory, told: bytes
) -> None:
    project = a_project(tmp_path_factory.getbasetemp())
    revision = source.Revision(checkout=Path("/"), commit="a" * 40, tree="b" * 40, path=".", repository="r", epoch=1)
    place = gates.room(project, revision)
    place.folder.mkdir(parents=True, exist_ok=True)
    place.receipt.write_bytes(told)
    place.failure.write_bytes(told)

    assert isinstance(gates.find(project, revision), errors.SelfdeployError)
    ends_well(lambda: gates.raise_failure(project, revision))


PACKAGE = {"name": "sf", "version": "1", "files": ["dist", "!dist/x"]}
LOCK = {"packages": {"node_modules/a": {"link": True, "resolved": "packages/a"}, "node_modules/b": {"dev": True}}}


@fuzzed
@given(data(PACKAGE), data(LOCK))
def test_what_ships_is_laid_out_or_refused(
    tmp_path_factory: pytest.TempPathFactory, package: bytes, packages: bytes
) -> None:
    export = tmp_path_factory.getbasetemp() / "export"
    export.mkdir(exist_ok=True)
    (export / "package.json").write_bytes(package)
    (export / "package-lock.json").write_bytes(packages)

    ends_well(lambda: tree.stage(export, export.with_name("ship")))
