"""Two releases at once, and one whose process was killed."""

import datetime
import json
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import children, clock
from lab.cluster.site import Site
from lab.values import an_attempt
from selfdeploy import errors
from selfdeploy.config import deploy_toml
from selfdeploy.environments import record
from selfdeploy.environments.kubernetes import lease, objects
from selfdeploy.environments.kubernetes.environment import Kubernetes
from selfdeploy.environments.kubernetes.record import Ledger
from selfdeploy.environments.queue import Queue
from selfdeploy.provenance import Holder


def of_run(number: str) -> dict[str, str]:
    """Return what a Forgejo job has of its run NUMBER."""
    return {
        "FORGEJO_RUN_ID": number,
        "FORGEJO_SERVER_URL": "https://forge.example",
        "FORGEJO_REPOSITORY": "o/sf",
    }


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site whose first revision runs in test."""
    made = new_site()
    done = made.inv("release", "--to", "test", **of_run("1"))
    assert done.returncode == 0, done.stderr
    return made


def holder(site: Site) -> str:
    return str(site.get("test", "lease", "sf-lock")["spec"].get("holderIdentity") or "")


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder for temporary files that nobody else sweeps, with a name short enough for sockets below it."""
    with tempfile.TemporaryDirectory(prefix="own-") as folder:
        yield Path(folder)


def test_the_run_is_told_by_the_deployment_and_another_run_restarts_nothing(site: Site) -> None:
    deployment = site.get("test", "deployment", "sf")
    pods = {*site.pods("test")}

    again = site.inv("release", "--to", "test", **of_run("2"))

    assert deployment["metadata"]["annotations"]["dev.selfdeploy/run"].endswith("/actions/runs/1")
    assert "dev.selfdeploy/run" not in json.dumps(deployment["spec"])
    assert again.returncode == 0, again.stderr
    assert {*site.pods("test")} == pods


def test_the_second_of_two_at_once_is_refused_with_the_first_one_s_name(site: Site) -> None:
    site.be_slow(45)
    first = site.start("release", "--to", "test", **of_run("3"))
    children.wait_until(lambda: bool(holder(site)), "the lock is held", seconds=120)

    second = site.inv("rollback", "-e", "test")

    assert second.returncode == 43, second.stderr
    assert "held by " in second.stderr
    assert " since 20" in second.stderr
    assert "/actions/runs/3)" in second.stderr
    assert first.end(signal.SIGTERM) == 51, first.progress  # a cancelled run puts back what was proven
    assert holder(site) == ""
    site.git("revert", "--no-edit", "HEAD")


def test_of_twenty_holders_one_runs_waiters_follow_and_the_rest_are_refused(site: Site) -> None:
    """Threads stand for twenty machines, each with a kubectl of its own: as many releases would take minutes here."""
    project, start, mutex = deploy_toml.load(site.folder), threading.Barrier(20, timeout=60), threading.Lock()
    inside, turns, refused = set[int](), list[int](), dict[int, str]()

    def run(number: int) -> None:
        environment = Kubernetes(project, "test")
        ledger = Ledger(environment.api, "twenty-record")
        ledger.peek()  # its kubectl is up before all begin at once
        queue = Queue(patience=240 if number in PATIENT else 0)
        start.wait()
        try:
            with queue.hold(environment, "", Holder(who=f"machine-{number}")) as lock:
                with mutex:
                    inside.add(number)
                    first, alone = not turns, inside == {number}
                    turns.append(number)
                known = ledger.read()
                if first:
                    left = len({*range(20)} - PATIENT - {number})
                    children.wait_until(lambda: len(refused) == left, "the refusals", seconds=60)
                assert alone
                ledger.write(known.begin(an_attempt(f"of machine-{number}")))
                lock.check()
                with mutex:
                    inside.remove(number)
        except errors.LockHeld as exc:
            refused[number] = exc.message

    with ThreadPoolExecutor(20) as pool:
        for done in [pool.submit(run, number) for number in range(20)]:
            done.result()

    known = json.loads(site.get("test", "configmap", "twenty-record")["data"]["record.json"])
    assert sorted([*turns, *refused]) == list(range(20))
    assert {*turns} == PATIENT | {turns[0]}
    assert {message.partition(" since ")[0] for message in refused.values()} == {f"test: held by machine-{turns[0]}"}
    assert [one["release"] for one in known["attempts"]] == [f"of machine-{number}" for number in reversed(turns)]
    assert holder(site) == ""


