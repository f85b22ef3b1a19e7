"""Access to one namespace of a cluster: `kubectl proxy` on a socket that only its owner can open."""

import re
import select
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import errors, process, tree
from selfdeploy.process import surroundings

STARTING = 20.0
"""Seconds allowed for `kubectl proxy` to start."""

LIFETIME = 7 * 86_400.0
"""Seconds after which a forgotten proxy ends by itself; the next request starts another."""

_STARTER = ThreadPoolExecutor(1)
"""The only thread that starts proxies: a child ends with its starting thread, and any thread may ask first."""


@dataclass(kw_only=True)
class Kubectl:
    """One namespace of one cluster, reached with the user's own kubectl: kubeconfig, plugins and certificates.

    NAME is the environment's name. The first request starts the proxy, and the proxy ends with this process.
    """

    name: str
    command: Sequence[str]
    context: str
    namespace: str
    kubeconfig: str = ""
    _mutex: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)
    _child: process.Child | None = field(default=None, repr=False)

    def argv(self, *argv: str) -> list[str]:
        """Return the kubectl command line for ARGV, with kubeconfig, context and namespace set."""
        config = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return [*self.command, *config, f"--context={self.context}", f"--namespace={self.namespace}", *argv]

    @property
    def accepted(self) -> str:
        """Regular expression of the API paths open to the proxy: the namespace's, and the lists of kinds."""
        namespace = f"/namespaces/{re.escape(self.namespace)}(/.*)?"
        return f"^/(api/v1|apis/[a-z0-9.-]+/v[a-z0-9]+)({namespace})?$"

    @property
    def socket(self) -> Path:
        """Path of the proxy's unix socket; starts the proxy unless it runs.

        Raises:
            errors.ToolMissing: there is no such kubectl.
            errors.ConfigInvalid: kubectl cannot use the context.
        """
        with self._mutex:
            if self._folder is None or self._child is None or self._child.poll() is not None:
                self._folder = tree.temporary()
                self._child = self._start(self._folder)
                weakref.finalize(self, _end, self._child, self._folder)
            return Path(self._folder.name, "api")

    def follow(self, *argv: str) -> None:
        """Run kubectl with ARGV, both outputs to our standard output, until it ends or is interrupted."""
        env, ours = surroundings.read("kubectl"), sys.stdout.buffer
        child = process.start(self.argv(*argv), timeout=LIFETIME, env=env, stdout=ours, stderr=ours)
        try:
            child.wait()
        finally:
            process.end(child)

    def _start(self, folder: tempfile.TemporaryDirectory[str]) -> process.Child:
        api, log = Path(folder.name, "api"), Path(folder.name, "log")
        argv = self.argv("proxy", f"--unix-socket={api}", f"--accept-paths={self.accepted}")
        with log.open("wb") as said:
            env = surroundings.read("kubectl")
            child = _STARTER.submit(process.start, argv, timeout=LIFETIME, env=env, stderr=said).result()
        ends = time.monotonic() + STARTING
        while child.stdout and child.poll() is None and time.monotonic() < ends:
            # kubectl prints its address as soon as it serves.
            if select.select([child.stdout], [], [], 0.2)[0] and child.stdout.readline():
                return child
        why = log.read_text(errors="replace").strip()
        _end(child, folder)
        if child.returncode == 127:  # noqa: PLR2004 -- timeout's own code for a command that is not there
            raise errors.ToolMissing(
                f"{self.command[0]}: not found", f"install it, or set environments.{self.name}.kubectl"
            )
        raise errors.ConfigInvalid(
            f"deploy.toml: environments.{self.name}: kubectl cannot use context {self.context}: {why[-500:]}",
            "kubectl config get-contexts lists those there are",
        )


def _end(child: process.Child, folder: tempfile.TemporaryDirectory[str]) -> None:
    process.end(child)
    if child.stdout:
        child.stdout.close()
    folder.cleanup()
