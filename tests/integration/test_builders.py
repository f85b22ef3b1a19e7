"""What every builder owes, asked of each for real: the image, its digest, its complaint, and nothing left behind."""

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import children, cluster, registry, workshop
from lab.needed import need, need_engine
from lab.site import Site
from lab.workshop import COMMAND, LOGIN, NO_ENGINE, ROOT, Pods, Workshop, left_behind
from selfdeploy import tree
from selfdeploy.build import assembly, inspection
from selfdeploy.config import deploy_toml
from selfdeploy.gates import receipt
from selfdeploy.registry import Reference, Registry, layers
from selfdeploy.registry import connect as connect_registry

MISSING = [*registry.MISSING, *(tool for tool in ("skopeo", "nix", "busybox", "mmdebstrap") if not shutil.which(tool))]
FAILS = ["sh", "-c", "echo broken-on-$((40+2)) >&2; exit 3"]


@pytest.fixture(scope="module")
def pods() -> Iterator[Callable[[str], Pods]]:
    """Make a namespace where kaniko may be root, with the logins of a config.json."""
    with contextlib.ExitStack() as held:

        def prepare(config: str) -> Pods:
            there = cluster.provide()
            labels = {"pod-security.kubernetes.io/enforce": "privileged"}
            namespace = held.enter_context(there.namespace(labels=labels))
            there.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "type": "kubernetes.io/dockerconfigjson",
                    "metadata": {"name": "login", "namespace": namespace},
                    "stringData": {".dockerconfigjson": config},
                }
            )
            settings = f"""
context = "{there.context}"
kubeconfig = "{there.kubeconfig}"
kubectl = {json.dumps(there.command)}
namespace = "elsewhere"
pull_secrets = ["login"]
"""
            return Pods(cluster=there, namespace=namespace, settings=settings)

        yield prepare


@pytest.fixture(scope="module")
def lab(pods: Callable[[str], Pods], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Workshop]]:
    """Make a workshop for a builder: one for all of them, the parts that only one needs when it is asked for."""
    need_engine()
    need(MISSING)
    with workshop.provide(tmp_path_factory.mktemp) as made:

        def choose(builder: str) -> Workshop:
            if builder == "kaniko pod" and not made.pods:
                made.pods.append(pods((made.docker / "config.json").read_text()))
            return made

        yield choose


ALL = ("docker", "buildkit", "kaniko", "kaniko pod", "nix2container", "command")


@dataclass(frozen=True, kw_only=True)
class Released:
    """How a release by one builder went, and the image as the registry has it."""

    site: Site
    builder: str
    progress: str
    store: Registry
    digest: str


@pytest.fixture(scope="module", params=ALL)
def released(request: pytest.FixtureRequest, lab: Callable[[str], Workshop]) -> Iterator[Released]:
    """A site that has released to test what a builder built, with nothing but its own tools on hand."""
    builder: str = request.param
    site = lab(builder).use(builder)
    done = site.inv("release", "--to", "test")
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", site.environment["DOCKER_CONFIG"])
        digest = json.loads((site.folder / "dist" / "sf-release-manifest.json").read_bytes())["image"]["digest"]
        store = connect_registry(Reference.parse(site.repository))
        yield Released(site=site, builder=builder, progress=done.stderr, store=store, digest=digest)


def test_what_a_builder_built_is_deployed_and_proven(released: Released) -> None:
    told = released.site.version("test")

    assert told["image"] == f"{released.site.repository}@{released.digest}"
    assert told["revision"] == released.site.revision


def test_its_image_has_the_labels_the_user_and_the_command_line(released: Released) -> None:
    image = released.store.image(released.digest)
    assert image is not None
    (child,) = image.platforms.values()
    told = released.store.config(child.config)["config"]

    inspection.check_run("linux/amd64", told)
    assert told["User"] == "1000:1000"
    assert told["Labels"][inspection.REVISION] == released.site.revision
    assert released.builder == "command" or told["Labels"]["org.opencontainers.image.version"] == "1.0.0"


def test_its_files_are_the_gated_tree_s_byte_for_byte(released: Released) -> None:
    image = released.store.image(released.digest)
    assert image is not None
    (child,) = image.platforms.values()
    ship = released.site.shipped

    assert layers.compare(tree.entries(ship), layers.files(released.store, child.digest, below="opt/sf")) == []


def test_the_password_is_in_no_file_of_the_project_and_in_no_line_it_printed(released: Released) -> None:
    password = LOGIN.password.encode()

    found = [path for path in released.site.folder.rglob("*") if path.is_file() and password in path.read_bytes()]

    assert found == []
    assert LOGIN.password not in released.progress


