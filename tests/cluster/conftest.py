import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import children, cluster
from lab.cluster import Cluster
from lab.cluster import site as sites
from lab.cluster.site import Site
from lab.site import Site as Plain


@pytest.fixture(scope="session")
def real() -> Cluster:
    """A cluster that runs."""
    return cluster.provide()


@pytest.fixture(scope="session")
def repository(real: Cluster) -> Iterator[str]:
    """A repository that the cluster pulls from, at a port of this machine where a release starts the registry."""
    assert real
    with cluster.registry_port() as port:
        yield f"127.0.0.1:{port}/sf"
        name = f"selfdeploy-registry-{port}"
        children.run(["docker", "rm", "--force", "--volumes", name])
        children.run(["docker", "volume", "rm", "--force", name])
        pushed = children.run(["docker", "images", "--quiet", "--filter", f"reference=127.0.0.1:{port}/*"]).decode()
        if pushed:
            children.run(["docker", "rmi", "--force", *set(pushed.split())])


@pytest.fixture(scope="session")
def ship(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """What the real gates built of the application: once, however many processes run the tests."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "cluster-ship"
    with shared.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not shared.exists():
            site = Plain(folder=tmp_path_factory.mktemp("gates"))
            site.lay_out()
            done = site.inv("gates")
            assert done.returncode == 0, done.stderr
            shutil.move(next((site.folder / ".selfdeploy" / "trees").glob("*/ship")), shared)
    return shared


@pytest.fixture(scope="module")
def new_site(
    real: Cluster, ship: Path, repository: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Site]]:
    """Make a site of two namespaces of its own, whose gates take seconds, for what is tested is not them."""
    with contextlib.ExitStack() as held:

        def make(**settings: object) -> Site:
            folder = tmp_path_factory.mktemp("site")
            return held.enter_context(sites.make(real, folder, ship, repository, **settings))

        yield make


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site that has released its first revision to test and prod."""
    made = new_site()
    done = made.inv("release")
    assert done.returncode == 0, done.stderr
    return made
