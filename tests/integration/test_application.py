"""The bundled application keeps SF's side of the contract: what the gates built of it, started with the real Node."""

import hashlib
import json
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from lab import browser, children
from lab.needed import need
from lab.site import Done, Site


@dataclass(kw_only=True)
class Server:
    """One running server of what the gates built."""

    node: Path
    ship: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=children.free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        (self.folder / "work").mkdir(parents=True, exist_ok=True)
        argv = [str(self.node), str(self.ship / "dist" / "loader.js"), "server", "work", "--port", str(self.port)]
        environment = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", **self.environment}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, cwd=self.folder, env=environment, stdout=log, stderr=log)
        children.wait_until(lambda: self.status("/api/ready") == 200, "the server")
        return self

    def status(self, path: str) -> int:
        try:
            return self.get(path).status_code
        except requests.RequestException:
            return 0

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=10)

    def call(self, method: str, token: str, **parameters: object) -> requests.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        url, headers = f"http://127.0.0.1:{self.port}/api/rpc", {"Authorization": f"Bearer {token}"}
        return requests.post(url, json=body, headers=headers, timeout=30)

    @property
    def token(self) -> str:
        return (self.folder / ".sf" / "token").read_text().strip()

    def ask(self, *argv: str) -> Done:
        command = [str(self.node), str(self.ship / "dist" / "loader.js"), "version", *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    def end(self, how: signal.Signals = signal.SIGTERM, seconds: float = 15) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(seconds)


@pytest.fixture
def serve(whole: tuple[Site, Done], ship: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    node = whole[0].folder / ".nox" / "gates" / "node" / "node"
    started: list[Server] = []

    def start(**environment: str) -> Server:
        server = Server(node=node, ship=ship, folder=tmp_path / str(len(started)), environment=environment)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if server.process and server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def test_probes_need_no_token_and_everything_else_does(serve: Callable[..., Server]) -> None:
    server = serve()

    assert [server.status(f"/api/{name}") for name in ("healthz", "ready", "version")] == [200, 200, 200]
    assert [server.status(f"/api/{name}") for name in ("other", "rpc/x", "healthz/x")] == [401, 401, 401]
    assert server.call("ping", "wrong").status_code == 401
    assert server.get("/api/other", Authorization=f"Bearer {server.token}").status_code == 404
    assert server.get("/api/version").headers["Cache-Control"] == "no-store"


def test_rpc_answers_as_json_rpc_says(serve: Callable[..., Server]) -> None:
    server = serve(SF_AUTH_TOKEN="from-outside")

    assert server.call("ping", "from-outside").json()["result"] == "pong"
    assert server.call("version", "from-outside").json()["result"] == server.get("/api/version").json()
    assert server.call("constructor", "from-outside").json()["error"]["code"] == -32601
    assert not (server.folder / ".sf" / "token").exists()


def test_the_first_start_makes_a_token_that_later_ones_keep(serve: Callable[..., Server]) -> None:
    server = serve()
    first = server.token
    server.end()

    server.start()

    assert server.token == first
    assert len(first) == 64
    assert stat.S_IMODE((server.folder / ".sf" / "token").stat().st_mode) == 0o600
    assert [file.name for file in (server.folder / ".sf").iterdir()] == ["token"]


def test_the_version_has_its_revision_from_the_build_and_its_release_from_the_manifest(
    serve: Callable[..., Server], whole: tuple[Site, Done], tmp_path: Path
) -> None:
    manifest = whole[0].folder / "dist" / "sf-release-manifest.json"
    data = manifest.read_bytes()

    told = serve(SF_RELEASE_MANIFEST=str(manifest)).get("/api/version").json()
    without = serve(SF_RELEASE_MANIFEST=str(tmp_path / "nothing.json")).get("/api/version").json()

    assert set(told) == {"name", "version", "revision", "release", "image", "instance", "startedAt"}
    assert told["revision"] == without["revision"] == whole[0].revision
    assert told["release"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert told["image"].endswith(json.loads(data)["image"]["digest"])
    assert (without["release"], without["image"]) == (None, None)


def test_the_version_command_says_which_build_a_server_is_and_fails_for_another(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve()
    other = tmp_path / "other"
    subprocess.run(["cp", "-a", str(server.ship), str(other)], check=True)
    build = other / "dist" / "build.json"
    build.write_text(build.read_text().replace(server.get("/api/version").json()["revision"], "0" * 40))
    url = f"http://127.0.0.1:{server.port}"

    same = server.ask("--server", url)
    different = Server(node=server.node, ship=other, folder=tmp_path).ask("--server", url)
    nobody = server.ask("--server", f"http://127.0.0.1:{children.free_port()}")

    assert same.returncode == 0
    assert server.get("/api/version").json()["revision"] in same.stdout
    assert different.returncode == 1
    assert f"expected {'0' * 40}" in different.stderr
    assert nobody.returncode == 3


def test_sigterm_answers_what_is_under_way_refuses_what_is_new_and_exits_0(serve: Callable[..., Server]) -> None:
    server = serve(SF_DRAIN_MS="1000")
    answers: list[requests.Response] = []
    slow = threading.Thread(target=lambda: answers.append(server.call("wait", server.token, milliseconds=2500)))
    slow.start()
    children.wait_until(lambda: _connections(server.port) > 0, "the slow request")

    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    children.wait_until(lambda: server.status("/api/ready") == 503, "the end of readiness", seconds=2)
    alive = server.status("/api/healthz")
    code = server.process.wait(10)
    slow.join()

    assert alive == 200
    assert answers[0].json()["result"] == "waited"
    assert code == 0
    assert server.status("/api/healthz") == 0


def test_a_request_that_hangs_does_not_keep_it_past_its_grace(serve: Callable[..., Server]) -> None:
    server = serve()
    slow = threading.Thread(target=lambda: _swallow(lambda: server.call("wait", server.token, milliseconds=60_000)))
    slow.start()
    children.wait_until(lambda: _connections(server.port) > 0, "the slow request")

    code = server.end(seconds=12)
    slow.join()

    assert code == 0


def test_the_child_s_exit_code_and_signals_are_passed_on(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.process is not None
    child = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()[0]

    subprocess.run(["kill", "-KILL", child], check=True)

    assert server.process.wait(10) == 137
    assert serve().end(signal.SIGINT) == 0


def test_the_footer_and_the_admin_panel_show_what_the_version_says(
    serve: Callable[..., Server], whole: tuple[Site, Done], tmp_path: Path
) -> None:
    need(browser.MISSING)
    hostile = tmp_path / "manifest.json"
    image = {"repository": "<img src=x onerror=document.title=1>", "digest": "sha256:0"}
    hostile.write_text(json.dumps({"image": image}))
    server = serve(SF_RELEASE_MANIFEST=str(hostile))
    url = f"http://127.0.0.1:{server.port}"

    home, admin = browser.read(url), browser.read(f"{url}/admin")
    bare = browser.read(f"http://127.0.0.1:{serve().port}/admin")
    browser.take_picture(f"{url}/admin", tmp_path / "admin.png")

    assert whole[0].revision[:12] in home
    assert f'id="admin-revision">{whole[0].revision}<' in admin
    assert 'id="admin-image">&lt;img src=x onerror=document.title=1&gt;@sha256:0<' in admin
    assert "<title>SF</title>" in admin
    assert "No release manifest is mounted" not in admin
    assert "No release manifest is mounted" in bare
    assert (tmp_path / "admin.png").read_bytes().startswith(b"\x89PNG")


def _connections(port: int) -> int:
    lines = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    local = f":{port:04X}"
    return sum(line.split()[1].endswith(local) and line.split()[3] == "01" for line in lines[1:])


def _swallow(call: Callable[[], object]) -> None:
    try:
        call()
    except requests.RequestException:
        return
