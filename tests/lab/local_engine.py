"""A second Docker Engine on this very host, with this host's folders and network, that can lose its power."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from typing import Self

from lab import children
from lab.engine import DISK, left_no_cgroup

TOOLS = ("dockerd", "unshare", "ip")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)] + ([] if os.geteuid() == 0 else ["root"])
"""What it needs and is not here."""


class LocalEngine(children.Part):
    """An engine of this host, on a socket, bridge and folder of its own; a context manager.

    It leaves the host's packet filter alone, so its containers reach nothing but this host. With INSIDE, a command
    that runs others elsewhere, such as `nsenter --net=...`, the network is the one that such a command sees.
    """

    def __init__(self, inside: Sequence[str] = ()) -> None:
        self._inside = inside
        self.folder = children.new_folder("local", DISK)
        self.url = f"unix://{self.folder}/docker.sock"
        self.log = self.folder / "dockerd.log"
        self._name = self.folder.name
        self._bridge = f"lab{os.getpid() % 10**6}"
        self._address = f"10.199.{os.getpid() % 256}.1/24"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with DOCKER_HOST naming this engine."""
        return {**os.environ, "DOCKER_HOST": self.url}

    def start(self) -> None:
        """Start it and wait until it answers; its containers are those it had before."""
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
        dockerd = ["dockerd", "--host", self.url, "--data-root", f"{self.folder}/data", "--bridge", self._bridge]
        dockerd += ["--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/docker.pid"]
        dockerd += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        dockerd += ["--cgroup-parent", f"/{self._name}", "--exec-opt", "native.cgroupdriver=cgroupfs"]
        self.spawn([*self._inside, *unshare, *dockerd, "--config-file", f"{self.folder}/none.json"])
        self.wait_until(self._answers, f"engine {self.url}", seconds=60)

    def kill(self) -> None:
        """Cut its power: the engine and all that it runs is gone, and none was asked."""
        self.end(signal.SIGKILL)
        children.wait_until(lambda: left_no_cgroup(self._name), f"the end of engine {self.url}")
        for left in (*self.folder.glob("*.pid"), *self.folder.glob("docker.sock"), *self.folder.glob("exec")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def __enter__(self) -> Self:
        children.run([*self._inside, "ip", "link", "add", self._bridge, "type", "bridge"])
        children.run([*self._inside, "ip", "address", "add", self._address, "dev", self._bridge])
        children.run([*self._inside, "ip", "link", "set", self._bridge, "up"])
        (self.folder / "none.json").write_text("{}")
        return super().__enter__()

    def close(self) -> None:
        """Remove it, with all that was on it."""
        self.kill()
        children.run([*self._inside, "ip", "link", "delete", self._bridge])
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        asked = ["docker", "--host", self.url, "version"]
        return subprocess.run(asked, capture_output=True, check=False, timeout=20).returncode == 0
