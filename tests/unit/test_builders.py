"""What is decided before a builder starts, and what is made of what it leaves; none is started."""

import base64
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab import values
from selfdeploy import errors, process, shipped, source, tree
from selfdeploy.build import builders, images
from selfdeploy.build.builders import command, context, docker, kaniko, nix, record
from selfdeploy.build.builders.buildkit import BuildKit
from selfdeploy.build.builders.docker import Docker
from selfdeploy.build.builders.pod import Pod, how_ended, parse
from selfdeploy.config import deploy_toml

DIGEST = "sha256:" + "5" * 64
EXECUTOR = f"registry.internal/executor@{DIGEST}"
A_POD: dict[str, Any] = {"metadata": {"name": "p", "uid": "u", "resourceVersion": "1"}, "status": {}}
REVISION = source.Revision(
    checkout=Path("/code/mono/apps/sf"), commit="a" * 40, tree="b" * 40, path="apps/sf", repository="local", epoch=1000
)
CLUSTER = {
    "test": {"kind": "compose", "port": 4101},
    "prod": {
        "kind": "kubernetes",
        "context": "k3s",
        "namespace": "sf",
        "kubectl": ["k3s", "kubectl"],
        "pull_secrets": ["login"],
    },
}


def chosen(image: dict[str, Any], **sections: Any) -> builders.Builder:  # noqa: ANN401 -- tables of deploy.toml
    project = values.a_project(image=image, **sections)
    return builders.choose(project, Path("/docker/Dockerfile.sf-server"), {"BASE": "b"}, REVISION)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"builder": "podman"}, "image.builder"),
        ({"builder": "kaniko"}, "kaniko.executor"),
        ({"builder": "kaniko", "kaniko": {"executor": "registry.internal/executor:latest"}}, "image.kaniko.executor"),
        ({"builder": "command"}, "command.argv"),
        ({"command": {"argv": ["x", "{digest_file}", "{password}"]}}, "no place named password"),
        ({"command": {"argv": ["x", "{to}"]}}, "no {digest_file} in it"),
        ({"kaniko": {"environment": "test"}}, "no Kubernetes environment named 'test'"),
        ({"kaniko": {"environment": "tset"}}, "no Kubernetes environment named 'tset'"),
        ({"nix": {"copy_to": "x#y"}}, "image.nix.copy_to"),
        ({"buildkit": {"adress": "x"}}, "image.buildkit.adress: unknown key"),
    ],
)
def test_what_no_builder_could_do_is_refused_with_its_path(image: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.ConfigInvalid) as refused:
        deploy_toml.parse({"image": image, "environments": CLUSTER}, root=Path("/nowhere"))

    assert said in refused.value.message
    assert "deploy.toml: image" in refused.value.message


def test_the_builder_is_the_one_that_deploy_toml_names() -> None:
    pod = {"executor": EXECUTOR, "environment": "prod", "namespace": "builds"}
    kinds = [
        chosen({}),
        chosen({"builder": "buildkit", "buildkit": {"address": "tcp://build:1234"}}),
        chosen({"builder": "kaniko", "kaniko": {"executor": EXECUTOR}}),
        chosen({"builder": "nix2container"}),
        chosen({"builder": "command", "command": {"argv": ["x", "{digest_file}"]}}),
    ]
    within = chosen({"builder": "kaniko", "kaniko": pod}, environments=CLUSTER)

    assert [type(kind).__name__ for kind in kinds] == ["Docker", "BuildKit", "Kaniko", "Command", "Command"]
    assert [kind.own_files for kind in kinds] == [False, False, False, True, True]
    assert isinstance(kinds[0], Docker)
    assert isinstance(kinds[1], BuildKit)
    assert kinds[1].address == "tcp://build:1234"
    assert isinstance(within, kaniko.Kaniko)
    assert isinstance(within.place, Pod)
    assert within.place.namespace == "builds"


