"""A server started from a staged tree, as by the image or vega, in its own folders."""

import contextlib
import os
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import process, tree
from selfdeploy.contents.namespaces import Namespaces, translate
from selfdeploy.contract import processes

HOST = "127.0.0.1"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST = 600.0
"""Maximum lifetime of a started server, in seconds."""


@dataclass(kw_only=True)
class Launch:
    """One start of the shipped TREE on the free PORT; FOLDER holds home, workspace and the log.

    The site's own variables, GIVEN, reach the server, but not the probes.
    """

    node: Path
    tree: Path
    folder: Path
    confined: bool
    port: int
    mark: str
    given: Mapping[str, str] = field(default_factory=dict)
    child: process.Child | None = None
    family: frozenset[processes.Process] = frozenset()

    @property
    def url(self) -> str:
        """The server's URL, from the host and port of its command line."""
        return f"http://{HOST}:{self.port}"

    @property
    def token(self) -> str:
        """The server's own token; empty if it did not write one."""
        with contextlib.suppress(OSError):
            return (self.folder / "home" / ".sf" / "token").read_text(errors="replace").strip()
        return ""

    @property
    def log(self) -> str:
        """The server's stdout and stderr so far."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def last_words(self) -> str:
        """The end of the log, joined into one line."""
        return " | ".join(line.strip() for line in self.log.splitlines()[-6:] if line.strip())[-400:] or "no output"

    @property
    def variables(self) -> dict[str, str]:
        """The server's environment: a container's, with this launch's folders."""
        return {
            "PATH": f"{self.node.parent}:{PATH}",
            "HOME": str(self.folder / "home"),
            "HOSTNAME": socket.gethostname(),
            "NODE_ENV": "production",
            processes.MARK: self.mark,
        }

    def start(self, argv: Sequence[str], **variables: str) -> None:
        """Start node with ARGV in the workspace, and add VARIABLES to its environment."""
        prefix = Namespaces(tree=self.tree, folder=self.folder).prefix if self.confined else []
        with (self.folder / "log").open("wb") as log:
            self.child = process.start(
                [*prefix, str(self.node), *argv],
                timeout=LONGEST,
                cwd=self.folder / "workspace",
                env=translate(self.given, self.tree) | self.variables | variables,
                stdout=log,
                stderr=process.STDOUT,
            )

    def code(self) -> int | None:
        """Return the exit code, or 128 plus the signal's number; None while it runs."""
        code = self.child.poll() if self.child else 0
        return 128 - code if code is not None and code < 0 else code

    def end(self, seconds: float) -> int | None:
        """Wait up to SECONDS for the end; return the exit code, or None if it still runs."""
        ends = time.monotonic() + seconds
        while self.code() is None and time.monotonic() < ends:
            time.sleep(0.02)
        return self.code()

    def terminate(self) -> None:
        """Send SIGTERM to the server's first process only, as an init does."""
        self.family = processes.family(self.child.pid) if self.child else frozenset()
        pid = processes.child(self.child.pid) if self.child else 0
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGTERM)

    def left(self, seconds: float) -> list[str]:
        """Wait up to SECONDS for the server's processes to end; return the command lines of the rest."""
        ends = time.monotonic() + seconds
        while (left := processes.alive(self.mark, self.family)) and time.monotonic() < ends:
            time.sleep(0.05)
        return sorted(one.command for one in left)


@contextlib.contextmanager
def prepare(node: Path, staged: Path, work: Path, given: Mapping[str, str]) -> Iterator[Launch]:
    """Yield a launch of STAGED with folders below WORK; kill its processes and delete the folders on exit.

    GIVEN are variables of the server. Without mount namespaces on this machine, the tree is a copy, so that the server
    cannot change the original.
    """
    with tree.scratch(work, "contract") as folder:
        for name in ("home", "workspace"):
            (folder / name).mkdir()
        path = {"PATH": f"{node.parent}:{PATH}"}
        confined = not Namespaces(tree=staged, folder=folder).find_obstacle(str(node), path)
        launch = Launch(
            node=node,
            tree=staged if confined else Path(shutil.copytree(staged, folder / "sf", symlinks=True)),
            folder=folder,
            confined=confined,
            port=_free_port(),
            mark=uuid.uuid4().hex,
            given=given,
        )
        try:
            yield launch
        finally:
            processes.kill(processes.alive(launch.mark, launch.family))
            if launch.child:
                process.end(launch.child)


def _free_port() -> int:
    with socket.socket() as asking:
        asking.bind((HOST, 0))
        return int(asking.getsockname()[1])
