"""A second, real Docker Engine that stands for a remote host."""

import http.client
import ipaddress
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab import children

PORT = 2375
DISK = Path("/var/tmp")  # noqa: S108 - a disk, even where /tmp is memory, and overlay2 works on it
CGROUPS = Path("/sys/fs/cgroup")
REMOTE_HOST = Path(__file__).with_name("remote-host")
TOOLS = ("dockerd", "unshare", "setpriv", "ip", "tini", "pivot_root")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)] + ([] if os.geteuid() == 0 else ["root"])
"""What an engine of its own needs and is not here."""


class Engine(children.Part):
    """A remote host: a Docker Engine with files, processes and a network of its own; a context manager.

        with Engine() as engine:
            engine.docker("run", "--publish", "4000:4000", ...)  # then http://{engine.address}:4000

    It is reached at `url` (DOCKER_HOST) from this machine only, over a cable that ends here at the address `here`: what
    listens there is what the remote host reaches. It sees none of this machine's files but the installed programs, so
    a bind mount of a file of ours finds nothing. `insecure` lets it use a registry at `here` over HTTP, `trust` has it
    trust one over TLS, `settings` are those of daemon.json.
    """

    def __init__(self, *, insecure: bool = False, settings: Mapping[str, object] | None = None) -> None:
        network = _free_network()
        self._network = str(network)
        self.here, self.address = (str(address) for address in network.hosts())
        self.url = f"tcp://{self.address}:{PORT}"
        self.folder = children.new_folder("engine", DISK)
        self.log = self.folder / "dockerd.log"
        self._name = self.folder.name
        self._cable = f"lab{network.network_address.packed.hex()}"
        for part in ("root", "data", "docker"):
            (self.folder / part).mkdir()
        chosen = dict(settings or {}) | ({"insecure-registries": [self._network]} if insecure else {})
        (self.folder / "docker" / "daemon.json").write_text(json.dumps(chosen))

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with DOCKER_HOST naming this engine."""
        return {**os.environ, "DOCKER_HOST": self.url}

    def trust(self, registry: str, ca: Path) -> None:
        """Have the engine trust the authority CA for REGISTRY (`host:port`), from now on."""
        folder = self.folder / "docker" / "certs.d" / registry
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(ca, folder / "ca.crt")

    def docker(self, *argv: str, given: bytes = b"", timeout: float = 60.0) -> str:
        """Run the docker command on this engine and return what it printed."""
        return children.run(["docker", "--host", self.url, *argv], given=given, timeout=timeout).decode().strip()

    def start(self) -> None:
        """Switch the host on and wait until its engine answers; its data and address are those it had before."""
        unshare = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child=KILL"]
        remote = [str(REMOTE_HOST), str(self.folder), f"{self.address}/30"]
        dockerd = ["--host", f"tcp://{self.address}:{PORT}", "--tls=false", "--cgroup-parent", f"/{self._name}"]
        dockerd += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout", "2"]
        child = self.spawn([*unshare, *remote, *dockerd])
        self.wait_until(lambda: self._init() is not None, f"the first process of {self.url}")
        self._plug_in(child.pid)
        self.wait_until(self._answers, f"engine {self.url}", seconds=60)

    def stop(self) -> None:
        """Shut the host down in good order: its containers are asked to end first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Cut the power: every process of the host is gone, and none was asked."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Shut the host down and switch it on again."""
        self.stop()
        self.start()

    def unplug(self) -> None:
        """Cut the cable: what is sent gets lost, and neither side is told."""
        children.run(["ip", "link", "set", self._cable, "down"])

    def plug(self) -> None:
        """Put the cable that was cut together again."""
        children.run(["ip", "link", "set", self._cable, "up"])

    def close(self) -> None:
        """Switch the host off and remove everything that was on it."""
        self.kill()
        self._forget_route()
        shutil.rmtree(self.folder)

    def _end(self, how: signal.Signals) -> None:
        """Send HOW to the first process of the host; the kernel kills the others with it."""
        child, init = self.child, self._init()
        if child is None:
            return
        if init is not None:
            os.kill(init, how)
        children.see_out(child, 30)  # it waits for the first process, and that one for all others
        self.child = None
        # A host that is off is not reached, also where the way to everywhere leads to something that answers.
        children.run(["ip", "route", "replace", "unreachable", self._network])
        subprocess.run(["ip", "link", "delete", self._cable], capture_output=True, check=False)
        children.wait_until(lambda: left_no_cgroup(self._name), f"the end of engine {self.url}")

    def _init(self) -> int | None:
        """Return the PID, as seen from here, of the first process in the host's PID namespace."""
        if self.child is None or self.child.poll() is not None:
            return None
        found = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        return int(found[0]) if found else None

    def _plug_in(self, pid: int) -> None:
        """Lay a cable from this machine to the host whose namespaces PID is in."""
        self._forget_route()
        peer = ["peer", "name", "eth0", "netns", str(pid)]
        children.run(["ip", "link", "add", self._cable, "type", "veth", *peer])
        children.run(["ip", "address", "add", f"{self.here}/30", "dev", self._cable])
        children.run(["ip", "link", "set", self._cable, "up"])

    def _forget_route(self) -> None:
        subprocess.run(["ip", "route", "delete", "unreachable", self._network], capture_output=True, check=False)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.address, PORT, timeout=5)
        try:
            connection.request("GET", "/_ping")
            return connection.getresponse().getheader("Docker-Experimental") is not None
        except OSError:
            return False
        finally:
            connection.close()


def left_no_cgroup(name: str) -> bool:
    """Remove the control groups NAME (version 1, 2 or both); the kernel refuses as long as one has a process."""
    for ours in [*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")]:
        for folder, _, _ in os.walk(ours, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                return False
    return True


def _free_network() -> ipaddress.IPv4Network:
    """Return a private network of two hosts that no route of this machine touches."""
    routes = json.loads(children.run(["ip", "-json", "-4", "route", "show", "table", "all"]) or b"[]")
    taken = [ipaddress.ip_network(route["dst"]) for route in routes if route["dst"] != "default"]
    while True:
        network = ipaddress.IPv4Network((0x0AC80000 + 4 * secrets.randbelow(2**17), 30))  # in 10.200.0.0/13
        if not any(network.overlaps(other) for other in taken):
            return network
