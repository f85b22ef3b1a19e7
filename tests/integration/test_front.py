"""A rollout on a Docker engine without a gap: the front sends no request to a replica that is not proven."""

import json
import signal
from collections.abc import Callable, Iterator

import pytest
import requests

from lab import children, load
from lab.site import IMPATIENT, Site

ROLLING = 'strategy = "rolling"'
PATIENT = "deadline = 120\nconsecutive = 2"


@pytest.fixture(scope="module")
def rolling(new_site: Callable[..., Site]) -> Site:
    """A site whose environments roll, with the endpoints that the load asks for."""
    site = new_site()
    site.configure(probes=PATIENT, test=ROLLING, prod=ROLLING)
    site.begin_server(load.ENDPOINTS, "with endpoints of the lab")
    done = site.inv("release")
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture
def calm(rolling: Site) -> Iterator[Site]:
    """The site; afterwards it runs one release, proven, whatever the test did."""
    yield rolling
    rolling.configure(probes=PATIENT, test=ROLLING, prod=ROLLING)
    rolling.begin_server(f"{load.ENDPOINTS}// afterwards", "afterwards")
    done = rolling.inv("release", "--to", "test")
    assert done.returncode == 0, done.stderr


def containers(site: Site, environment: str = "test") -> dict[str, str]:
    """Return the containers of ENVIRONMENT by name, each with its state."""
    ours = f"label=com.docker.compose.project={site.name}-{environment[0]}"
    lines = site.docker("ps", "--all", "--filter", ours, "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    return dict(line.split() for line in lines)


def live(site: Site, environment: str = "test") -> str:
    """Return the replica that the front of ENVIRONMENT sends requests to, as the front says."""
    front = f"{site.name}-{environment[0]}-front-1"
    return site.docker("exec", front, "/usr/local/bin/front", "live").stdout.strip()


def refuse_going_back(answers: list[load.Answer], old: str, new: str) -> None:
    """Fail if OLD answered a request that was sent after an answer of NEW had come."""
    first = min(answer.done for answer in answers if answer.revision == new)
    assert [answer for answer in answers if answer.revision == old and answer.sent > first] == []


def test_no_request_is_lost_forward_or_back_and_a_bad_release_answers_none(calm: Site) -> None:
    first = calm.version("test")["revision"]

    with load.Load(calm.ports[0]) as forward:
        second = calm.begin_server(f"{load.ENDPOINTS}// two", "two")
        done = calm.inv("release", "--to", "test")
    with load.Load(calm.ports[0]) as back:
        rolled = calm.inv("rollback", "-e", "test")
    with load.Load(calm.ports[0]) as bad:
        calm.configure(probes=IMPATIENT, test=ROLLING, prod=ROLLING)
        never = calm.begin_server(f'{load.ENDPOINTS}process.env.SF_WEB_PROJECT_CWD = "/nowhere";', "never ready")
        replica = live(calm)
        failed = calm.inv("release", "--to", "test")

    assert (done.returncode, rolled.returncode, failed.returncode) == (0, 0, 51), failed.stderr
    for phase in (forward, back, bad):
        assert phase.failures == {}
        assert phase.echoed > 0
        assert phase.streamed > 0
    assert set(forward.revisions) == {first, second}
    refuse_going_back(forward.answers, first, second)
    refuse_going_back(back.answers, second, first)
    assert never not in bad.revisions
    assert bad.reopened == {}  # the replica that answered was never touched, nor what was open to it
    assert live(calm) == replica
    assert sorted(containers(calm)) == sorted([replica, f"{calm.name}-t-front-1"])


def test_what_is_open_goes_on_after_the_switch_for_as_long_as_the_old_replica_takes(calm: Site) -> None:
    first = calm.version("test")["revision"]
    slow = f"http://127.0.0.1:{calm.ports[0]}{load.SLOW}"

    with load.Load(calm.ports[0], rate=5) as steady:
        second = calm.begin_server(f"{load.ENDPOINTS}// three", "three")
        done = calm.inv("release", "--to", "test")
    after = requests.get(slow, timeout=30).json()["revision"]

    assert done.returncode == 0, done.stderr
    assert steady.failures == {}
    assert {first, second} <= set(steady.revisions)
    assert after == second


def test_a_front_that_is_restarted_comes_back_to_the_proven_replica(calm: Site) -> None:
    calm.begin_server(f"{load.ENDPOINTS}// four", "four")
    assert calm.inv("release", "--to", "test").returncode == 0
    replica = live(calm)

    calm.docker("restart", "--time", "1", f"{calm.name}-t-front-1")

    assert live(calm) == replica
    children.wait_until(lambda: calm.version("test")["revision"] == calm.revision, "the public way", seconds=60)


def test_status_and_logs_name_the_front_and_down_removes_it(calm: Site) -> None:
    told = calm.inv("status", "-e", "test", "-v")
    logs = calm.inv("logs", "-e", "test", "--front")
    down = calm.inv("down", "-e", "test")
    gone = containers(calm)
    up = calm.inv("release", "--to", "test")

    assert f"front    {calm.name}-t-front-1 is running, sends requests to {calm.name}-t-server-" in told.stdout
    assert (logs.returncode, down.returncode, up.returncode) == (0, 0, 0), up.stderr
    assert gone == {}
    assert calm.version("test")["revision"] == calm.revision


def test_from_recreate_to_rolling_and_back_is_a_release_like_any_other(calm: Site) -> None:
    calm.configure(probes=PATIENT, test='strategy = "recreate"', prod=ROLLING)
    planned = calm.inv("plan")
    alone = calm.inv("release", "--to", "test")
    names = containers(calm)
    calm.configure(probes=PATIENT, test=ROLLING, prod=ROLLING)
    announced = calm.inv("plan")
    rolls = calm.inv("release", "--to", "test")

    assert (alone.returncode, rolls.returncode) == (0, 0), alone.stderr + rolls.stderr
    assert "a moment without an answer" in planned.stdout
    assert [name for name in names if "-front-" in name] == []
    assert len(names) == 1
    assert "the front is recreated (there is none yet)" in announced.stdout
    assert sorted(containers(calm)) == sorted([live(calm), f"{calm.name}-t-front-1"])
    assert calm.version("test")["revision"] == calm.revision


def test_the_front_has_no_rights_and_is_published_where_deploy_toml_says(calm: Site) -> None:
    told = json.loads(calm.docker("inspect", f"{calm.name}-t-front-1").stdout)[0]
    server = json.loads(calm.docker("inspect", live(calm)).stdout)[0]

    assert told["HostConfig"]["ReadonlyRootfs"] is True
    assert told["HostConfig"]["CapDrop"] == ["ALL"]
    assert told["Config"]["User"] == "1000:1000"
    assert told["HostConfig"]["PortBindings"] == {"4000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(calm.ports[0])}]}
    assert not server["HostConfig"]["PortBindings"]


KILLS = {
    "the new replica is started": ("Rolling", "_start", "after", "old", 2),
    "it is being proven": ("Compose", "_prove_inside", "before", "old", 2),
    "it is proven, and not live": ("HAProxy", "switch", "before", "old", 2),
    "it is live, and the public way not proven": ("HAProxy", "switch", "after", "new", 2),
    "the public way is proven": ("Rolling", "retire", "before", "new", 2),
    "the old replica is stopped, and there": ("Rolling", "_stop", "after", "new", 2),
    "the old replica is gone, and nothing on record": ("Rolling", "retire", "after", "new", 1),
}
"""When the release is killed: before or after which method of ours; which build answers then; how many are there."""

KILLER = """
import os, signal
from selfdeploy.environments.compose import environment as compose, front, rolling
owner = next(getattr(module, {kind!r}) for module in (rolling, front, compose) if hasattr(module, {kind!r}))
original = getattr(owner, {method!r})
def killed(self, *args, **named):
    if args and args[0] == []:  # nothing to be done
        return original(self, *args, **named)
    if {when!r} == "after":
        original(self, *args, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, {method!r}, killed)
"""


@pytest.mark.parametrize("instant", KILLS)
def test_a_release_that_is_killed_in_a_rollout_is_finished_by_the_next(calm: Site, instant: str) -> None:
    kind, method, when, answers, replicas = KILLS[instant]
    first = calm.version("test")["revision"]
    second = calm.begin_server(f"{load.ENDPOINTS}// {instant}", instant)
    code = KILLER.format(kind=kind, method=method, when=when)

    with load.Load(calm.ports[0], rate=10) as steady:
        with calm.running_first(code):
            killed = calm.inv("release", "--to", "test")
        between, there = calm.version("test")["revision"], containers(calm)
        told = json.loads(calm.inv("status", "-e", "test", "--json").stdout.splitlines()[-1])["items"][0]
        done = calm.inv("release", "--to", "test")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert between == {"old": first, "new": second}[answers]
    assert len(there) == replicas + 1  # and the front
    assert told["cutOff"]["revision"] == second
    assert any("gets no requests" in line for line in told["differs"]) == (replicas > 1)
    assert next(replica["name"] for replica in told["replicas"]) in told["front"]
    assert done.returncode == 0, done.stderr
    assert steady.failures == {}
    refuse_going_back(steady.answers, first, second)
    assert calm.version("test")["revision"] == second
    assert sorted(containers(calm)) == sorted([live(calm), f"{calm.name}-t-front-1"])
