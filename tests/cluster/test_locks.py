"""Two releases at once, and one whose process was killed."""

import datetime
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import children, clock
from lab.cluster.site import Site


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site whose first revision runs in test."""
    made = new_site()
    done = made.inv("release", "--to", "test", FORGEJO_RUN_ID="1", FORGEJO_SERVER_URL="https://forge.example")
    assert done.returncode == 0, done.stderr
    return made


def holder(site: Site) -> str:
    return str(site.get("test", "lease", "sf-lock")["spec"].get("holderIdentity") or "")


def test_the_run_is_told_by_the_deployment_and_another_run_restarts_nothing(site: Site) -> None:
    deployment = site.get("test", "deployment", "sf")
    pods = {*site.pods("test")}

    again = site.inv("release", "--to", "test", FORGEJO_RUN_ID="2", FORGEJO_SERVER_URL="https://forge.example")

    assert deployment["metadata"]["annotations"]["dev.selfdeploy/run"].endswith("/actions/runs/1")
    assert "dev.selfdeploy/run" not in json.dumps(deployment["spec"])
    assert again.returncode == 0, again.stderr
    assert {*site.pods("test")} == pods


def test_the_second_of_two_at_once_is_refused_with_the_first_one_s_name(site: Site) -> None:
    site.be_slow(45)
    first = site.start("release", "--to", "test")
    children.wait_until(lambda: bool(holder(site)), "the lock is held", seconds=120)

    second = site.inv("rollback", "-e", "test")

    assert second.returncode == 43, second.stderr
    assert "held by " in second.stderr
    assert " since 20" in second.stderr
    assert first.end(signal.SIGTERM) == 130, first.progress
    assert holder(site) == ""
    site.git("revert", "--no-edit", "HEAD")


def test_a_killed_holder_s_lock_is_taken_over_and_its_release_finished(site: Site) -> None:
    revision = site.commit("to be killed")
    first = site.start("release", "--to", "test")
    children.wait_until(lambda: site.attempt("test")["revision"] == revision, "it is under way", seconds=120)
    first.end(signal.SIGKILL)
    dead = holder(site)

    again = site.inv("release", "--to", "test", "--wait")

    assert dead
    assert again.returncode == 0, again.stderr
    assert "took over the lock of " in again.stderr
    assert site.version("test")["revision"] == revision
    assert site.get("test", "lease", "sf-lock")["spec"]["leaseTransitions"] > 1
    assert holder(site) == ""


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_holder_whose_clock_is_an_hour_off_is_not_robbed_while_it_lives_and_not_waited_for_when_it_is_dead(
    site: Site, tmp_path: Path, seconds: int
) -> None:
    revision = site.be_slow(20)
    first = site.start("release", "--to", "test", **clock.shifted(tmp_path, seconds))
    children.wait_until(lambda: site.attempt("test")["revision"] == revision, "it is under way", seconds=120)

    second = site.inv("rollback", "-e", "test")
    told = site.get("test", "lease", "sf-lock")["spec"]["renewTime"]
    first.end(signal.SIGKILL)
    after = site.inv("release", "--to", "test", "--wait")
    site.git("revert", "--no-edit", "HEAD")

    off = datetime.datetime.fromisoformat(told) - datetime.datetime.now(datetime.UTC)
    assert abs(off.total_seconds() - seconds) < 1800
    assert second.returncode == 43, second.stderr
    assert after.returncode == 0, after.stderr
    assert "took over the lock of " in after.stderr


def test_a_holder_that_has_lost_its_lock_changes_nothing_more(site: Site) -> None:
    before = site.version("test")["revision"]
    site.be_slow(3)
    first = site.start("release", "--to", "test")
    children.wait_until(lambda: bool(holder(site)), "the lock is held", seconds=120)

    stolen = {"metadata": {"annotations": {"dev.selfdeploy/who": "thief"}}, "spec": {"holderIdentity": "thief"}}
    site.kubectl("test", "patch", "lease", "sf-lock", "--type=merge", f"--patch={json.dumps(stolen)}")
    code = first.process.wait(120)

    assert code == 44, first.progress
    assert "thief" in first.progress
    assert site.record("test")["proven"][0]["revision"] == before
    site.kubectl("test", "delete", "lease", "sf-lock")
    assert site.inv("release", "--to", "test").returncode == 0
