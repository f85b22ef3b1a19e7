"""A shared server that does not prove itself, or is killed: what ran before is back, or comes with the next command."""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from lab import children, vega
from lab.vega import Site, docker

SERVER = "dist/web/standalone/server.js"


@pytest.fixture
def site(live: Site) -> Site:
    """The project at hand; the name hides the one of releases."""
    return live


def test_a_build_that_does_not_prove_itself_is_put_back_with_its_dist(site: Site) -> None:
    site.good("vega.up")
    before = site.get("/api/version")
    good = (site.checkout.folder / SERVER).read_bytes()
    site.checkout.edit('const WORD = "one";', 'const WORD = "one"; throw new Error("no good");')

    failed = site.inv("vega.restart", "--build")

    after = site.get("/api/version")
    assert failed.returncode == 51, failed.stderr
    assert "no good" in failed.stderr
    assert (after["release"], after["revision"]) == (before["release"], before["revision"])
    assert (site.checkout.folder / SERVER).read_bytes() == good
    assert len(site.left()["volumes"]) == 1


def test_a_put_back_writes_no_file_that_it_needs(site: Site) -> None:
    site.good("vega.up")
    shutil.rmtree(site.folder / ".selfdeploy" / "rendered")
    (site.folder / ".selfdeploy" / "rendered").write_text("no folder")
    site.checkout.edit('const WORD = "one";', 'const WORD = "one"; throw new Error("no good");')
    (site.folder / ".selfdeploy" / "evidence").write_text("no folder")

    failed = site.inv("vega.restart", "--build")

    assert failed.returncode == 51, failed.stderr
    assert "no evidence" in failed.stderr
    assert site.get("/api/version")["word"] == "one"


def test_an_interrupted_proof_is_put_back_and_a_second_interruption_changes_nothing(site: Site) -> None:
    site.good("vega.up")
    before, first = site.get("/api/version"), site.inspect()["Id"]
    site.checkout.edit("server.listen(", "setTimeout(server.listen, 99999, ")
    with site.start("vega.restart", "--build") as interrupted:
        children.wait_until(lambda: site.running() not in ("", first), "the new one", seconds=60)
        second = site.running()
        interrupted.send_signal(signal.SIGINT)
        children.wait_until(lambda: site.running() != second, "the end of the new one", seconds=60)
        interrupted.send_signal(signal.SIGTERM)
        _, said = interrupted.communicate(timeout=120)

    assert interrupted.returncode == 130, said
    assert site.get("/api/version")["release"] == before["release"]
    assert len(site.left()["volumes"]) == 1


def test_a_restart_that_was_killed_with_no_server_left_goes_on_from_its_settings(site: Site, tmp_path: Path) -> None:
    (site.folder / "code" / "x").mkdir()
    site.good("vega.up", "--workspace", "code/x")
    with site.start("vega.restart", **vega.starting_by("sleep 600", tmp_path / "slow")) as killed:
        children.wait_until(lambda: not site.left()["containers"], "the removal", seconds=60)
        killed.kill()

    down = site.inv("vega.restart", **vega.starting_by("false", tmp_path / "broken"))
    told = site.good("vega.restart")

    assert down.returncode == 53, down.stderr
    assert "inv vega.restart" in down.stderr
    assert f"workspace  {site.folder}/code/x (--workspace)" in told
    assert len(site.left()["volumes"]) == 1


def test_a_first_server_that_does_not_prove_itself_goes_down_and_leaves_nothing(site: Site) -> None:
    site.checkout.edit('const WORD = "one";', 'const WORD = "one"; throw new Error("no good");')

    failed = site.inv("vega.up", "--build")

    assert failed.returncode == 53, failed.stderr
    assert "no good" in failed.stderr
    assert site.left() == {"containers": [], "networks": [], "volumes": [], "processes": []}


def test_a_failed_update_puts_back_the_server_of_another_version(site: Site) -> None:
    site.good("vega.up")
    before = site.inspect()
    labels = before["Config"]["Labels"] | {"dev.selfdeploy.vega.settings": "{}"}
    told = [word for label, value in labels.items() for word in ("--label", f"{label}={value}")]
    told += [word for variable in before["Config"]["Env"] for word in ("--env", variable)]
    told += ["--user", before["Config"]["User"], "--publish", f"127.0.0.1:{site.port}:4000", "--workdir", "/workspace"]
    docker("stop", site.name)
    docker("rename", site.name, f"{site.name}-first")
    told += ["--volumes-from", f"{site.name}-first", before["Config"]["Image"], *before["Config"]["Cmd"]]
    docker("run", "--detach", "--name", site.name, *told)
    docker("rm", f"{site.name}-first")
    theirs = site.running()
    site.settle(probes="deadline = 6")
    site.checkout.edit('const WORD = "one";', 'const WORD = "one"; throw new Error("no good");')

    failed = site.inv("vega.up", "--build")

    assert failed.returncode == 51, failed.stderr
    assert site.running() == theirs
    assert site.get("/api/version")["word"] == "one"
    assert len(site.left()["containers"]) == len(site.left()["volumes"]) == 1


def test_a_server_that_is_killed_comes_back_and_proves_itself(site: Site) -> None:
    site.good("vega.up")
    server = site.inspect()

    os.kill(int(server["State"]["Pid"]), signal.SIGKILL)

    children.wait_until(lambda: site.inspect()["RestartCount"] == 1, "the restart")
    children.wait_until(lambda: site.inv("probe", "-e", "vega").returncode == 0, "the proof")


def test_an_up_that_is_killed_needs_no_repair(site: Site) -> None:
    site.good("vega.up")
    site.checkout.edit("one", "two")
    running = site.inspect()["Id"]
    with site.start("vega.up", "--build") as killed:
        children.wait_until(
            lambda: not docker("ps", "-q", "--no-trunc", "--filter", f"id={running}"), "its stop", seconds=120
        )
        killed.kill()

    site.good("vega.up", "--build")

    assert site.get("/api/version")["word"] == "two"
    assert len(site.left()["containers"]) == len(site.left()["volumes"]) == 1


def test_a_port_that_is_taken_where_the_server_would_move_puts_the_old_one_back(site: Site) -> None:
    site.good("vega.up")
    before = site.inspect()["Id"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        refused = site.inv("vega.up", "--port", str(other.getsockname()[1]))

    assert refused.returncode == 41
    assert site.inspect()["Id"] == before
