"""The shared server on a live checkout, on a real engine: up, restart, down, and all that is refused."""

import json
import os
import shutil
import signal
import socket
import threading
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from lab import children, vega
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


def test_up_serves_the_live_checkout_and_status_says_where_each_value_came_from(site: Site) -> None:
    other = site.folder / "code" / "x"
    other.mkdir()

    told = site.good("vega.up", "--workspace", "code/x", SF_WORKSPACES_DIR="code", SF_VEGA_BIND="localhost")
    status = site.good("vega.status")

    head = site.checkout.git("rev-parse", "HEAD")
    assert f"http://127.0.0.1:{site.port}, only this host reaches it" in told
    assert site.get("/api/version")["revision"] == head
    assert f"revision   {head}, clean" in status
    assert f"workspace  {other} (--workspace)" in status
    assert f"workspaces {site.folder}/code (SF_WORKSPACES_DIR)" in status
    assert "bind       127.0.0.1 (SF_VEGA_BIND)" in status
    assert f"port       {site.port} (deploy.toml)" in status
    assert '/api/ready    200 {"status":"ready"}' in status
    assert head in site.good("probe", "-e", "vega")
    assert site.inspect()["Config"]["Labels"]["org.opencontainers.image.revision"] == head


def test_a_second_up_replaces_the_server_and_never_doubles_it(site: Site) -> None:
    site.good("vega.up")
    first = site.inspect()["Id"]

    told = site.good("vega.up", "--workspaces", str(site.folder))

    assert site.inspect()["Id"] != first
    assert len(site.left()["containers"]) == 1
    assert len(site.left()["volumes"]) == 1
    assert "no answer" in told


OF_ONE = {
    *("Id", "Created", "State", "GraphDriver", "HostnamePath", "HostsPath", "LogPath", "ResolvConfPath"),
    *("Config.Hostname", "NetworkSettings"),
    *("Config.AttachStdout", "Config.AttachStderr"),  # whether who started it listened then
    "HostConfig.Mounts",  # as they were asked for; `Mounts` is what came of it
}
"""What no two containers have in common, whoever starts them."""


def comparable(container: dict[str, Any]) -> dict[str, Any]:
    """Return all that `docker inspect` says of CONTAINER but what is its own; nothing said is the same as nothing."""
    told = {name: value for name, value in container.items() if name not in ("Config", "HostConfig")}
    for part in ("Config", "HostConfig"):
        told |= {f"{part}.{name}": value or None for name, value in container[part].items()}
    labels: dict[str, str] = container["Config"]["Labels"]
    told["Config.Labels"] = {n: v for n, v in labels.items() if not n.startswith("com.docker.compose.")}
    told["Config.Env"] = sorted(container["Config"]["Env"])
    told["Mounts"] = sorted(container["Mounts"], key=lambda mount: str(mount["Destination"]))
    told["Ports"], told["Networks"] = (container["NetworkSettings"][name] for name in ("Ports", "Networks"))
    told["Networks"] = set(told["Networks"])
    return {name: value for name, value in told.items() if name not in OF_ONE}


def test_compose_and_docker_run_start_the_same_server_and_replace_each_other(site: Site, tmp_path: Path) -> None:
    bare = vega.without(["compose"], tmp_path / "bare")

    site.good("vega.up")
    composed = site.inspect()
    site.good("vega.restart", **bare)
    ran = site.inspect()
    seen = site.good("vega.status", **bare)
    site.good("vega.restart")

    assert "com.docker.compose.project" in composed["Config"]["Labels"]
    assert "com.docker.compose.project" not in ran["Config"]["Labels"]
    assert comparable(ran) == comparable(composed)
    assert "docker run) running" in seen
    assert "Compose) running" in site.good("vega.status", **bare)
    assert len(site.left()["containers"]) == 1
    site.good("vega.logs", "--tail", "5", **bare)
    docker(
        "exec", "--detach", site.name, "sh", "-c", f"trap '' TERM; while :; do sleep 1; done # a child of {site.name}"
    )
    children.wait_until(lambda: any("a child of" in line for line in site.left()["processes"]), "the deaf child")
    site.good("vega.down", **bare)
    assert site.left() == {"containers": [], "networks": [], "volumes": [], "processes": []}


def test_without_buildx_the_engine_s_own_builder_makes_an_image_that_has_all(site: Site, tmp_path: Path) -> None:
    bare = vega.without(["compose", "buildx"], tmp_path / "bare")

    told = site.good("vega.up", "--json", DOCKER_BUILDKIT="1", **bare)

    assert [json.loads(line)["event"] for line in told.splitlines()][-1] == "result"
    script = "git --version && node --version && ssh -V && id -un && test -s /etc/ssl/certs/ca-certificates.crt"
    assert "sf" in docker("exec", site.name, "sh", "-c", script)
    assert docker("exec", site.name, "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline").startswith("tini -- node")