@pytest.mark.parametrize(
    ("image", "base", "engine"),
    [
        ({}, True, True),
        ({"builder": "buildkit"}, True, False),
        ({"builder": "kaniko", "kaniko": {"executor": EXECUTOR}}, True, True),
        ({"builder": "kaniko", "kaniko": {"executor": EXECUTOR, "environment": "prod"}}, True, False),
        ({"builder": "nix2container"}, False, True),
        ({"builder": "command", "command": {"argv": ["x", "{digest_file}"]}}, False, True),
        ({"builder": "command", "command": {"argv": ["x", "{base}", "{digest_file}"]}}, True, True),
    ],
)
def test_a_base_image_and_an_engine_are_wanted_only_by_who_uses_them(
    image: dict[str, Any], *, base: bool, engine: bool
) -> None:
    project = values.a_project(image=image, environments=CLUSTER)

    assert builders.wants_base(project) is base
    assert builders.has_engine(project) is engine


@pytest.mark.parametrize(
    ("dockerfile", "below", "arguments"),
    [
        ("FROM x\nARG TREE=.\nCOPY ${TREE} /\n", ".", {"TREE": "image-1"}),
        ("FROM x\n# ARG TREE\nCOPY . /\n", "image-1", {}),
    ],
)
def test_only_a_dockerfile_with_a_tree_argument_gets_the_tree_by_its_name(
    tmp_path: Path, dockerfile: str, below: str, arguments: dict[str, str]
) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)

    told = context.of(tmp_path / "image-1", tmp_path / "Dockerfile")

    assert told == (tmp_path / below, arguments)


def test_our_dockerfile_is_one_of_those() -> None:
    assert context.of(Path("/packed/image-1"), shipped.own(images.DOCKERFILE))[1] == {"TREE": "image-1"}


@pytest.mark.parametrize("told", ["", "latest", "sha256:12", "registry/sf@" + DIGEST, f"{DIGEST}\n{DIGEST}"])
def test_what_is_no_digest_is_not_taken_for_one(told: str) -> None:
    with pytest.raises(errors.BuildFailed, match="expected the digest"):
        record.digest(told, "image.txt")


def test_a_digest_may_end_in_a_newline() -> None:
    assert record.digest(f"{DIGEST}\n", "image.txt") == DIGEST


def test_a_command_line_gets_what_stands_for_its_places_and_keeps_its_other_braces() -> None:
    argv = command.fill(["build", "--to={to}", '{"a": {}}', "${HOME}"], {"to": "r/sf:1"})

    assert argv[:3] == ["build", "--to=r/sf:1", '{"a": {}}']
    assert argv[3] == "${HOME}"


def test_the_flake_is_that_of_the_revision_in_its_folder_and_gets_tree_and_labels() -> None:
    image = values.a_project(image={"builder": "nix2container"}).image

    argv = nix.argv(image, REVISION)

    assert f"git+file:///code/mono?rev={'a' * 40}&shallow=1&dir=apps/sf#image.copyTo" in argv
    assert argv[-4:] == ("docker://{to}", "--digestfile", "{digest_file}", "--dest-tls-verify=false")
    assert argv[argv.index("tree") :][:2] == ("tree", "path:{root}")


def test_a_registry_that_speaks_tls_is_verified_by_what_the_flake_runs() -> None:
    image = values.a_project(image={"builder": "nix2container", "repository": "registry.internal/sf"}).image

    assert "--dest-tls-verify=false" not in nix.argv(image, REVISION)


def test_an_executor_gets_the_tree_owned_by_root_at_the_commit_s_time(tmp_path: Path) -> None:
    ship = tmp_path / "root" / "opt" / "sf"
    (ship / "bin").mkdir(parents=True)
    (ship / "bin" / "run").write_bytes(b"#!/bin/sh\n")
    (ship / "bin" / "run").chmod(0o755)
    (ship / "linked").symlink_to("bin")
    (ship / "hard").hardlink_to(ship / "bin" / "run")
    (ship / ".dockerignore").write_text("*\n")
    tree.level(tmp_path / "root", 1000)
    fed = io.BytesIO()

    kaniko.pack(fed, tmp_path / "root", {"docker/config.json": b"{}"}, 1000)

    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(fed.getvalue()))) as tar:
        members = tar.getmembers()
        tar.extractall(tmp_path / "there", filter="data")
    assert tree.digest(tmp_path / "there" / "root") == tree.digest(tmp_path / "root")
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", 1000)}
    assert next(member.mode for member in members if member.name == "docker/config.json") == 0o600