PATIENT = frozenset(range(5))
"""Which of the twenty are ready to wait."""


def test_a_killed_holder_s_lock_is_taken_over_and_its_release_finished(site: Site, own_folder: Path) -> None:
    revision = site.commit("to be killed")
    first = site.start("release", "--to", "test", TMPDIR=str(own_folder))
    children.wait_until(lambda: site.attempt("test")["revision"] == revision, "it is under way", seconds=120)
    first.end(signal.SIGKILL)
    dead, left = holder(site), [*own_folder.glob(f"selfdeploy-*-{first.process.pid}-*")]

    again = site.inv("release", "--to", "test", "--wait", TMPDIR=str(own_folder))

    assert dead
    assert len(left) == 1
    assert [*own_folder.glob("selfdeploy-*")] == []
    assert again.returncode == 0, again.stderr
    assert "took over the lock of " in again.stderr
    assert site.version("test")["revision"] == revision
    assert [one["ending"] for one in site.record("test")["attempts"][:2]] == ["proven", "cut off"]
    assert site.get("test", "lease", "sf-lock")["spec"]["leaseTransitions"] > 1
    assert holder(site) == ""


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_an_hour_of_clock_skew_keeps_a_live_lock_and_frees_a_dead_one(site: Site, tmp_path: Path, seconds: int) -> None:
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


def test_a_lock_is_let_go_of_also_when_it_was_written_to_since_its_last_renewal(site: Site) -> None:
    api = Kubernetes(deploy_toml.load(site.folder), "test").api

    with lease.hold(api, "sf-lock", Holder(who="w")):
        held = site.get("test", "lease", "sf-lock")["spec"].get("holderIdentity")
        patch = '--patch={"metadata": {"annotations": {"seen": "by somebody"}}}'
        site.kubectl("test", "patch", "lease", "sf-lock", "--type=merge", patch)

    assert held
    assert not site.get("test", "lease", "sf-lock")["spec"].get("holderIdentity")


def test_what_somebody_else_has_changed_meanwhile_is_not_written_over(site: Site) -> None:
    api = Kubernetes(deploy_toml.load(site.folder), "test").api
    those = objects.Objects(api=api, selector="none=of-them")
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fenced"}, "data": {"one": "1"}}
    made = those.apply(wanted, None)
    site.kubectl("test", "patch", "configmap", "fenced", "--type=merge", '--patch={"data": {"two": "2"}}')
    ours, theirs = Ledger(api, "fenced-record"), Ledger(api, "fenced-record")
    ours.read()
    theirs.read()
    theirs.write(record.Record())
    deployment = site.get("test", "deployment", "sf")
    for limit in (4, 3):  # another generation, and what the next release finds is as it was
        patch = f'--patch={{"spec": {{"revisionHistoryLimit": {limit}}}}}'
        site.kubectl("test", "patch", "deployment", "sf", "--type=merge", patch)

    with pytest.raises(errors.LockLost, match="configmap/fenced was changed by somebody else meanwhile"):
        those.apply({**wanted, "data": {"one": "3"}}, made)
    with pytest.raises(errors.LockLost, match="fenced-record was written by somebody else meanwhile"):
        ours.write(record.Record())
    with pytest.raises(errors.LockLost, match="deployment/sf was changed by somebody else meanwhile"):
        those.restart(deployment)
    assert site.get("test", "configmap", "fenced")["data"] == {"one": "1", "two": "2"}
