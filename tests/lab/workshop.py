"""A site whose image every builder builds, with all that they need: a registry with a login, a buildkitd, pods."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab import builders, checkout, cluster, images, registry
from lab.site import Site
from lab.tokens import Login

LOGIN = Login(user="ci", password="right-horse")
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
minimum_tests = 0
"""
COMMAND = """
docker buildx build --load --provenance=false --file "$1" --build-arg BASE="$2" --tag "$3" \
    --label org.opencontainers.image.revision="$4" "$5"
docker push "$3" | sed -n 's/.* digest: \\(.*\\) size: .*/\\1/p' >"$6"
"""
ARGV = ["{dockerfile}", "{base}", "{to}", "{revision}", "{root}", "{digest_file}"]
NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@dataclass(frozen=True, kw_only=True)
class Pods:
    """A namespace where kaniko may be root, and what deploy.toml says of its cluster."""

    cluster: cluster.Cluster
    namespace: str
    settings: str


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What the builders need, the login of their registry included, and a site whose image they build."""

    site: Site
    store: registry.Registry
    docker: Path
    base: str
    busybox: str
    buildkit: builders.BuildKit
    executor: str
    pods: list[Pods] = field(default_factory=list)

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


@contextlib.contextmanager
def provide(new_folder: Callable[[str], Path]) -> Iterator[Workshop]:
    """Open a workshop in folders that NEW_FOLDER makes; it is removed afterwards."""
    with (
        cluster.registry_port() as port,
        registry.Registry(login=LOGIN, port=port) as store,
        builders.BuildKit() as buildkit,
    ):
        docker = new_folder("docker")
        auth = LOGIN.header.removeprefix("Basic ")
        (docker / "config.json").write_text(json.dumps({"auths": {store.name: {"auth": auth}}}))
        environment = {
            **builders.NIX,
            "DOCKER_CONFIG": str(docker),
            "PATH": f"{buildkit.path}:{os.environ['PATH']}",
        }
        site = Site(folder=new_folder("site"), repository=f"{store.name}/base", environment=environment)
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
        context = new_folder("busybox")
        (context / "layer.tar").write_bytes(images.busybox_layer())
        (context / "Dockerfile").write_text("FROM scratch\nADD layer.tar /\n")
        made = Workshop(
            site=site,
            store=store,
            docker=docker,
            base=base.stdout.strip(),
            busybox=push(context, "busybox"),
            buildkit=buildkit,
            executor=push(builders.executor_context(new_folder("executor")), "executor"),
        )

        yield made
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


def left_behind(workshop: Workshop) -> list[str]:
    """Return the containers and pods that builds have left, and the processes of the project."""
    found = workshop.site.docker("ps", "--all", "--quiet", "--filter", "name=selfdeploy-build-").stdout.split()
    for pods in workshop.pods:
        found += pods.cluster.kubectl("get", "pods", "--output=name", f"--namespace={pods.namespace}").split()
    return found + workshop.site.processes()
