"""The bundled application as its gates built it, started with the real Node."""

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import requests

from lab import children
from selfdeploy import manifest

DIGEST = "sha256:" + "0a" * 32


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the gates made of one revision, as it would ship, and the Node they ran with."""

    revision: str
    ship: Path
    node: Path

    @property
    def loader(self) -> tuple[str, str]:
        return str(self.node), str(self.ship / "dist" / "loader.js")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass(kw_only=True)
class Server:
    """One server, with a HOME and a project folder of its own."""

    built: Built
    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=children.free_port)
    process: children.Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.folder / ".sf" / "token").read_text().strip()

    @property
    def running(self) -> children.Child:
        assert self.process is not None
        return self.process

    def start(self, *, until: str = "/api/ready") -> None:
        (self.folder / "work").mkdir(parents=True, exist_ok=True)
        given = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", **self.environment}
        variables = [f"{name}={value}" for name, value in given.items()]
        argv = [*self.built.loader, "server", "work", "--host", "127.0.0.1", "--port", str(self.port)]
        log = self.folder / "log"
        self.process = children.spawn(["env", "-i", "-C", str(self.folder), *variables, *argv], log)
        with children.explained_by(log):
            children.wait_until(lambda: self.status(until) == 200, "the server")

    def status(self, path: str, method: str = "GET") -> int:
        """Return the status of the answer; 0 when there is none."""
        try:
            return requests.request(method, self.url + path, timeout=10).status_code
        except requests.RequestException:
            return 0

    def version(self) -> dict[str, str | None]:
        told: dict[str, str | None] = requests.get(f"{self.url}/api/version", timeout=10).json()
        return told

    def post(self, body: object, token: str) -> requests.Response:
        return requests.post(f"{self.url}/api/rpc", json=body, headers=bearer(token), timeout=30)

    def call(self, method: str, token: str) -> requests.Response:
        return self.post({"jsonrpc": "2.0", "id": 1, "method": method}, token)

    def wait(self, client: requests.Session, milliseconds: int) -> requests.Response:
        """Return the answer to a request that takes MILLISECONDS; CLIENT keeps the connection."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "wait", "params": {"milliseconds": milliseconds}}
        return client.post(f"{self.url}/api/rpc", json=body, headers=bearer(self.token), timeout=30)

    def child(self) -> int:
        """Return the process id of the web host below the loader."""
        pid = self.running.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def a_release(revision: str) -> manifest.Manifest:
    return manifest.Manifest(
        schema=1,
        source=manifest.Source(repository="https://forge.example/sf", revision=revision, path="", tree="b" * 40),
        gates=tuple(manifest.Gate(name=name, command=name) for name in manifest.REQUIRED_GATES),
        image=manifest.Image(repository="registry.example/sf", digest=DIGEST, mediaType="index", platforms={}),
        probes=manifest.PROBES,
    )


def refuses(server: Server) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", server.port)) != 0


def holds_a_connection(server: Server) -> bool:
    lines = "".join(Path("/proc/net", name).read_text() for name in ("tcp", "tcp6")).splitlines()
    return any(f":{server.port:04X} " in line and line.split()[3] == "01" for line in lines)


def lighten(built: Built, web: Path, to: Path) -> None:
    """Copy what ships to TO, the routes of WEB on Node's own HTTP server in place of Next's: 0.2 MB instead of 40."""
    shutil.copytree(built.ship, to, symlinks=True)
    make = Path(__file__).parent / "webhost" / "make.mjs"
    argv = [str(built.node), "--no-warnings", str(make), str(web), str(to / "dist" / "web" / "standalone")]
    subprocess.run(argv, check=True)


def without(built: Built, file: str, to: Path) -> Built:
    """Return a copy of BUILT in which FILE is missing."""
    shutil.copytree(built.ship, to, symlinks=True, copy_function=os.link)
    (to / file).unlink()
    return Built(revision=built.revision, ship=to, node=built.node)
