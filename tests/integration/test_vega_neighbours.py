"""The shared server beside another of its checkout, and after somebody else had a hand in it."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import children, terminal, vega
from lab.checkout import GATES
from lab.vega import ROOT, Site, docker


@pytest.fixture
def site(live: Site) -> Site:
    """The project at hand; the name hides the one of releases."""
    return live


@pytest.fixture
def second(site: Site, tmp_path: Path) -> Iterator[Site]:
    """A project of another name on the same checkout."""
    (tmp_path / "second").mkdir()
    other = Site(folder=tmp_path / "second", checkout=site.checkout)
    other.settle()
    yield other
    other.close()


def test_no_build_is_put_under_another_server_of_the_same_checkout(site: Site, second: Site) -> None:
    site.good("vega.up")
    site.checkout.edit("one", "two")

    refused = second.inv("vega.up", "--build")
    site.good("vega.down")
    second.good("vega.up", "--build")

    assert refused.returncode == 43, refused.stderr
    assert f"{site.name} runs from it" in refused.stderr
    assert second.get("/api/version")["word"] == "two"


def test_a_server_of_another_version_and_a_paused_one_give_their_port_to_the_next(site: Site, built: Site) -> None:
    image = docker("image", "ls", "--quiet", built.name).split()[0]
    labels = ("--label", f"dev.selfdeploy.vega={site.name}", "--publish", f"127.0.0.1:{site.port}:4000")
    docker("run", "--detach", "--name", site.name, *labels, "--entrypoint", "sleep", image, "600")

    site.good("vega.up")
    docker("pause", site.name)
    site.good("vega.up", "--port", f"0{site.port}")

    assert site.get("/api/version")["word"] == "one"
    assert len(site.left()["containers"]) == 1


def test_the_summary_says_the_gap_also_when_the_address_changes(site: Site) -> None:
    site.good("vega.up")

    told = site.good("vega.up", "--port", str(children.free_port()))

    assert 0 < float(told.rsplit("no answer  ", 1)[1].removesuffix(" s\n")) < 10


def test_a_server_that_stopped_says_since_when_and_has_no_shell(site: Site) -> None:
    site.good("vega.up")
    docker("stop", site.name)

    status, refused = site.good("vega.status"), site.inv("vega.shell")

    assert f"exited since {site.inspect()['State']['FinishedAt'][:19]}Z" in status
    assert refused.returncode == 64
    assert "vega.restart" in refused.stderr


def test_a_shell_on_a_terminal_is_in_the_workspace_and_gets_the_keys(site: Site) -> None:
    site.good("vega.up")
    argv = ["env", "-C", str(site.folder), sys.executable, "-m", "invoke", "vega.shell"]
    with terminal.opened(argv, environment=site.environment(TERM="xterm"), columns=120) as shell:
        shell.type(b"echo in-$PWD on-$(tty)\r")
        shell.wait_for("in-/workspace on-/dev/pts/")
        # One process: a `sh -c` that is interrupted while it starts its next command waits for that command's end.
        shell.type(b"node -e 'console.log(`sleeps-${1 + 1}`); setTimeout(() => {}, 60000)'\r")
        shell.wait_for("sleeps-2")
        shell.type(b"\x03")
        shell.type(b"echo ended-$?; stty size\r")
        shell.wait_for("ended-130")
        shell.wait_for("24 120")
        shell.type(b"exit 7\r")

        code = shell.wait()

    assert code == 7
    assert "Traceback" not in "\n".join(shell.lines)


def test_an_invalid_own_vega_template_is_refused_and_a_valid_one_is_used(site: Site, tmp_path: Path) -> None:
    site.good("vega.up")
    before = site.inspect()["Id"]
    text = (ROOT / "compose.vega.yml.j2").read_text()
    own = site.folder / "compose.vega.yml.j2"

    own.write_text(text.replace("stop_grace_period: 15s", "stop_grace_period: soon"))
    refused = [site.inv("vega.restart", **bare) for bare in ({}, vega.without(["compose"], tmp_path / "bare"))]
    kept = site.inspect()["Id"]
    own.write_text(text.replace("    restart:", "    shm_size: 64m\n    restart:"))
    site.good("vega.restart")

    assert [done.returncode for done in refused] == [10, 10], refused
    assert all("compose.vega.yml.j2" in done.stderr for done in refused)
    assert kept == before != site.inspect()["Id"]
    assert site.inspect()["HostConfig"]["ShmSize"] == 64 * 2**20


def test_a_project_in_its_own_checkout_keeps_its_build_current(site: Site) -> None:
    inside = Site(folder=site.checkout.folder, checkout=site.checkout, name=site.name, port=site.port)
    inside.settle(f'workspaces = "{site.checkout.folder}"', GATES)
    (inside.folder / "state").mkdir()
    (inside.folder / "state" / ".gitignore").write_text("*\n")
    shutil.rmtree(inside.folder / ".selfdeploy", ignore_errors=True)

    inside.good("vega.up", "--build")
    inside.good("vega.restart")

    assert "checkout   is what was built" in inside.good("vega.status")


def test_down_says_what_it_could_not_remove(site: Site) -> None:
    site.good("vega.up")
    volume = next(mount["Name"] for mount in site.inspect()["Mounts"] if mount["Type"] == "volume")
    docker("create", "--name", f"{site.name}-holds", "--volume", f"{volume}:/held", site.inspect()["Image"])

    refused = site.inv("vega.down")
    docker("rm", f"{site.name}-holds")

    assert refused.returncode == 14, refused.stderr
    assert f"still there: {volume}" in refused.stderr
    assert site.inv("vega.down").returncode == 0


def test_no_file_is_changed_under_a_server_that_does_not_stop(site: Site, tmp_path: Path) -> None:
    site.good("vega.up")
    site.checkout.edit("one", "two")
    deaf = tmp_path / "bin" / "docker"
    deaf.parent.mkdir()
    # The engine may be named before the command.
    deaf.write_text(f'#!/bin/sh\ncase "$*" in *"container stop"*) ;; *) exec {shutil.which("docker")} "$@" ;; esac\n')
    deaf.chmod(0o755)

    failed = site.inv("vega.restart", "--build", PATH=f"{deaf.parent}:{os.environ['PATH']}")

    assert failed.returncode == 51, failed.stderr
    assert "did not stop" in failed.stderr
    assert site.get("/api/version")["word"] == "one"
