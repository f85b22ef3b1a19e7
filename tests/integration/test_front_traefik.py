"""The site's own Traefik as the front of an environment on a Docker engine: the real one, in a container."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
import requests

from lab import children, cluster, load
from lab.needed import need, need_engine
from lab.site import IMPATIENT, ROOT, Site
from selfdeploy import config
from selfdeploy.build import base

SETTINGS = """strategy = "rolling"
front = "traefik"
url = "http://127.0.0.1:{port}"
[environments.test.traefik]
network = "{name}"
volume = "{name}"
rule = "PathPrefix(`/`)"
"""


def configure(site: Site, probes: str) -> None:
    """Have Traefik be the front of test; Traefik has its port."""
    site.configure(probes=probes, test=SETTINGS.format(port=site.ports[0], name=site.name))
    file = site.folder / "deploy.toml"
    file.write_text(file.read_text().replace(f"port = {site.ports[0]}\n", ""))


@pytest.fixture(scope="module")
def behind(new_site: Callable[..., Site]) -> Iterator[Site]:
    """A site that has released to test behind Traefik, which watches a volume and throttles as by default."""
    need_engine()
    need([] if shutil.which("go") or cluster.BUILT else ["go, which compiles Traefik"])
    children.run(["bash", str(cluster.HERE / "build")], timeout=cluster.BUILDING)
    site = new_site()
    site.docker("network", "create", site.name)
    site.docker("volume", "create", site.name)
    configure(site, "deadline = 120\nconsecutive = 2")
    site.begin_server(load.ENDPOINTS, "with endpoints of the lab")
    try:
        yield site
    finally:
        site.docker("rm", "--force", "--volumes", f"{site.name}-traefik")
        site.close()
        site.docker("network", "rm", site.name)
        site.docker("volume", "rm", site.name)


def start(site: Site) -> None:
    """Start Traefik on an image that the engine has."""
    program = os.fspath(cluster.HOME / "bin" / "traefik")
    image = base.provide(config.Project(root=ROOT), "base")
    argv = ["run", "--detach", "--name", f"{site.name}-traefik", "--network", site.name]
    argv += ["--publish", f"127.0.0.1:{site.ports[0]}:8000", "--volume", f"{program}:/traefik:ro"]
    argv += ["--volume", f"{site.name}:/files:ro", "--entrypoint", "/traefik", image]
    argv += ["--entrypoints.web.address=:8000", "--providers.file.directory=/files", "--providers.file.watch=true"]
    done = site.docker(*argv)
    assert done.returncode == 0, done.stderr


def test_traefik_sends_no_request_to_what_is_not_proven_and_loses_none(behind: Site) -> None:
    start(behind)
    released = behind.inv("release", "--to", "test")
    first = behind.revision

    with load.Load(behind.ports[0], rate=20) as forward:
        second = behind.begin_server(f"{load.ENDPOINTS}// two", "two")
        done = behind.inv("release", "--to", "test")
    with load.Load(behind.ports[0], rate=20) as bad:
        configure(behind, IMPATIENT)
        never = behind.begin_server(f'{load.ENDPOINTS}process.env.SF_WEB_PROJECT_CWD = "/nowhere";', "never ready")
        failed = behind.inv("release", "--to", "test")
    told = behind.inv("status", "-e", "test", "-v").stdout
    down = behind.inv("down", "-e", "test")

    assert (released.returncode, done.returncode, failed.returncode) == (0, 0, 51), released.stderr + failed.stderr
    assert forward.failures == bad.failures == {}
    assert set(forward.revisions) == {first, second}
    assert never not in bad.revisions
    assert f"front    Traefik, {behind.name}-t.yml in the volume {behind.name}, sends requests to" in told
    assert down.returncode == 0, down.stderr
    address = f"http://127.0.0.1:{behind.ports[0]}/api/healthz"
    children.wait_until(lambda: requests.get(address, timeout=5).status_code == requests.codes.not_found, "no router")


def test_a_volume_that_is_not_there_is_named_before_anything_is_switched(behind: Site) -> None:
    configure(behind, IMPATIENT)
    behind.begin_server(load.ENDPOINTS, "good again")
    file = behind.folder / "deploy.toml"
    file.write_text(file.read_text().replace(f'volume = "{behind.name}"', 'volume = "none-of-that-name"'))

    refused = behind.inv("release", "--to", "test")

    assert refused.returncode == 10
    assert "the engine has no volume 'none-of-that-name'" in refused.stderr
    assert "Traceback" not in refused.stderr
