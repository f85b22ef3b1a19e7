"""A tailnet of two hosts, with Tailscale itself: each host is a network namespace with a tailscaled of its own.

The control server and the relay are those of Tailscale's own tests (`tools/tailscale/tailcontrol`). Namespaces are
entered with nsenter: `ip netns exec` hides the cgroups, which an engine needs.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import builders, children

TOOLS = ("ip", "iptables", "nsenter")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)] + (
    [] if os.geteuid() == 0 and Path("/dev/net/tun").exists() else ["root", "/dev/net/tun"]
)
"""What it needs and is not here."""

ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"


class Host(children.Part):
    """A host of the tailnet: `inside` runs a command in its network, `path` has the `tailscale` of its daemon."""

    def __init__(self, name: str, namespace: str, programs: Path, folder: Path, control: str) -> None:
        self.name = name
        self._control = control
        self.inside = ("nsenter", f"--net=/run/netns/{namespace}")
        self.path = folder / name
        self.log = folder / f"{name}.log"
        self._programs = programs
        self._socket = folder / f"{name}.sock"
        self.path.mkdir()
        command = self.path / "tailscale"
        command.write_text(f'#!/bin/sh\nexec {programs}/tailscale --socket={self._socket} "$@"\n')
        command.chmod(0o755)

    def start(self, *, userspace: bool = False) -> None:
        """Start its daemon, with what it knew before, and wait until it answers."""
        tun = "userspace-networking" if userspace else "tailscale0"
        daemon = [f"{self._programs}/tailscaled", f"--tun={tun}", f"--statedir={self.path}/state", "--port=0"]
        self.spawn([*self.inside, *daemon, f"--socket={self._socket}", "--no-logs-no-support"])
        self.wait_until(lambda: "BackendState" in self._status(), f"tailscaled of {self.name}")

    def up(self) -> None:
        """Have it join, and wait until it has an address."""
        settings = [f"--login-server={self._control}", "--accept-dns=false", f"--hostname={self.name}"]
        self.tailscale("up", *settings, "--timeout=30s")
        self.wait_until(lambda: self._status().get("BackendState") == "Running", f"{self.name} in the tailnet")

    def tailscale(self, *argv: str) -> str:
        """Run its tailscale command and return what it printed."""
        return children.run([str(self.path / "tailscale"), *argv]).decode().strip()

    def has(self, address: str) -> bool:
        """Return whether ADDRESS is this host's in the tailnet; not while its tailscaled is about to come up."""
        try:
            return self.tailscale("ip", "-4") == address
        except children.LabError:
            return False

    def get(self, url: str) -> dict[str, Any]:
        """Return what URL answers to this host."""
        told: dict[str, Any] = json.loads(children.run([*self.inside, sys.executable, "-c", ASK, url]))
        return told

    def reaches(self, url: str) -> bool:
        """Say whether URL answers this host."""
        with contextlib.suppress(children.LabError, subprocess.SubprocessError):
            return bool(self.get(url))
        return False

    def close(self) -> None:
        """Stop its daemon."""
        self.end()

    def kill(self) -> None:
        """End its daemon without a word."""
        self.end(signal.SIGKILL)

    def _status(self) -> dict[str, Any]:
        done = subprocess.run([str(self.path / "tailscale"), "status", "--json"], capture_output=True, check=False)
        told: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return told


@contextlib.contextmanager
def joined() -> Iterator[tuple[Host, Host]]:
    """Give the hosts `vega` and `peer`, both of them up; nothing of them is left afterwards."""
    programs = builders.compiled("tailscale")
    _remove_left()
    names = [f"lab{os.getpid()}{letter}" for letter in "vp"]
    addresses = ["10.198.0.1", "10.198.0.2"]
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="lab-tailnet-")))
        for name in names:
            children.run(["ip", "netns", "add", name])
            held.callback(children.run, ["ip", "netns", "delete", name])
        first, second = names
        children.run(["ip", "link", "add", "eth0", "netns", first, "type", "veth", "peer", "eth0", "netns", second])
        for name, address in zip(names, addresses, strict=True):
            for argv in (
                ["address", "add", f"{address}/30", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ):
                children.run(["ip", "-netns", name, *argv])
        inside = ["nsenter", f"--net=/run/netns/{second}"]
        url = held.enter_context(_control([*inside, str(programs / "tailcontrol"), addresses[1]]))
        hosts = Host("vega", first, programs, folder, url), Host("peer", second, programs, folder, url)
        for host in hosts:
            held.enter_context(host)
            host.up()
        yield hosts


def _remove_left() -> None:
    """Remove the namespaces of processes that did not live to do it."""
    for left in Path("/run/netns").glob("lab*[vp]"):
        if not Path("/proc", left.name[3:-1]).exists():
            children.run(["ip", "netns", "delete", left.name])


@contextlib.contextmanager
def _control(argv: list[str]) -> Iterator[str]:
    """Give the URL of the control server that ARGV starts."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
