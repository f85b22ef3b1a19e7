"""No process of a server that was replaced is left: not of its children either, whatever they do to stay."""

import json
import re
from pathlib import Path

import pytest
import requests

from lab import children, vega
from lab.processes import Process, inside
from lab.site import IMPATIENT, Site
from lab.vega import Site as Vega

WAYS = [{"stubborn": stubborn, "detached": detached} for stubborn in (False, True) for detached in (False, True)]
STAY = 'process.on("SIGTERM", () => {}); setInterval(() => {}, 60_000); /* stays */'
BEGET = (
    f"require(\"node:child_process\").spawn(process.execPath, ['-e', '{STAY}'], {{ detached: true, stdio: 'ignore' }});"
)
"""A statement that starts a child which leads a session of its own and ignores SIGTERM."""


def work(site: Site, environment: str) -> tuple[Process, ...]:
    """Have the server of ENVIRONMENT start a worker of every kind; return all processes of its container."""
    token = site.docker("exec", site.container(environment), "cat", "/home/sf/.sf/token").stdout.strip()
    port = site.ports[0 if environment == "test" else 1]
    for parameters in WAYS:
        call = {"jsonrpc": "2.0", "id": 1, "method": "work", "params": parameters}
        headers = {"Authorization": f"Bearer {token}"}
        started = requests.post(f"http://127.0.0.1:{port}/api/rpc", json=call, headers=headers, timeout=10).json()
        assert isinstance(started["result"], int), started
    found = inside(site.inspect(environment)["State"]["Pid"])
    assert len([process for process in found if "worker.cjs" in process.line]) == len(WAYS), found
    return found


def left(found: tuple[Process, ...]) -> list[str]:
    return [process.line for process in found if process.lives]


def test_nothing_of_a_replica_is_left_after_a_rollout_a_restart_and_down(clean: Site) -> None:
    first = work(clean, "test")
    clean.commit("two")
    released = clean.inv("release", "--to", "test")
    after_rollout, second = left(first), work(clean, "test")

    clean.docker("restart", clean.container("test"))
    after_restart, third = left(second), inside(clean.inspect("test")["State"]["Pid"])
    down = clean.inv("down", "-e", "test")

    assert released.returncode == down.returncode == 0, released.stderr + down.stderr
    assert after_rollout == after_restart == left(third) == []


def test_nothing_of_a_replica_that_failed_is_left_after_a_put_back(clean: Site) -> None:
    clean.configure(probes=IMPATIENT)
    clean.begin_server(f'process.env.SF_WEB_PROJECT_CWD = "/nowhere"; {BEGET}', "never ready, with a child that stays")
    before = work(clean, "test")

    seen: list[tuple[Process, ...]] = []

    def fails() -> bool:
        found = inside((clean.inspect("test").get("State") or {}).get("Pid") or -1)
        seen.append(found)
        return any("stays" in process.line for process in found)

    release = clean.start("release", "--to", "test")
    children.wait_until(fails, "the one that fails", seconds=120)
    code = release.process.wait(120)

    assert code == 51, release.progress
    assert left(before) == []
    assert left(seen[-1]) == []


@pytest.mark.parametrize("plugins", [[], ["compose"], ["compose", "buildx"]])
def test_nothing_of_a_vega_server_is_left_after_a_restart_a_put_back_and_down(
    live: Vega, tmp_path: Path, plugins: list[str]
) -> None:
    how = vega.without(plugins, tmp_path / "config") if plugins else {}
    live.checkout.edit('const WORD = "one";', f'const WORD = "one"; {BEGET}')
    live.good("vega.up", "--build", **how)
    first = started(live)

    live.good("vega.restart", **how)
    after_restart, second = left(first), started(live)
    live.checkout.edit(BEGET, f'{BEGET} if (WORD) throw new Error("no good");')
    failed = live.inv("vega.restart", "--build", **how)
    after_put_back, third = left(second), started(live)
    live.good("vega.down", **how)

    assert failed.returncode == 51, failed.stderr
    assert after_restart == after_put_back == left(third) == []


def started(live: Vega) -> tuple[Process, ...]:
    """Return the processes of the server's container, among them its child."""
    found = inside(live.inspect()["State"]["Pid"])
    assert any("stays" in process.line for process in found), found
    return found


def test_the_first_process_of_both_kinds_of_container_reaps_orphans(clean: Site, live: Vega) -> None:
    orphans = "for i in 1 2 3; do (sleep 0.2 &) ; done"
    live.good("vega.up")
    containers = {clean.container("test"): clean.inspect("test"), live.name: live.inspect()}

    for name in containers:
        vega.docker("exec", name, "sh", "-c", orphans)

    for name, told in containers.items():
        first = told["State"]["Pid"]

        def ended(pid: int = first) -> bool:
            return not [one for one in inside(pid) if one.line.startswith("sleep") or one.state == "Z"]

        children.wait_until(ended, f"the orphans of {name}")
        assert re.match(r"(\S*/)?tini ", next(one.line for one in inside(first) if one.pid == first)), json.dumps(name)
