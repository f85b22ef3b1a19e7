"""A second, real Docker Engine that stands for a remote host."""

import contextlib
import http.client
import ipaddress
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import children

PORT = 2375
CGROUPS = Path("/sys/fs/cgroup")
REMOTE_HOST = Path(__file__).with_name("remote-host")
TOOLS = ("dockerd", "unshare", "setpriv", "ip", "tini", "pivot_root")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)] + ([] if os.geteuid() == 0 else ["root"])
"""What an engine of its own needs and is not here."""


class Engine:
    """A remote host: a Docker Engine with files, processes and a network of its own; a context manager.

        with Engine() as engine:
            engine.docker("run", "--publish", "4000:4000", ...)  # then http://{engine.address}:4000

    It is reached at `url` (DOCKER_HOST) from this machine only, over a cable that ends here at `here`; an address bound to
    `here` is one that the remote host reaches. It sees none of this machine's files but the installed programs, so a bind
    mount of a file of ours finds nothing. `insecure` lets it use a registry at `here` over HTTP; `trust` has it trust one
    over TLS; `settings` are those of daemon.json.
    """

    def __init__(self, *, insecure: bool = False, settings: Mapping[str, object] | None = None) -> None:
        network = _free_network()
        self.here, self.address = (str(address) for address in network.hosts())
        self.url = f"tcp://{self.address}:{PORT}"
        self.folder = Path(tempfile.mkdtemp(prefix="lab-engine-", dir="/var/tmp"))  # a disk: overlay2 works on it
        self.log = self.folder / "dockerd.log"
        self._name = self.folder.name
        self._cable = f"lab{network.network_address.packed.hex()}"
        self._child: subprocess.Popen[bytes] | None = None
        for part in ("root", "data", "docker"):
            (self.folder / part).mkdir()
        chosen = dict(settings or {}) | ({"insecure-registries": [str(network)]} if insecure else {})
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
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL"]
        remote = [str(REMOTE_HOST), str(self.folder), f"{self.address}/30"]
        dockerd = ["--host", f"tcp://{self.address}:{PORT}", "--tls=false", "--cgroup-parent", f"/{self._name}"]
        dockerd += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout", "2"]
        self._child = children.spawn([*unshare, *remote, *dockerd], self.log, stdin=subprocess.PIPE)
        with children.explained_by(self.log):
            self._plug_in(self._child)
            children.wait_until(self._answers, f"engine {self.url}", seconds=60)

    def stop(self) -> None:
        """Shut the host down in good order: its containers are stopped first."""
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(30)
        self.kill()

    def kill(self) -> None:
        """Cut the power: no process of the host lives on, and none was asked."""
        if self._child is None:
            return
        self._child.kill()  # the kernel then kills the first process of the PID namespace, and with it all others
        self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()
        self._child = None
        subprocess.run(["ip", "link", "delete", self._cable], capture_output=True, check=False)
        children.wait_until(self._left_nothing, f"the end of engine {self.url}")

    def restart(self) -> None:
        """Shut the host down and switch it on again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Switch the host off and remove everything that was on it."""
        self.kill()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _plug_in(self, child: children.Child) -> None:
        """Connect the host, as soon as it is there, to this machine."""
        said = len(self.log.read_bytes())
        ...
