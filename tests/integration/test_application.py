"""The bundled application keeps SF's side of the contract: what its gates build, started with the real Node."""

import concurrent.futures
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from lab import browser, children
from lab.application import Built, Server, a_release, bearer, holds_a_connection, refuses, without
from lab.needed import need
from lab.site import ROOT, Done, Site, call

MISSING = [tool for tool in ("git", "setpriv") if not shutil.which(tool)]


@pytest.fixture(scope="module")
def built(application: Site, ship: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """What the real gates build; a copy, for a server that runs from it may write there."""
    need(MISSING)
    copy = tmp_path_factory.mktemp("built") / "ship"
    shutil.copytree(ship, copy, symlinks=True)
    return Built(
        revision=application.revision, ship=copy, node=application.folder / ".nox" / "gates" / "programs" / "node"
    )


@pytest.fixture
def new_server(built: Built, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(of: Built = built, **environment: str) -> Server:
        made.append(Server(built=of, folder=tmp_path / str(len(made)), environment=environment))
        return made[-1]

    yield make
    for server in made:
        if server.process:
            children.end(server.process)


@pytest.fixture
def serve(new_server: Callable[..., Server]) -> Callable[..., Server]:
    def start(of: Built | None = None, **environment: str) -> Server:
        server = new_server(of, **environment) if of else new_server(**environment)
        server.start()
        return server

    return start


@pytest.mark.parametrize("lock", ["package-lock.json", "web/package-lock.json"])
def test_the_locks_name_no_host(lock: str) -> None:
    packages = json.loads((ROOT / "examples" / "sf" / lock).read_bytes())["packages"]

    resolved = {package.get("resolved", "") for package in packages.values()}

    assert not [place for place in resolved if ":" in place]


def test_what_ships_is_what_production_needs(built: Built) -> None:
    link = built.ship / "node_modules" / "@sf" / "durations"

    there = {path.name for path in (built.ship / "dist" / "web" / "standalone").iterdir()}
    packages = {path.name for path in (built.ship / "node_modules").iterdir()}

    assert link.is_symlink()
    assert link.resolve() == built.ship / "packages" / "durations"
    assert packages == {"@sf", "ms"}
    assert there == {".next", "next-server.js", "node_modules", "package.json", "server.js"}


def test_probes_need_no_token_and_everything_else_does(serve: Callable[..., Server]) -> None:
    server = serve()

    probes = [server.status(f"/api/{name}") for name in ("healthz", "ready", "version")]
    closed = {
        (method, path): server.status(f"/api{path}", method)
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
        for path in ("", "/rpc", "/other", "/healthz/x")
    }

    assert probes == [200, 200, 200]
    assert set(closed.values()) == {401}, closed
    assert server.call("ping", "wrong").status_code == 401
    assert requests.get(f"{server.url}/api/other", headers=bearer(server.token), timeout=10).status_code == 404
    assert requests.get(f"{server.url}/api/version", timeout=10).headers["Cache-Control"] == "no-store"


def test_rpc_answers_as_json_rpc_says(serve: Callable[..., Server]) -> None:
    server = serve(SF_AUTH_TOKEN="from-outside")
    ping = {"jsonrpc": "2.0", "method": "ping"}

    def code(body: object) -> int:
        error: dict[str, int] = server.post(body, "from-outside").json()["error"]
        return error["code"]

    assert server.call("ping", "from-outside").json() == {"jsonrpc": "2.0", "id": 1, "result": "pong"}
    assert server.call("version", "from-outside").json()["result"] == server.version()
    assert (server.post(ping, "from-outside").status_code, server.post(ping, "from-outside").text) == (204, "")
    batch = server.post([ping, {**ping, "id": "b"}, 1], "from-outside").json()
    assert [(one["id"], "result" in one) for one in batch] == [("b", True), (None, False)]
    assert [code({**ping, "id": 1, "method": name}) for name in ("constructor", "pong")] == [-32601, -32601]
    assert [code(body) for body in ([], [ping] * 51, {**ping, "id": {}}, {"id": 1}, "ping")] == [-32600] * 5
    assert not (server.folder / ".sf" / "token").exists()


def test_the_first_start_makes_a_token_that_later_ones_keep(serve: Callable[..., Server]) -> None:
    server = serve()
    first = server.token
    children.end(server.running)

    server.start()

    assert server.token == first
    assert len(first) == 64
    assert stat.S_IMODE((server.folder / ".sf" / "token").stat().st_mode) == 0o600
    assert [file.name for file in (server.folder / ".sf").iterdir()] == ["token"]


def test_servers_that_start_at_once_share_one_token(new_server: Callable[..., Server]) -> None:
    one, two = new_server(), new_server()
    two.folder = one.folder

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(Server.start, (one, two)))
        answers = [server.call("ping", one.token).status_code for server in (one, two)]

    assert answers == [200, 200]
    assert [file.name for file in (one.folder / ".sf").iterdir()] == ["token"]


def test_the_version_has_its_revision_from_the_build_and_its_release_from_the_manifest(
    serve: Callable[..., Server], built: Built, tmp_path: Path
) -> None:
    release = a_release(built.revision)
    file = tmp_path / "sf-release-manifest.json"
    file.write_bytes(release.bytes)

    told = serve(SF_RELEASE_MANIFEST=str(file)).version()

    assert set(told) == {"name", "version", "revision", "release", "image", "instance", "startedAt"}
    assert told["revision"] == built.revision
    assert (told["release"], told["image"]) == (release.release, release.image.reference)
    assert told["instance"] == socket.gethostname()


def test_a_server_without_a_manifest_that_can_be_read_runs_and_says_so(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"image": {"repository": 1')

    unset = serve().version()
    missing = serve(SF_RELEASE_MANIFEST=str(tmp_path / "nothing.json")).version()
    folder = serve(SF_RELEASE_MANIFEST=str(tmp_path)).version()
    half = serve(SF_RELEASE_MANIFEST=str(damaged)).version()

    assert [(told["release"], told["image"]) for told in (unset, missing, folder)] == [(None, None)] * 3
    assert (str(half["release"])[:7], half["image"]) == ("sha256:", None)


def test_no_word_from_outside_changes_which_build_it_says_it_is(
    serve: Callable[..., Server], built: Built, tmp_path: Path
) -> None:
    other = tmp_path / "build.json"
    other.write_text(json.dumps({"name": "sf", "version": "9", "revision": "f" * 40}))

    told = serve(SF_BUILD_FILE=str(other), SF_BUILD_REVISION="f" * 40).version()

    assert (told["version"], told["revision"]) == ("1.0.0", built.revision)


def test_the_version_command_says_which_build_a_server_is_and_fails_for_another(
    serve: Callable[..., Server], built: Built, tmp_path: Path
) -> None:
    server, mute = serve(), serve(without(built, "dist/build.json", tmp_path / "mute"))
    other = without(built, "dist/build.json", tmp_path / "other")
    (other.ship / "dist" / "build.json").write_text(
        json.dumps({"name": "sf", "version": "1.0.0", "revision": "0" * 40})
    )

    def ask(url: str, of: Built = built) -> Done:
        return call(*of.loader, "version", "--server", url, cwd=tmp_path, timeout=30)

    same, different = ask(server.url), ask(server.url, other)
    silent, nobody = ask(mute.url), ask(f"http://127.0.0.1:{children.free_port()}")

    assert (same.returncode, same.stdout) == (0, f"{server.url}: sf 1.0.0 {built.revision}\n")
    assert different.returncode == 1
    assert f"expected sf {'0' * 40}, actual sf {built.revision}" in different.stderr
    assert (silent.returncode, nobody.returncode) == (3, 3)
    assert "ECONNREFUSED" in nobody.stderr


def test_it_is_ready_only_while_its_folders_are_there(
    new_server: Callable[..., Server], serve: Callable[..., Server], tmp_path: Path
) -> None:
    server, homeless = serve(), new_server(HOME="/dev/null")
    homeless.start(until="/api/healthz")

    (server.folder / "work").rename(tmp_path / "away")
    gone = requests.get(f"{server.url}/api/ready", timeout=10)
    (tmp_path / "away").rename(server.folder / "work")

    assert (gone.status_code, gone.json()["reason"]) == (503, "the project's folder: ENOENT")
    assert server.status("/api/ready") == 200
    assert (homeless.status("/api/ready"), homeless.call("ping", "").status_code) == (503, 401)


def test_sigterm_answers_what_is_under_way_refuses_what_is_new_and_exits_0(serve: Callable[..., Server]) -> None:
    server = serve(SF_DRAIN_MS="2000")
    with requests.Session() as client, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(server.wait, client, 5000)
        children.wait_until(lambda: holds_a_connection(server), "the slow request")

        server.running.send_signal(signal.SIGTERM)
        children.wait_until(lambda: server.status("/api/ready") == 503, "the end of readiness", seconds=1.9)
        alive = server.status("/api/healthz")
        children.wait_until(lambda: refuses(server), "the end of new connections", seconds=3)
        under_way = not slow.done()
        code = server.running.wait(5)

    assert alive == 200
    assert under_way
    assert slow.result().json()["result"] == "waited"
    assert slow.result().headers["Connection"] == "close"
    assert code == 0


def test_a_client_that_keeps_its_connection_does_not_keep_the_server(serve: Callable[..., Server]) -> None:
    server = serve()
    with requests.Session() as client:
        client.get(f"{server.url}/api/healthz", timeout=10)

        server.running.terminate()

        assert server.running.wait(3) == 0


def test_a_request_that_hangs_does_not_keep_it_past_its_grace(serve: Callable[..., Server]) -> None:
    server = serve()
    with requests.Session() as client, concurrent.futures.ThreadPoolExecutor() as pool:
        hanging = pool.submit(server.wait, client, 60_000)
        children.wait_until(lambda: holds_a_connection(server), "the hanging request")

        server.running.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            server.running.wait(4)

        assert server.running.wait(5) == 0
        assert isinstance(hanging.exception(), requests.ConnectionError)


def test_signals_and_exit_codes_pass_through_the_loader(serve: Callable[..., Server]) -> None:
    killed, interrupted = serve(), serve()

    os.kill(killed.child(), signal.SIGKILL)
    interrupted.running.send_signal(signal.SIGINT)

    assert (killed.running.wait(10), interrupted.running.wait(10)) == (137, 0)


def test_the_web_host_does_not_outlive_a_killed_loader(serve: Callable[..., Server]) -> None:
    server = serve()
    child = Path("/proc", str(server.child()))

    server.running.kill()
    server.running.wait()

    children.wait_until(lambda: not child.exists(), "the web host's end", seconds=5)
    assert refuses(server)


def test_the_pages_show_what_the_version_says(serve: Callable[..., Server], built: Built, tmp_path: Path) -> None:
    need(browser.MISSING)
    release = a_release(built.revision)
    file = tmp_path / "manifest.json"
    file.write_bytes(release.bytes)
    server = serve(SF_RELEASE_MANIFEST=str(file))

    home, admin = browser.read(server.url), browser.read(f"{server.url}/admin")
    browser.take_picture(f"{server.url}/admin", tmp_path / "light.png")
    browser.take_picture(f"{server.url}/admin", tmp_path / "dark.png", dark=True)

    for page in (home, admin):
        assert f'id="footer-revision" title="{built.revision}">{built.revision[:12]}<' in page
        assert f'title="{release.release}">{release.release[7:19]}<' in page
    assert [f'id="admin-{name}">{told}<' in admin for name, told in server.version().items() if name != "name"] == [
        True
    ] * 6
    assert 'class="note"' not in admin
    pictures = [(tmp_path / name).read_bytes() for name in ("light.png", "dark.png")]
    assert [picture[:4] for picture in pictures] == [b"\x89PNG"] * 2
    assert pictures[0] != pictures[1]


def test_the_pages_say_plainly_what_is_not_known(serve: Callable[..., Server], built: Built, tmp_path: Path) -> None:
    need(browser.MISSING)
    mute = serve(without(built, "dist/build.json", tmp_path / "mute"))

    bare, silent = browser.read(f"{serve().url}/admin"), browser.read(f"{mute.url}/admin")

    assert "No release manifest is mounted" in bare
    assert "no release manifest" in bare.partition("<footer")[2]
    assert "<code>/api/version</code> does not answer as it should" in silent
    assert "The server does not say which build it is." in silent.partition("<footer")[2]


def test_the_pages_show_what_a_manifest_says_as_text(serve: Callable[..., Server], tmp_path: Path) -> None:
    need(browser.MISSING)
    hostile = tmp_path / "manifest.json"
    image = {"repository": "<img src=x onerror=document.title=1>", "digest": "</dd><script>document.title=2</script>"}
    hostile.write_text(json.dumps({"image": image}))

    admin = browser.read(f"{serve(SF_RELEASE_MANIFEST=str(hostile)).url}/admin")

    assert 'id="admin-image">&lt;img src=x onerror=document.title=1&gt;@&lt;/dd&gt;&lt;script&gt;' in admin
    assert "<title>SF</title>" in admin
