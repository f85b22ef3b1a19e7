"""The shared server and other engines: one that loses its power, and one of another host in disguise."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab import children, engine, local_engine, needed, relay
from lab.engine import PORT, Engine
from lab.local_engine import LocalEngine
from lab.vega import Site, docker
from selfdeploy.build import base
from selfdeploy.config import deploy_toml


@pytest.fixture
def site(live: Site) -> Site:
    """The project at hand; the name hides the one of releases."""
    return live


def load_base(environment: Mapping[str, str]) -> None:
    project = deploy_toml.parse({}, root=Path())
    image = base.provide(project, "base")
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        subprocess.run(["docker", "load"], env=environment, stdin=saved.stdout, check=True, timeout=120)


def test_after_a_reboot_of_the_engine_the_server_is_back_and_proves_itself(site: Site) -> None:
    needed.need(local_engine.MISSING)
    with LocalEngine() as ours:
        load_base(ours.environment)
        site.good("vega.up", DOCKER_HOST=ours.url)
        before = site.get("/api/version")

        ours.kill()
        assert site.inv("vega.status", DOCKER_HOST=ours.url).returncode == 40
        ours.start()

        children.wait_until(lambda: not site.inv("probe", "-e", "vega", DOCKER_HOST=ours.url).returncode, "the proof")
        assert site.get("/api/version")["release"] == before["release"]
        assert len(docker("ps", "--quiet", environment=ours.environment).split()) == 1
        site.good("vega.down", DOCKER_HOST=ours.url)


def test_an_engine_of_another_host_behind_a_local_socket_is_found_out(site: Site) -> None:
    needed.need(engine.MISSING)
    with Engine() as remote:
        load_base(remote.environment)
        path = site.folder / "docker.sock"
        argv = [sys.executable, relay.__file__, str(path), remote.address, str(PORT)]
        passing_on = children.spawn(argv, site.folder / "relay.log")
        children.wait_until(path.exists, "the relay")

        refused = site.inv("vega.up", DOCKER_HOST=f"unix://{path}")

        children.end(passing_on)
        assert refused.returncode == 63, refused.stderr
        assert str(site.checkout.folder) in refused.stderr
        assert docker("ps", "--all", "--quiet", environment=remote.environment) == ""
