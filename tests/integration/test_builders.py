"""What every builder owes, asked of each for real: the image, its digest, its complaint, and nothing left behind."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import builders, checkout, children, cluster, images, registry
from lab.needed import need, need_engine
from lab.site import Site
from lab.tokens import Login
from selfdeploy import assembly, deploy_toml, gates, inspection, tree
from selfdeploy.registry import Reference, Registry, layers
from selfdeploy.registry import connect as connect_registry

LOGIN = Login(user="ci", password="right-horse")
MISSING = [*registry.MISSING, *(tool for tool in ("skopeo", "nix", "busybox", "mmdebstrap") if not shutil.which(tool))]
ROOT = Path(__file__).parents[2]
LOADER = """
process.env.SF_WEB_PORT = process.argv[process.argv.indexOf("--port") + 1];
require("./web/standalone/server.js");
"""
GATES = f"""
{checkout.GATES}
[gates.override.typecheck]
command = ["node", "--version"]
[gates.override.test-unit]
command = ["node", "--version"]
"""
COMMAND = """
docker buildx build --load --provenance=false --file "$1" --build-arg BASE="$2" --tag "$3" \
    --label org.opencontainers.image.revision="$4" "$5"
docker push "$3" | sed -n 's/.* digest: \\(.*\\) size: .*/\\1/p' >"$6"
"""
ARGV = ["{dockerfile}", "{base}", "{to}", "{revision}", "{root}", "{digest_file}"]
NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
FAILS = ["sh", "-c", "echo broken-on-$((40+2)) >&2; exit 3"]


@dataclass(frozen=True, kw_only=True)
class Pods:
    """A namespace where kaniko may be root, and what deploy.toml says of its cluster."""

    cluster: cluster.Cluster
    namespace: str
    settings: str


@dataclass(frozen=True, kw_only=True)
class Lab:
    """What the builders need, the login of their registry included, and a site whose image they build."""

    site: Site
    store: registry.Registry
    base: str
    busybox: str
    buildkit: builders.BuildKit
    executor: str
    pods: list["Pods"] = field(default_factory=list)

    def use(self, builder: str, *, steps: list[str] | None = None, script: str = COMMAND, timeout: float = 300) -> Site:
        """Return the site with BUILDER; the command STEPS is what it runs in a build, SCRIPT what `command` is.

        The repository is one of what builds it: an image that another made of the same tree is not found there.
        """
        kind, _, where = builder.partition(" ")
        table = {
            "buildkit": f'address = "{self.buildkit.address}"',
            "kaniko": f'executor = "{self.executor}"',
            "command": f"argv = {json.dumps(['sh', '-ec', script, 'sh', *ARGV])}",
        }.get(kind, "")
        cluster = ""
        if where == "pod":
            table += f'\nenvironment = "cluster"\nnamespace = "{self.pods[0].namespace}"'
            cluster = f'[environments.cluster]\nkind = "kubernetes"\n{self.pods[0].settings}'
        if steps and kind == "command":
            table = f"argv = {json.dumps(['env', 'LEAVES={digest_file}', *steps])}"
        name = builder.replace(" ", "-") + ("-broken" if steps else "")
        if script != COMMAND:
            name += f"-{hashlib.sha256(script.encode()).hexdigest()[:8]}"
        site = dataclasses.replace(self.site, repository=f"{self.store.name}/{name}")
        image = f'builder = "{kind}"\nbase = "{self.base}"\ntimeout = {timeout}'
        site.configure(top=GATES + (f"[image.{kind}]\n{table}\n" if table else ""), image=image, prod=cluster)
        dockerfile = site.folder / "docker" / "Dockerfile.sf-server"
        dockerfile.unlink(missing_ok=True)
        if kind == "nix2container":
            layer = shlex.join(steps) if steps else builders.LAYER
            builders.write_flake(site.folder / "sf", self.base, layer)
            site.commit("a flake")
            assert site.inv("gates").returncode == 0
        elif steps and kind != "command":
            dockerfile.parent.mkdir(exist_ok=True)
            dockerfile.write_text(f"FROM {self.busybox}\nENV PATH=/bin\nCOPY . /\nRUN {json.dumps(steps)}\n")
        return site


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
def lab(pods: Callable[[str], Pods], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Lab]]:
    """Make a lab for a builder: one for all of them, the parts that only one needs when it is asked for."""
    need_engine()
    need(MISSING)
    with (
        cluster.registry_port() as port,
        registry.Registry(login=LOGIN, port=port) as store,
        builders.BuildKit() as buildkit,
    ):
        docker = tmp_path_factory.mktemp("docker")
        auth = LOGIN.header.removeprefix("Basic ")
        (docker / "config.json").write_text(json.dumps({"auths": {store.name: {"auth": auth}}}))
        environment = {
            **builders.NIX,
            "DOCKER_CONFIG": str(docker),
            "PATH": f"{buildkit.path}:{os.environ['PATH']}",
        }
        site = Site(folder=tmp_path_factory.mktemp("site"), repository=f"{store.name}/base", environment=environment)
        lay_out(site)

        def push(context: Path, name: str) -> str:
            tag = f"{store.name}/{name}:1"
            for argv in (["build", "--quiet", "--tag", tag, str(context)], ["--config", str(docker), "push", tag]):
                done = site.docker(*argv)
                assert done.returncode == 0, done.stderr
            found = re.search(r"sha256:[0-9a-f]{64}", done.stdout)
            assert found is not None
            return f"{store.name}/{name}@{found[0]}"

        without_engine = f'builder = "buildkit"\n[image.buildkit]\naddress = "{buildkit.address}"'
        site.configure(top=GATES, image=without_engine)
        base = site.inv("base", **NO_ENGINE)
        assert base.returncode == 0, base.stderr
        context = tmp_path_factory.mktemp("busybox")
        (context / "layer.tar").write_bytes(images.busybox_layer())
        (context / "Dockerfile").write_text("FROM scratch\nADD layer.tar /\n")
        made = Lab(
            site=site,
            store=store,
            base=base.stdout.strip(),
            busybox=push(context, "busybox"),
            buildkit=buildkit,
            executor=push(builders.executor_context(tmp_path_factory.mktemp("executor")), "executor"),
        )

        def choose(builder: str) -> Lab:
            if builder == "kaniko pod" and not made.pods:
                made.pods.append(pods((docker / "config.json").read_text()))
            return made

        yield choose
        site.close()


def lay_out(site: Site) -> None:
    """Write the project, whose application is as small as the contract allows, and run its gates."""
    made = checkout.Checkout.create(site.folder / "sf")
    (made.folder / "server.cjs").write_text(checkout.FILES["server.cjs"])
    build = (made.folder / "build.mjs").read_text()
    (made.folder / "loader.cjs").write_text(LOADER)
    (made.folder / "build.mjs").write_text(build + 'writeFileSync("dist/loader.js", readFileSync("loader.cjs"));\n')
    (made.folder / "build.mjs").chmod(0o755)
    for file in ("tasks.py", "noxfile.py"):
        shutil.copy(ROOT / file, site.folder / file)
    site.configure(top=GATES)
    site.commit("one")
    gated = site.inv("gates")
    assert gated.returncode == 0, gated.stderr


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
def released(request: pytest.FixtureRequest, lab: Callable[[str], Lab]) -> Iterator[Released]:
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
    found = [path for path in released.site.folder.rglob("*") if path.is_file() and b"right-horse" in path.read_bytes()]

    assert found == []
    assert "right-horse" not in released.progress


@pytest.mark.parametrize(("builder", "environment"), [("docker", {}), ("buildkit", NO_ENGINE)])
def test_a_gated_tree_built_twice_is_one_image_also_from_another_folder(
    lab: Callable[[str], Lab], builder: str, environment: dict[str, str]
) -> None:
    site = lab(builder).use(builder)

    done = site.inv("build", "--twice", **environment)

    assert done.returncode == 0, done.stderr
    assert "the same digest" in done.stderr
    assert done.stdout.startswith(f"{site.repository}@sha256:")


@pytest.mark.parametrize("builder", ["docker", "buildkit"])
def test_nothing_of_other_builds_that_a_builder_keeps_gets_into_an_image(
    lab: Callable[[str], Lab], builder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def moved(gated: gates.GatedTree, folder: Path) -> gates.GatedTree:
    """Return GATED as it is in FOLDER, where everything is of now."""
    shutil.copytree(gated.root, folder, symlinks=True, copy_function=shutil.copy)
    for path in folder.rglob("*"):
        os.utime(path, follow_symlinks=False)
    return dataclasses.replace(gated, ship=folder / gated.ship.relative_to(gated.root))


@pytest.mark.parametrize("builder", ["docker", "buildkit"])
def test_what_differs_between_two_builds_is_named(lab: Callable[[str], Lab], builder: str) -> None:
    site = lab(builder).use(builder)
    dockerfile = site.folder / "docker" / "Dockerfile.sf-server"
    dockerfile.parent.mkdir(exist_ok=True)
    whole = (ROOT / "docker" / "Dockerfile.sf-server").read_text()
    dockerfile.write_text(whole.replace("WORKDIR", "RUN date +%s%N >/a-when\nWORKDIR"))

    refused = site.inv("build", "--twice")

    assert refused.returncode == 23, refused.stderr
    assert "layer 4 of" in refused.stderr
    assert "a-when: " in refused.stderr  # its time, where the builder keeps that, or its content


def test_a_dockerfile_of_one_s_own_may_not_add_to_the_gated_tree(lab: Callable[[str], Lab]) -> None:
    site = lab("docker").use("docker")
    dockerfile = site.folder / "docker" / "Dockerfile.sf-server"
    dockerfile.parent.mkdir(exist_ok=True)
    dockerfile.write_text((ROOT / "docker" / "Dockerfile.sf-server").read_text() + "COPY ${TREE}/opt /opt/sf/more\n")

    refused = site.inv("build")

    assert refused.returncode == 33, refused.stderr
    assert "more: only in the image" in refused.stderr


def test_a_command_s_image_of_something_else_than_the_gated_tree_is_refused(lab: Callable[[str], Lab]) -> None:
    more = """printf '\\nCOPY opt/sf/package.json /opt/sf/more.json\\n' | cat "$1" - >more.Dockerfile"""
    site = lab("command").use("command", script=more + COMMAND.replace('"$1"', "more.Dockerfile"))

    refused = site.inv("build")

    assert refused.returncode == 33, refused.stderr
    assert "more.json: only in the image" in refused.stderr


def test_a_builder_that_does_not_answer_is_told_before_the_gates_run(lab: Callable[[str], Lab]) -> None:
    site = lab("buildkit").use("buildkit")
    file = site.folder / "deploy.toml"
    file.write_text(file.read_text().replace("unix:///", "unix:///nowhere/"))

    refused = site.inv("release", "--fresh")

    assert refused.returncode == 48, refused.stderr
    assert "does not answer" in refused.stderr
    assert "gates ..." not in refused.stderr


def test_a_digest_that_is_not_the_registry_s_is_refused(lab: Callable[[str], Lab]) -> None:
    site = lab("command").use("command", script=f'{COMMAND}echo sha256:{"0" * 64} >"$6"')

    refused = site.inv("build")

    assert refused.returncode == 33, refused.stderr
    assert "the builder pushed sha256:000" in refused.stderr


@pytest.mark.parametrize("builder", ALL)
def test_why_a_build_failed_is_shown(lab: Callable[[str], Lab], builder: str) -> None:
    site = lab(builder).use(builder, steps=FAILS)

    failed = site.inv("build")

    assert failed.returncode == 32, failed.stderr
    assert "broken-on-42" in failed.stderr
    assert left_behind(lab(builder)) == []


@pytest.mark.parametrize("builder", ALL)
def test_a_build_that_takes_too_long_is_ended(lab: Callable[[str], Lab], builder: str) -> None:
    seconds = str(10_000 + secrets.randbelow(100_000))
    site = lab(builder).use(builder, steps=["sleep", seconds], timeout=5)

    ended = site.inv("build")

    assert ended.returncode == 15, ended.stderr
    assert "image.timeout" in ended.stderr
    wait_for_nothing(lab(builder), seconds)


@pytest.mark.parametrize("builder", ALL)
def test_an_interrupted_build_leaves_nothing_running(lab: Callable[[str], Lab], builder: str) -> None:
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


def left_behind(lab: Lab) -> list[str]:
    """Return the containers and pods that builds have left, and the processes of the project."""
    found = lab.site.docker("ps", "--all", "--quiet", "--filter", "name=selfdeploy-build-").stdout.split()
    for pods in lab.pods:
        found += pods.cluster.kubectl("get", "pods", "--output=name", f"--namespace={pods.namespace}").split()
    return found + lab.site.processes()


def wait_for_nothing(lab: Lab, seconds: str) -> None:
    """Wait until nothing sleeps SECONDS any more, and nothing else of a build is left."""
    children.wait_until(lambda: not sleeping(seconds) and not left_behind(lab), "the end of all", seconds=30)
