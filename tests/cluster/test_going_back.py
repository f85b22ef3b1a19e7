"""Going back in a namespace: from where the image comes, and what must not come back."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import children, cluster, images, registry
from lab.cluster import Cluster
from lab.cluster.site import Site
from lab.needed import need


@pytest.fixture(scope="module")
def store() -> Iterator[registry.Registry]:
    need(registry.MISSING)
    with cluster.registry_port() as port, registry.Registry(port=port) as started:
        yield started
        images.forget(started.name)


@pytest.fixture(scope="module")
def repository(own: Cluster, store: registry.Registry) -> str:
    """A repository whose registry the test may stop, on a node whose images it may remove."""
    assert own
    return f"{store.name}/sf"


@pytest.fixture(scope="module")
def two(new_site: Callable[..., Site]) -> Site:
    """A site that has released two revisions to test."""
    made = new_site()
    based = made.inv("base", "--quiet")
    assert based.returncode == 0, based.stderr
    made.configure(image=f'base = "{based.stdout.strip()}"')
    for message in ("one", "two"):
        made.commit(message)
        done = made.inv("release", "--to", "test")
        assert done.returncode == 0, done.stderr
    return made


@contextlib.contextmanager
def moved(store: registry.Registry, digest: str) -> Iterator[None]:
    """Have STORE not hold DIGEST, until the block ends."""
    number = digest.removeprefix("sha256:")
    path = store.data / "docker" / "registry" / "v2" / "blobs" / "sha256" / number[:2] / number
    aside = path.rename(path.with_name(f"{path.name}.aside"))
    yield
    aside.rename(path)


def forget(site: Site, digest: str) -> None:
    """Have the node hold no image DIGEST of SITE any more, under whatever name."""
    ctr = ["ctr", "--address=/run/selfdeploy-cluster/containerd.sock", "--namespace=k8s.io"]
    listed = children.run([*ctr, "images", "list"]).decode().splitlines()
    named = [line.split()[0] for line in listed if line.split()[2] == digest]
    assert f"{site.repository}@{digest}" in named
    children.run([*ctr, "images", "remove", "--sync", *named])


def other(site: Site) -> str:
    """The digest of what test has proven and does not run: what a rollback brings."""
    return next(
        str(one["digest"])
        for one in site.record("test")["proven"]
        if not site.version("test")["image"].endswith(one["digest"])
    )


def test_going_back_takes_the_registry_and_the_namespace_and_nothing_else(two: Site, tmp_path: Path) -> None:
    before, gone = two.git("rev-parse", "HEAD~1"), other(two)
    forget(two, gone)
    for file in ("tasks.py", "deploy.toml"):
        shutil.copy(two.folder / file, tmp_path / file)
    elsewhere = Site(folder=tmp_path, name=two.name, cluster=two.cluster, namespaces=two.namespaces)

    done = elsewhere.inv("rollback", "-e", "test")

    assert done.returncode == 0, done.stderr
    assert before in done.stdout
    assert two.version("test")["revision"] == before
    assert two.version("test")["image"].endswith(gone)


def test_going_back_works_while_the_node_alone_has_the_image_and_says_so(two: Site, store: registry.Registry) -> None:
    before, gone = two.version("test")["image"], other(two)

    with moved(store, gone):
        done = two.inv("rollback", "-e", "test")
    between = two.version("test")["image"]
    store.stop()
    silent = two.inv("rollback", "-e", "test")
    store.start()

    assert done.returncode == 0, done.stderr
    assert f"no longer has {two.repository}@{gone}" in done.stdout
    assert between.endswith(gone)
    assert silent.returncode == 0, silent.stderr
    assert "is not known" in silent.stdout
    assert two.version("test")["image"] == before


def test_an_image_that_nobody_has_any_more_leaves_who_answers_where_they_are(
    two: Site, store: registry.Registry
) -> None:
    gone, pods, before = other(two), {*two.pods("test")}, two.version("test")

    forget(two, gone)
    with moved(store, gone):
        refused = two.inv("rollback", "-e", "test")

    assert refused.returncode == 51, refused.stderr
    assert f"{gone}: not found" in refused.stderr
    assert "name another with --to" in refused.stderr
    assert {*two.pods("test")} == pods
    assert two.version("test") == before
    assert two.record("test")["holds"] == {}


def test_what_is_on_hold_and_runs_all_the_same_is_named_by_the_next_probe(two: Site) -> None:
    good = two.version("test")["image"]
    two.answer_as_another_revision()
    assert two.inv("release", "--to", "test").returncode == 51
    (digest,) = two.record("test")["holds"]
    kept = two.inv("release", "--to", "test")
    two.kubectl("test", "set", "image", "deployment/sf", f"server={two.repository}@{digest}")
    two.kubectl("test", "rollout", "status", "deployment/sf", "--timeout=60s")

    status = two.inv("status")
    probed = two.inv("probe", "-e", "test")
    fought = two.inv("rollback", "-e", "test", "--to", good.rpartition("@")[2])
    two.kubectl("test", "set", "image", "deployment/sf", f"server={good}")
    back = two.inv("rollback", "-e", "test", "--to", good.rpartition("@")[2])

    assert kept.returncode == 45, kept.stderr
    assert f"runs {digest}, which is on hold here" in status.stdout
    assert probed.returncode == 45, probed.stderr
    assert f"runs {digest}, which is on hold here" in probed.stderr
    assert "stop what rolled it in" in probed.stderr
    assert fought.returncode == 74, fought.stderr
    assert "kubectl-set has set" in fought.stderr
    assert back.returncode == 0, back.stderr
    assert two.version("test")["image"] == good
