import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import cluster, embedded
from lab.cluster import Cluster
from lab.cluster import site as sites
from lab.cluster.site import Site


@pytest.fixture(scope="module", autouse=True)
def apart(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep a module that stops parts of the cluster (`EXCLUSIVE`) apart from all others, in whichever process."""
    with cluster.turn(alone=getattr(request.module, "EXCLUSIVE", False)):
        yield


@pytest.fixture(scope="session")
def real() -> Cluster:
    """A cluster that runs."""
    return cluster.provide()


@pytest.fixture(scope="session")
def own(real: Cluster) -> Cluster:
    """The lab's own cluster, whose parts and network a test may reach."""
    if os.environ.get(cluster.KUBECONFIG):
        pytest.skip("this reaches into the lab's own cluster")
    return real


@pytest.fixture(scope="session")
def repository(real: Cluster) -> Iterator[str]:
    """A repository that the cluster pulls from, at a port of this machine where a release starts the registry."""
    assert real
    with cluster.registry_port() as port:
        yield f"127.0.0.1:{port}/sf"
        embedded.remove(f"127.0.0.1:{port}/sf")


@pytest.fixture(scope="module")
def new_site(
    real: Cluster, ship: Path, repository: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Site]]:
    """Make a site of two namespaces of its own, whose gates take seconds, for what is tested is not them."""
    with contextlib.ExitStack() as held:

        def make(*, public: bool = False, **settings: object) -> Site:
            folder = tmp_path_factory.mktemp("site")
            return held.enter_context(sites.make(real, folder, ship, repository, public=public, **settings))

        yield make


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site that has released its first revision to test and prod, which have an Ingress."""
    made = new_site(public=True)
    done = made.inv("release")
    assert done.returncode == 0, done.stderr
    return made
