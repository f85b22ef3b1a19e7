"""The shared server on a host with Tailscale, whose command is a stand-in: see lab/tailscale.py."""

import ipaddress
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lab import children, needed, tailscale, terminal
from lab.vega import ROOT, Site

NOT_ROOT = [] if os.geteuid() == 0 and shutil.which("ip") else ["root", "ip"]


@pytest.fixture
def site(live: Site) -> Site:
    """The project at hand; the name hides the one of releases."""
    return live


@pytest.fixture
def address() -> Iterator[str]:
    """An address of Tailscale's range, on an interface of Tailscale's name."""
    needed.need(NOT_ROOT)
    chosen = str(ipaddress.ip_address("100.64.0.0") + secrets.randbelow(2**22))
    interface = f"tailscale{secrets.randbelow(10**5)}"
    children.run(["ip", "tuntap", "add", "dev", interface, "mode", "tun"])
    try:
        children.run(["ip", "address", "add", f"{chosen}/32", "dev", interface])
        children.run(["ip", "link", "set", interface, "up"])
        yield chosen
    finally:
        children.run(["ip", "link", "delete", interface])


def first_on_path(folder: Path) -> Mapping[str, str]:
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_the_documented_line_with_tailscale_stopped_leaves_the_server_where_it_is(site: Site, tmp_path: Path) -> None:
    site.good("vega.up")
    before = site.running()
    path = tailscale.install(tmp_path / "bin", tailscale.status(state="Stopped"))

    refused = site.inv("vega.up", SF_VEGA_BIND="", **first_on_path(path))
    flag = site.inv("vega.up", "--bind=")
    page = (ROOT / "docs" / "vega.md").read_text()
    (line,) = [line.strip() for line in page.splitlines() if line.startswith("    ") and "tailscale ip -4" in line]
    programs = f"{path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    documented = subprocess.run(
        ["sh", "-c", line], cwd=site.folder, env=site.environment(PATH=programs), capture_output=True, check=False
    )

    assert (refused.returncode, flag.returncode) == (10, 10), refused.stderr + flag.stderr
    assert "SF_VEGA_BIND: given, and empty" in refused.stderr
    assert "--bind: given, and empty" in flag.stderr
    assert documented.returncode == 1
    assert documented.stderr.decode().strip() == tailscale.NO_ADDRESS
    assert site.running() == before


def test_a_replacement_that_moves_the_server_unasked_says_so_and_asks_on_a_terminal(site: Site, address: str) -> None:
    site.good("vega.up", SF_VEGA_BIND=address)
    before = site.running()
    argv = ["env", "-C", str(site.folder), sys.executable, "-m", "invoke", "vega.up"]

    with terminal.opened(argv, environment=site.environment(TERM="xterm"), columns=160) as asked:
        asked.wait_for("replace the server so? [y/N]")
        asked.type(b"n\r")
        declined = asked.wait()
    after = site.running()
    told = site.good("vega.up")

    moved = f"bind changes, unasked, from {address} (SF_VEGA_BIND) to 127.0.0.1 (default)"
    assert declined == 92
    assert any(moved in line for line in asked.lines)
    assert any("left as it is" in line for line in asked.lines)
    assert after == before
    assert f"moved      {moved}" in told
    assert site.get("/api/version")["word"] == "one"


def test_the_summary_and_the_status_say_who_reaches_the_server(site: Site, address: str, tmp_path: Path) -> None:
    target = f"http://127.0.0.1:{site.port}"
    known = {
        "none": tailscale.install(tmp_path / "none", None),
        "tun": tailscale.install(tmp_path / "tun", tailscale.status(address)),
        "userspace": tailscale.install(tmp_path / "userspace", tailscale.status(address, userspace=True)),
        "served": tailscale.install(tmp_path / "served", tailscale.status(address), tailscale.served(target)),
        "funnel": tailscale.install(
            tmp_path / "funnel", tailscale.status(address), tailscale.served(target, funnel=True)
        ),
    }

    site.good("vega.up", **first_on_path(known["tun"]))
    told = {name: site.good("vega.status", **first_on_path(folder)) for name, folder in known.items()}
    bound = site.good("vega.up", "--bind", address, **first_on_path(known["tun"]))

    alone = "only this host reaches it"
    assert [alone in told[name] for name in known] == [True, True, False, False, False], told
    assert (
        f"your tailnet reaches it at http://{tailscale.NAME}:{site.port} (tailscaled in userspace" in told["userspace"]
    )
    assert f"your tailnet reaches it at https://{tailscale.NAME}:443 (tailscale serve)" in told["served"]
    assert f"everybody on the internet reaches it at https://{tailscale.NAME}:443" in told["funnel"]
    assert f"; at http://{tailscale.NAME}:{site.port}" in bound


