"""What the shared server's commands refuse; what runs is left alone."""

import os
import shutil
import socket

import pytest

from lab import children
from lab.vega import Site, docker

SERVER = "dist/web/standalone/server.js"


@pytest.fixture
def site(live: Site) -> Site:
    """The project at hand; the name hides the one of releases."""
    return live


def test_a_checkout_without_a_build_is_refused_and_the_flag_named(site: Site) -> None:
    shutil.rmtree(site.checkout.folder / "dist")

    refused = site.inv("vega.up")

    assert refused.returncode == 60
    assert f"{SERVER} is missing" in refused.stderr
    assert "--build" in refused.stderr
    assert site.left()["containers"] == []


def test_a_build_older_than_its_sources_is_refused_whatever_the_file_times_say(site: Site) -> None:
    times = [path.stat() for path in (site.checkout.folder / "server.cjs",)]
    site.checkout.edit("one", "two")
    os.utime(site.checkout.folder / "server.cjs", (times[0].st_atime, times[0].st_mtime))

    refused = site.inv("vega.up")

    assert refused.returncode == 60
    assert f"{SERVER} is older than server.cjs" in refused.stderr


def test_a_restart_whose_workspace_is_gone_leaves_the_running_server_alone(site: Site) -> None:
    workspace = site.folder / "code" / "x"
    workspace.mkdir()
    site.good("vega.up", "--workspace", str(workspace))
    before = site.inspect()["Id"]

    workspace.rmdir()
    gone = site.inv("vega.restart")
    workspace.symlink_to("/etc")
    swapped = site.inv("vega.restart")

    assert (gone.returncode, swapped.returncode) == (61, 61)
    assert "no such folder" in gone.stderr
    assert "now leads to /etc" in swapped.stderr
    assert site.running() == before


def test_a_gate_that_fails_leaves_the_running_server_alone(site: Site) -> None:
    site.good("vega.up")
    before = site.inspect()["Id"]
    site.checkout.edit("mkdirSync(to", "syntax error(to", "build.mjs")

    failed = site.inv("vega.restart", "--build")

    assert failed.returncode == 20, failed.stderr
    assert "build-web-host" in failed.stderr
    assert site.inspect()["Id"] == before
    assert site.get("/api/version")["word"] == "one"


def test_a_restart_without_the_build_it_needs_leaves_the_running_server_alone(site: Site) -> None:
    site.good("vega.up")
    before = site.inspect()["Id"]
    site.checkout.edit("one", "two")

    refused = site.inv("vega.restart")

    assert refused.returncode == 60
    assert "older than server.cjs" in refused.stderr
    assert site.inspect()["Id"] == before


def test_of_two_at_the_same_time_one_wins_and_the_other_says_who(site: Site) -> None:
    address = f"\0selfdeploy-vega-{site.name}"
    with site.start("vega.up") as first:
        with socket.socket(socket.AF_UNIX) as asking:
            children.wait_until(lambda: not asking.connect_ex(address), "the lock")
            second = site.inv("vega.up")
        first.communicate(timeout=120)

    assert first.returncode == 0
    assert second.returncode == 43
    assert f"process {first.pid}" in second.stderr
    assert "vega.up" in second.stderr
    assert len(site.left()["containers"]) == 1


def test_a_port_that_is_taken_is_refused_before_anything_is_touched(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.port)):
        refused = site.inv("vega.up")

    assert refused.returncode == 41
    assert f"127.0.0.1:{site.port}" in refused.stderr
    assert "--port" in refused.stderr
    assert site.left()["containers"] == []


def test_a_container_of_that_name_that_is_none_of_ours_is_left_alone(site: Site, built: Site) -> None:
    image = docker("image", "ls", "--quiet", built.name).split()[0]
    docker("run", "--detach", "--name", site.name, "--entrypoint", "sleep", image, "60")

    refused = [site.inv(command).returncode for command in ("vega.up", "vega.down", "vega.status")]

    assert refused == [65, 65, 65]
    assert site.inspect()["State"]["Running"] is True


def test_an_engine_on_another_host_is_refused(site: Site) -> None:
    refused = site.inv("vega.up", DOCKER_HOST="tcp://192.0.2.1:2375")

    assert refused.returncode == 63
    assert "tcp://192.0.2.1:2375" in refused.stderr


def test_without_a_server_each_command_says_so(site: Site) -> None:
    assert "nothing runs" in site.good("vega.status")
    assert [site.inv(f"vega.{name}").returncode for name in ("restart", "logs", "shell")] == [64, 64, 64]
    assert site.inv("vega.down").returncode == 0
