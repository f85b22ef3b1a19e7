"""The shared server on a host of a real tailnet: who reaches it, and what becomes of it when Tailscale changes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import children, local_engine, needed, tailnet
from lab.local_engine import LocalEngine
from lab.vega import ROOT, Done, Site
from selfdeploy.build import base
from selfdeploy.config import deploy_toml


@dataclass(frozen=True, kw_only=True)
class Vega:
    """The project at hand on the host `vega`, which has an engine of its own in the host's network."""

    site: Site
    host: tailnet.Host
    peer: tailnet.Host
    engine: LocalEngine

    def inv(self, *argv: str, **variables: str) -> Done:
        path = f"{self.host.path}:{os.environ['PATH']}"
        return self.site.inv(*argv, prefix=self.host.inside, DOCKER_HOST=self.engine.url, PATH=path, **variables)

    def good(self, *argv: str, **variables: str) -> str:
        done = self.inv(*argv, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def url(self, host: str) -> str:
        return f"http://{host}:{self.site.port}/api/version"

    def word(self, host: str) -> object:
        """Return the word that the server at HOST answers the peer, once the two have found each other."""
        children.wait_until(lambda: self.peer.reaches(self.url(host)), f"{host}, for the peer")
        return self.peer.get(self.url(host))["word"]

    def documented(self) -> subprocess.CompletedProcess[bytes]:
        """Run the line of docs/vega.md that binds the server to Tailscale's address."""
        page = (ROOT / "docs" / "vega.md").read_text()
        (line,) = [line.strip() for line in page.splitlines() if line.startswith("    ") and "tailscale ip -4" in line]
        programs = f"{self.host.path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [*self.host.inside, "sh", "-c", line],
            cwd=self.site.folder,
            env=self.site.environment(PATH=programs, DOCKER_HOST=self.engine.url),
            capture_output=True,
            check=False,
        )

    def container(self) -> str:
        listed = ["docker", "--host", self.engine.url, "ps", "--quiet", "--filter", f"name={self.site.name}"]
        return children.run(listed).decode().strip()


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[tailnet.Host, tailnet.Host]]:
    needed.need([*tailnet.MISSING, *local_engine.MISSING])
    with tailnet.joined() as both:
        yield both


@pytest.fixture(scope="module")
def engine(hosts: tuple[tailnet.Host, tailnet.Host]) -> Iterator[LocalEngine]:
    image = base.provide(deploy_toml.parse({}, root=Path()), "base")
    with LocalEngine(hosts[0].inside) as running:
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "load"], env=running.environment, stdin=saved.stdout, check=True, timeout=120)
        yield running


@pytest.fixture
def vega(live: Site, hosts: tuple[tailnet.Host, tailnet.Host], engine: LocalEngine) -> Iterator[Vega]:
    made = Vega(site=live, host=hosts[0], peer=hosts[1], engine=engine)
    yield made
    with contextlib.suppress(AssertionError):
        made.good("vega.down")


def test_a_peer_reaches_the_server_over_ipv4_and_ipv6_until_tailscale_goes_down(vega: Vega) -> None:
    four, six = (vega.host.tailscale("ip", kind) for kind in ("-4", "-6"))

    summary = vega.good("vega.up", "--bind", four)
    over_four = vega.word(four)
    before = vega.container()
    vega.host.tailscale("down")
    cut = vega.peer.reaches(vega.url(four))
    status = vega.inv("vega.status")
    stopped = vega.documented()
    vega.host.end()
    ended = vega.documented()
    after = vega.container()
    vega.host.start()
    vega.host.up()
    again = vega.word(four)
    moved = vega.good("vega.up", "--bind", six)
    over_six = vega.word(f"[{six}]")

    assert (over_four, again, over_six) == ("one", "one", "one")
    assert f"; at http://vega.lab.ts.net:{vega.site.port}" in summary
    assert not cut
    assert "Tailscale is Stopped" in status.stdout + status.stderr
    # After `down` it still prints the address; without its daemon it prints nothing, and the line ends there.
    assert stopped.returncode == 62, stopped.stderr
    assert b"hint: Tailscale is Stopped" in stopped.stderr
    assert ended.returncode == 1, ended.stderr
    assert b"connect to local Tailscale daemon" in ended.stderr
    assert after == before
    assert "by its address alone: vega.lab.ts.net has no AAAA record" in moved


def test_vega_up_restores_a_server_whose_address_came_after_the_engine(vega: Vega) -> None:
    four = vega.host.tailscale("ip", "-4")
    vega.good("vega.up", "--bind", four)

    vega.engine.kill()
    vega.host.kill()
    vega.engine.start()
    early = vega.container(), vega.inv("vega.status")
    vega.host.start()
    children.wait_until(lambda: vega.host.has(four), "the address")
    vega.good("vega.up", "--bind", four)

    assert early[0] == ""
    assert f"this host has no address {four}" in early[1].stdout + early[1].stderr
    assert vega.word(four) == "one"


def test_an_address_that_changed_is_named_and_the_new_one_serves(vega: Vega) -> None:
    four = vega.host.tailscale("ip", "-4")
    vega.good("vega.up", "--bind", four)

    vega.host.tailscale("logout")
    away = vega.inv("vega.status")
    vega.host.up()
    new = vega.host.tailscale("ip", "-4")
    gone = vega.inv("probe", "-e", "vega")
    vega.good("vega.up", "--bind", new)

    assert new != four
    assert "NeedsLogin" in away.stdout + away.stderr
    assert gone.returncode == 50
    assert f"this host has no address {four}" in gone.stderr
    assert vega.word(new) == "one"


def test_userspace_tailscaled_forwards_peers_to_loopback_and_status_says_so(vega: Vega) -> None:
    alone = vega.good("vega.up", "--bind", "127.0.0.1")
    four = vega.host.tailscale("ip", "-4")
    closed = vega.peer.reaches(vega.url(four))

    vega.host.end()
    vega.host.start(userspace=True)
    children.wait_until(lambda: vega.peer.reaches(vega.url(four)), "the server, over the tailnet")
    told = vega.good("vega.status")

    assert not closed
    assert "only this host reaches it" in alone
    assert "only this host reaches it" not in told
    assert f"your tailnet reaches it at http://vega.lab.ts.net:{vega.site.port} (tailscaled in userspace mode" in told