def test_an_executor_gets_the_login_of_its_registry_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {host: {"auth": base64.b64encode(f"ci:{host}".encode()).decode()} for host in ("ours", "theirs")}
    (tmp_path / "config.json").write_text(json.dumps({"auths": known}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert json.loads(kaniko.logins({"ours", "nobody's"})) == {"auths": {"ours": known["ours"]}}


def test_a_pod_may_do_no_more_than_unpack_an_image() -> None:
    pod = chosen({"builder": "kaniko", "kaniko": {"executor": EXECUTOR, "environment": "prod"}}, environments=CLUSTER)
    assert isinstance(pod, kaniko.Kaniko)
    assert isinstance(pod.place, Pod)

    spec = pod.place.manifest("build-1", EXECUTOR, ["--destination", "r/sf:1"], loopback=False)["spec"]

    (executor,) = spec["containers"]
    assert executor["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": list(kaniko.CAPABILITIES)}
    assert executor["securityContext"]["allowPrivilegeEscalation"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["hostNetwork"] is False
    assert spec["activeDeadlineSeconds"] > pod.place.timeout
    assert spec["imagePullSecrets"] == [{"name": "login"}]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"},
            "OutOfcpu: Node didn't have enough resource: cpu",
        ),
        ({"phase": "Failed", "reason": "Evicted", "containerStatuses": []}, "Evicted"),
        ({"phase": "Failed", "reason": "Shutdown", "containerStatuses": [{"state": {"waiting": {}}}]}, "Shutdown"),
        ({"phase": "Failed"}, "no reason given"),
    ],
)
def test_a_pod_that_ends_before_its_executor_says_why(status: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.BuildFailed) as failed:
        how_ended({"status": status}, "image")

    assert failed.value.message == f"image: the pod is Failed, and its executor did not run to an end: {said}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 60_000,
        b'{"status": 1}',
        b'{"status": {"containerStatuses": [1]}}',
        b'{"status": {"containerStatuses": [{"state": {"terminated": {"exitCode": "1"}}}]}}',
        json.dumps({**A_POD, "status": {"containerStatuses": [{"name": "e", "state": {"terminated": {}}}]}}).encode(),
    ],
)
def test_what_describes_no_pod_is_an_error_of_ours_in_one_line(data: bytes) -> None:
    with pytest.raises(errors.BuildFailed, match="^image: not what a cluster says of a pod: .*[^ ]$") as failed:
        parse(data, "image")

    assert len(failed.value.message.splitlines()) == 1
    assert "pydantic" not in failed.value.message


def test_how_an_executor_ended_is_read_of_its_pod() -> None:
    ended = {"exitCode": 1, "reason": "Error", "message": "m"}
    executor = {"name": "executor", "state": {"terminated": ended}}

    told = {**A_POD, "status": {"phase": "Failed", "containerStatuses": [executor], "conditions": None}}

    assert how_ended(parse(json.dumps(told).encode(), "image"), "image") == ended


def test_a_base_trial_carries_its_label_and_first_clears_unstarted_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[list[str]] = []

    def run(argv: list[str], **_: object) -> process.Outcome:
        ran.append(argv)
        return process.Outcome(argv=tuple(argv), code=0, stdout=b"v24.1.0\n")

    monkeypatch.setattr(process, "run", run)

    assert docker.run_node("base@sha256:1") == "v24.1.0"
    cleared, started = ran
    assert cleared[1:3] == ["container", "prune"]
    assert {"--force", f"label={docker.TRIAL}", "until=10m"} <= {*cleared}
    assert f"--label={docker.TRIAL}" in started
