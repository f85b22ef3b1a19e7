"""Parts of the cluster that stop in the middle of a rollout, and come back; nothing else may use it meanwhile."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from lab import children, cluster
from lab.cluster.site import Site

EXCLUSIVE = True
"""Read by the fixture that keeps the modules of this folder apart."""


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site whose first revision runs in test."""
    if os.environ.get(cluster.KUBECONFIG):
        pytest.skip("stops parts of the lab's own cluster")
    made = new_site()
    done = made.inv("release", "--to", "test")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def back() -> Iterator[None]:
    """Have all of the cluster run again after the test."""
    yield
    os.kill(cluster.process("containerd"), signal.SIGCONT)
    cluster.provide()


@pytest.mark.usefixtures("back")
def test_an_api_server_that_goes_away_and_comes_back_is_waited_for(site: Site) -> None:
    site.be_slow(12)
    revision = site.revision
    started = site.start("release", "--to", "test")
    children.wait_until(lambda: len(site.pods("test")) == 2, "it rolls", seconds=120)

    cluster.kill("kube-apiserver")
    between = started.process.poll()
    cluster.provide()
    code = started.process.wait(180)

    assert between is None
    assert code == 0, started.progress
    assert site.version("test")["revision"] == revision
    assert site.attempt("test")["ending"] == "proven"


@pytest.mark.usefixtures("back")
def test_a_node_whose_runtime_hangs_ends_at_the_deadline_and_what_ran_goes_on(site: Site) -> None:
    before, pods = site.version("test")["revision"], {*site.pods("test")}
    path = site.folder / "deploy.toml"
    path.write_text(path.read_text().replace("deadline = 90", "deadline = 15\ngrace = 5"))
    site.commit("no node makes it")

    os.kill(cluster.process("containerd"), signal.SIGSTOP)
    done = site.inv("release", "--to", "test")

    assert done.returncode == 51, done.stderr
    assert "not done after 15 s: " in done.stderr
    assert site.record("test")["holds"] == {}
    assert site.version("test")["revision"] == before
    assert {*site.pods("test")} == pods