def test_a_probe_knows_at_once_that_the_address_is_gone_or_the_server_has_ended(site: Site) -> None:
    needed.need(NOT_ROOT)
    interface, chosen = f"tailscale{secrets.randbelow(10**5)}", "100.127.0.9"
    children.run(["ip", "tuntap", "add", "dev", interface, "mode", "tun"])
    try:
        children.run(["ip", "address", "add", f"{chosen}/32", "dev", interface])
        children.run(["ip", "link", "set", interface, "up"])
        site.good("vega.up", "--bind", chosen)
    finally:
        children.run(["ip", "link", "delete", interface])

    began = time.monotonic()
    gone = site.inv("probe", "-e", "vega")
    children.run(["docker", "stop", site.name])
    ended = site.inv("probe", "-e", "vega")
    seconds = time.monotonic() - began

    assert (gone.returncode, ended.returncode) == (50, 50), gone.stderr + ended.stderr
    assert f"nobody reaches it: bind: this host has no address {chosen}" in gone.stderr
    assert "it is exited since" in ended.stderr
    assert seconds < 45  # a server that may yet answer is asked for 60


def test_a_reload_needs_no_package_index_once_node_is_installed(site: Site) -> None:
    site.good("vega.up", "--build")
    site.checkout.edit("one", "two")
    nowhere = "http://127.0.0.1:9/simple"
    away = dict.fromkeys(("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"), nowhere)

    site.good("vega.restart", "--build", **away, UV_OFFLINE="1")

    assert site.get("/api/version")["word"] == "two"


@pytest.fixture
def links() -> Iterator[tuple[str, str]]:
    """An interface named as Tailscale's and another, each with a namespace at its end that routes the range here."""
    needed.need([] if os.geteuid() == 0 and shutil.which("iptables") else ["root", "iptables"])
    number = secrets.randbelow(10**5)
    tailnet, wire = f"tailscale{number}", f"wire{number}"
    networks = {tailnet: ("100.100.7.1/24", "100.100.7.2/24"), wire: ("10.231.7.1/24", "10.231.7.2/24")}
    try:
        for interface, (here, there) in networks.items():
            inside = ("ip", "-n", interface)
            children.run(["ip", "netns", "add", interface])
            children.run(["ip", "link", "add", interface, "type", "veth", "peer", "name", "out", "netns", interface])
            children.run(["ip", "address", "add", here, "dev", interface])
            children.run(["ip", "link", "set", interface, "up"])
            children.run([*inside, "address", "add", there, "dev", "out"])
            children.run([*inside, "link", "set", "out", "up"])
        children.run(["ip", "-n", wire, "route", "add", "100.64.0.0/10", "via", "10.231.7.1"])
        yield tailnet, wire
    finally:
        for interface in networks:
            subprocess.run(["ip", "link", "delete", interface], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "delete", interface], check=False, capture_output=True)


def reached(site: Site, network: str) -> bool:
    url = f"http://100.100.7.1:{site.port}/api/healthz"
    script = f"import urllib.request; urllib.request.urlopen({url!r}, timeout=4)"
    argv = ["ip", "netns", "exec", network, sys.executable, "-c", script]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def test_the_documented_rule_blocks_neighbours_that_route_tailnet_addresses(site: Site, links: tuple[str, str]) -> None:
    tailnet, wire = links
    (rule,) = [
        line.split() for line in (ROOT / "docs" / "vega.md").read_text().splitlines() if "-I DOCKER-USER" in line
    ]
    rule = [tailnet if word == "tailscale0" else word for word in rule]
    site.good("vega.up", "--bind", "100.100.7.1")

    without = reached(site, tailnet), reached(site, wire)
    children.run(rule)
    try:
        ruled = reached(site, tailnet), reached(site, wire)
    finally:
        children.run([part.replace("-I", "-D", 1) if part == "-I" else part for part in rule])

    assert without == (True, True)
    assert ruled == (True, False)
    assert site.get("/api/version", "100.100.7.1")["word"] == "one"
