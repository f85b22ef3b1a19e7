"""The shared server on a live checkout, on a real engine: up, restart, down."""

import json
import os
import shutil
import threading
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from lab import children, vega
from lab.vega import Site, docker


@pytest.fixture
def site(live: Site) -> Site:
    """The project at hand; the name hides the one of releases."""
    return live


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


def test_the_image_is_built_at_the_server_s_engine_despite_a_context_switch(site: Site, tmp_path: Path) -> None:
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


def test_a_dangling_link_in_the_checkout_is_no_reason_to_refuse(site: Site) -> None:
    (site.checkout.folder / "!first").symlink_to("/no/such")
    site.good("vega.up", "--build")

    assert site.get("/api/version")["word"] == "one"


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