@pytest.mark.parametrize(("builder", "environment"), [("docker", {}), ("buildkit", NO_ENGINE)])
def test_a_gated_tree_built_twice_is_one_image_also_from_another_folder(
    lab: Callable[[str], Workshop], builder: str, environment: dict[str, str]
) -> None:
    site = lab(builder).use(builder)

    done = site.inv("build", "--twice", **environment)

    assert done.returncode == 0, done.stderr
    assert "the same digest" in done.stderr
    assert done.stdout.startswith(f"{site.repository}@sha256:")


@pytest.mark.parametrize("builder", ["docker", "buildkit"])
def test_nothing_of_other_builds_that_a_builder_keeps_gets_into_an_image(
    lab: Callable[[str], Workshop], builder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = lab(builder).use(builder)
    for name in ("DOCKER_CONFIG", "PATH"):
        monkeypatch.setenv(name, site.environment[name])
    made = assembly.Assembly(deploy_toml.load(site.folder))
    gated = made.require_gated()
    images = made.images
    earlier = dataclasses.replace(
        images, revision=dataclasses.replace(made.revision, epoch=made.revision.epoch - 100_000)
    )
    alike = moved(gated, tmp_path / "alike")
    (alike.ship / "dist" / "loader.js").write_bytes(
        (gated.ship / "dist" / "loader.js").read_bytes().swapcase()
    )  # of one size
    more = moved(gated, tmp_path / "more")
    (more.ship / "dist" / "web" / "more.js").write_text("more")
    (more.ship / "more" / "below").mkdir(parents=True)

    built = []
    for turn in range(4):
        earlier.push(gated)
        images.push(dataclasses.replace(more, digest=tree.digest(more.ship)))
        other = images.push(dataclasses.replace(alike, digest=tree.digest(alike.ship)), again=turn == 1)
        built += [images.push(gated), images.push(moved(gated, tmp_path / str(turn)), again=turn > 1)]

    assert len({image.digest for image in built}) == 1
    for image, root in ((built[0], gated.ship), (other, alike.ship)):
        (child,) = image.platforms.values()
        assert layers.compare(tree.entries(root), layers.files(made.store, child.digest, below="opt/sf")) == []


@pytest.mark.parametrize("builder", ["docker", "buildkit"])
def test_packages_that_a_commit_did_not_change_are_in_the_layers_of_the_image_before(
    lab: Callable[[str], Workshop], builder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = lab(builder).use(builder)
    for name in ("DOCKER_CONFIG", "PATH"):
        monkeypatch.setenv(name, site.environment[name])
    made = assembly.Assembly(deploy_toml.load(site.folder))
    packed = moved(made.require_gated(), tmp_path / "packed")
    for name in ("node_modules/a/x.js", "node_modules/.package-lock.json", "dist/web/standalone/node_modules/b/x.js"):
        (packed.ship / name).parent.mkdir(parents=True, exist_ok=True)
        (packed.ship / name).write_text(name)
    (packed.ship / "node_modules" / "linked").symlink_to("../dist")
    line = moved(packed, tmp_path / "line")
    (line.ship / "dist" / "line.js").write_text("one more line")
    package = moved(line, tmp_path / "package")
    (package.ship / "node_modules" / "a" / "x.js").write_text("node_modules/a/y.js")  # of one size and time
    later = dataclasses.replace(
        made.images, revision=dataclasses.replace(made.revision, epoch=made.revision.epoch + 60)
    )

    first = made.images.push(dataclasses.replace(packed, digest=tree.digest(packed.ship)))
    second = later.push(dataclasses.replace(line, digest=tree.digest(line.ship)))
    third = later.push(dataclasses.replace(package, digest=tree.digest(package.ship)))

    one, two, three = (layer_digests(made.store, image.digest) for image in (first, second, third))
    changed = [place for place, (before, after) in enumerate(zip(one, two, strict=True)) if before != after]
    assert len(changed) == 1
    top = changed[0]
    assert two[top - 2] != three[top - 2]
    assert (two[: top - 2], two[top - 1 :]) == (three[: top - 2], three[top - 1 :])
    for image, gated in ((first, packed), (second, line), (third, package)):
        (child,) = image.platforms.values()
        assert layers.compare(tree.entries(gated.ship), layers.files(made.store, child.digest, below="opt/sf")) == []


def layer_digests(store: Registry, digest: str) -> list[str]:
    """Return the digests of the layers of the image DIGEST of one platform."""
    found = store.manifest(digest)
    assert found is not None
    return [layer["digest"] for layer in json.loads(found[1])["layers"]]


def moved(gated: receipt.GatedTree, folder: Path) -> receipt.GatedTree:
    """Return GATED as it is in FOLDER, where everything is of now."""
    shutil.copytree(gated.root, folder, symlinks=True, copy_function=shutil.copy)
    for path in folder.rglob("*"):
        os.utime(path, follow_symlinks=False)
    return dataclasses.replace(gated, ship=folder / gated.ship.relative_to(gated.root))


@pytest.mark.parametrize("builder", ["docker", "buildkit"])
def test_what_differs_between_two_builds_is_named(lab: Callable[[str], Workshop], builder: str) -> None:
    site = lab(builder).use(builder)
    dockerfile = site.folder / "docker" / "Dockerfile.sf-server"
    dockerfile.parent.mkdir(exist_ok=True)
    whole = (ROOT / "docker" / "Dockerfile.sf-server").read_text()
    dockerfile.write_text(whole.replace("WORKDIR", "RUN date +%s%N >/a-when\nWORKDIR"))

    refused = site.inv("build", "--twice")

    assert refused.returncode == 23, refused.stderr
    assert "layer 4 of" in refused.stderr
    assert "a-when: " in refused.stderr  # its time, where the builder keeps that, or its content


def test_a_dockerfile_of_one_s_own_may_not_add_to_the_gated_tree(lab: Callable[[str], Workshop]) -> None:
    site = lab("docker").use("docker")
    dockerfile = site.folder / "docker" / "Dockerfile.sf-server"
    dockerfile.parent.mkdir(exist_ok=True)
    dockerfile.write_text((ROOT / "docker" / "Dockerfile.sf-server").read_text() + "COPY ${TREE}/opt /opt/sf/more\n")

    refused = site.inv("build")

    assert refused.returncode == 33, refused.stderr
    assert "more: only in the image" in refused.stderr


def test_a_command_s_image_of_something_else_than_the_gated_tree_is_refused(lab: Callable[[str], Workshop]) -> None:
    more = """printf '\\nCOPY opt/sf/package.json /opt/sf/more.json\\n' | cat "$1" - >more.Dockerfile"""
    site = lab("command").use("command", script=more + COMMAND.replace('"$1"', "more.Dockerfile"))

    refused = site.inv("build")

    assert refused.returncode == 33, refused.stderr
    assert "more.json: only in the image" in refused.stderr


def test_a_builder_that_does_not_answer_is_told_before_the_gates_run(lab: Callable[[str], Workshop]) -> None:
    site = lab("buildkit").use("buildkit")
    file = site.folder / "deploy.toml"
    file.write_text(file.read_text().replace("unix:///", "unix:///nowhere/"))

    refused = site.inv("release", "--fresh")

    assert refused.returncode == 48, refused.stderr
    assert "does not answer" in refused.stderr
    assert "gates ..." not in refused.stderr


def test_a_digest_that_is_not_the_registry_s_is_refused(lab: Callable[[str], Workshop]) -> None:
    site = lab("command").use("command", script=f'{COMMAND}echo sha256:{"0" * 64} >"$6"')

    refused = site.inv("build")

    assert refused.returncode == 33, refused.stderr
    assert "the builder pushed sha256:000" in refused.stderr


@pytest.mark.parametrize("builder", ALL)
def test_why_a_build_failed_is_shown(lab: Callable[[str], Workshop], builder: str) -> None:
    site = lab(builder).use(builder, steps=FAILS)

    failed = site.inv("build")

    assert failed.returncode == 32, failed.stderr
    assert "broken-on-42" in failed.stderr
    assert left_behind(lab(builder)) == []


@pytest.mark.parametrize("builder", ALL)
def test_a_build_that_takes_too_long_is_ended(lab: Callable[[str], Workshop], builder: str) -> None:
    seconds = str(10_000 + secrets.randbelow(100_000))
    site = lab(builder).use(builder, steps=["sleep", seconds], timeout=5)

    ended = site.inv("build")

    assert ended.returncode == 15, ended.stderr
    assert "image.timeout" in ended.stderr
    wait_for_nothing(lab(builder), seconds)


@pytest.mark.parametrize("builder", ALL)
def test_an_interrupted_build_leaves_nothing_running(lab: Callable[[str], Workshop], builder: str) -> None:
    seconds = str(10_000 + secrets.randbelow(100_000))
    site = lab(builder).use(builder, steps=["sleep", seconds])

    build = site.start("build")
    try:
        children.wait_until(lambda: sleeping(seconds) != [], "the step that hangs", seconds=90)
    finally:
        code = build.end(signal.SIGINT)

    assert code == 130, build.progress
    wait_for_nothing(lab(builder), seconds)


def sleeping(seconds: str) -> list[str]:
    """Return the processes of this machine, containers' included, that sleep that many SECONDS."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, _, rest = (entry / "cmdline").read_bytes().partition(b"\0")
            if program.endswith(b"sleep") and rest == f"{seconds}\0".encode():
                found.append(entry.name)
    return found


def wait_for_nothing(lab: Workshop, seconds: str) -> None:
    """Wait until nothing sleeps SECONDS any more, and nothing else of a build is left."""
    children.wait_until(lambda: not sleeping(seconds) and not left_behind(lab), "the end of all", seconds=30)
