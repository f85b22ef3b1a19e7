"""The registry that comes with the tool, for who has none: started once, on loopback, its data in a volume."""

import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import children, embedded
from lab.needed import need_engine
from lab.site import ROOT, Site
from selfdeploy import config, registry
from selfdeploy.build import base
from selfdeploy.console import Console
from selfdeploy.release.pipeline import Releasing


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Site]:
    """A project at whose repository nothing answers yet."""
    need_engine()
    site = Site(folder=tmp_path, repository=f"127.0.0.1:{children.free_port()}/sf")
    site.lay_out()
    yield site
    embedded.remove(site.repository)


def container(site: Site) -> str:
    return f"selfdeploy-registry-{site.repository.partition('/')[0].rpartition(':')[2]}"


def test_of_several_that_start_it_at_once_all_find_it(alone: Site) -> None:
    project = config.Project(root=ROOT, image=config.Image(repository=alone.repository))
    base.provide(project, "registry")

    def find(number: int) -> None:
        time.sleep(number // 4 * 0.1)  # some at once, the others while it is coming up
        Releasing(project, Console(io.StringIO(), io.StringIO())).ready_registry()

    with ThreadPoolExecutor(48) as pool:
        begun = [pool.submit(find, number) for number in range(48)]

    assert [one.exception() for one in begun] == [None] * 48


def test_a_plan_names_the_local_registry_to_start_and_the_redefined_gates(alone: Site) -> None:
    alone.configure(top="[gates.override.test-unit]\nminimum_tests = 0\n")

    plan = alone.inv("plan")

    assert plan.returncode == 0, plan.stderr
    told = "the local registry does not run yet: a release starts it"
    gates, image = plan.stdout.splitlines()[1:3]
    assert gates == f"gates      to do    {told}; test-unit: redefined in deploy.toml"
    assert image == f"image      to do    {told}"


def test_it_is_on_loopback_alone_and_what_was_pushed_outlives_its_container(alone: Site, tmp_path: Path) -> None:
    tag = f"{alone.repository}:kept"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY deploy.toml /\n")

    first = alone.inv("registry.up")
    told = json.loads(alone.docker("inspect", container(alone)).stdout)[0]
    built = alone.docker("build", "--quiet", "--tag", tag, ".")
    pushed = alone.docker("push", "--quiet", tag)
    removed = alone.docker("rm", "--force", "--volumes", container(alone))
    again = alone.inv("registry.up")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert first.stdout.strip() == alone.repository
    assert [ports[0]["HostIp"] for ports in told["HostConfig"]["PortBindings"].values()] == ["127.0.0.1"]
    assert (told["Config"]["User"], told["HostConfig"]["ReadonlyRootfs"]) == ("1000:1000", True)
    assert (built.returncode, pushed.returncode, removed.returncode) == (0, 0, 0), built.stderr + pushed.stderr
    assert registry.connect(registry.Reference.parse(alone.repository)).manifest("kept") is not None