def test_the_image_is_built_where_the_server_runs_also_when_the_docker_context_changes_under_way(
    site: Site, tmp_path: Path
) -> None:
    here = {"DOCKER_CONFIG": str(tmp_path / "config")}
    for name, path in (("here", "/var/run/docker.sock"), ("nowhere", tmp_path / "none.sock")):
        docker("context", "create", name, "--docker", f"host=unix://{path}", environment=os.environ | here)
    docker("context", "use", "here", environment=os.environ | here)
    real, moving = shutil.which("docker"), tmp_path / "bin" / "docker"
    moving.parent.mkdir()
    then = f'case "$*" in *"version --format"*) "{real}" context use nowhere;; esac'
    moving.write_text(f'#!/bin/sh\n"{real}" "$@"; code=$?\n{then}\nexit $code\n')
    moving.chmod(0o755)

    site.good("vega.up", PATH=f"{moving.parent}:{os.environ['PATH']}", **here)

    assert docker("context", "show", environment=os.environ | here) == "nowhere"
    assert site.get("/api/version")["word"] == "one"


def test_orphans_in_the_server_are_reaped(site: Site) -> None:
    site.good("vega.up")

    docker("exec", site.name, "sh", "-c", "(sleep 0.1 &) ; exit 0")
    script = "cat /proc/[0-9]*/stat"

    children.wait_until(lambda: "(sleep)" not in docker("exec", site.name, "sh", "-c", script), "the sleep's end")


def test_restart_with_a_build_serves_uncommitted_changes_and_never_a_mix(site: Site) -> None:
    site.good("vega.up")
    seen: list[dict[str, Any]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                seen.append(site.get("/api/version"))
            except (urllib.error.URLError, OSError, ValueError):
                done.wait(0.01)

    asking = threading.Thread(target=ask)
    site.checkout.edit("one", "two")
    asking.start()
    told = site.good("vega.restart", "--build")
    done.set()
    asking.join()

    words = [answer["word"] for answer in seen]
    assert words == sorted(words)
    assert set(words) == {"one", "two"}
    assert all(answer["disk"] == answer["word"] for answer in seen)
    assert len({(answer["word"], answer["instance"], answer["release"]) for answer in seen}) == 2
    assert [answer["dirty"] for answer in seen] == [answer["word"] == "two" for answer in seen]
    assert float(told.rsplit("no answer  ", 1)[1].removesuffix(" s\n")) > 0
    assert "1 changed file" in told
    assert "changed: server.cjs" in site.good("vega.status")
    site.good("probe", "-e", "vega")
    site.checkout.edit("two", "three")
    assert site.inv("probe", "-e", "vega").returncode == 50


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


def test_a_dangling_link_in_the_checkout_is_no_reason_to_refuse(site: Site) -> None:
    (site.checkout.folder / "!first").symlink_to("/no/such")
    site.good("vega.up", "--build")

    assert site.get("/api/version")["word"] == "one"


def test_a_first_server_that_does_not_prove_itself_goes_down_and_leaves_nothing(site: Site) -> None:
    site.checkout.edit('const WORD = "one";', 'const WORD = "one"; throw new Error("no good");')

    failed = site.inv("vega.up", "--build")

    assert failed.returncode == 53, failed.stderr
    assert "no good" in failed.stderr
    assert site.left() == {"containers": [], "networks": [], "volumes": [], "processes": []}


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


def test_a_server_that_another_version_started_is_told_and_replaced(site: Site, built: Site) -> None:
    image = docker("image", "ls", "--quiet", built.name).split()[0]
    labels = ("--label", f"dev.selfdeploy.vega={site.name}", "--label", "dev.selfdeploy.vega.settings={}")
    docker("run", "--detach", "--name", site.name, *labels, "--entrypoint", "sleep", image, "60")

    status = site.good("vega.status")
    refused = site.inv("vega.restart")
    site.good("vega.up")

    assert "another version" in status
    assert refused.returncode == 64
    assert site.get("/api/version")["word"] == "one"


def test_a_server_that_another_version_started_comes_back_when_the_next_does_not_prove_itself(site: Site) -> None:
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


def test_a_port_that_is_taken_where_the_server_would_move_puts_the_old_one_back(site: Site) -> None:
    site.good("vega.up")
    before = site.inspect()["Id"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        refused = site.inv("vega.up", "--port", str(other.getsockname()[1]))

    assert refused.returncode == 41
    assert site.inspect()["Id"] == before


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
