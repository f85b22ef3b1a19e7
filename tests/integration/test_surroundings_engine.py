"""A release from a shell, a folder and under settings that would change what docker and Compose do."""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import children, needed, vega
from lab import registry as lab
from lab.client import CI, log_in
from lab.site import ROOT, Site
from selfdeploy import config, process
from selfdeploy.build import base
from selfdeploy.engine import Engine
from selfdeploy.probes import probe

ODD_SHELL = {
    "BUILDKIT_PROGRESS": "rawjson",
    "BUILDX_BUILDER": "nowhere",
    "BUILDX_CONFIG": "/nonexistent",
    "COMPOSE_ENV_FILES": "/nonexistent/.env",
    "COMPOSE_FILE": "compose.dev.yml",
    "COMPOSE_PROFILES": "dev",
    "COMPOSE_PROJECT_NAME": "another",
    "DOCKER_BUILDKIT": "0",
    "DOCKER_CONTENT_TRUST": "1",
    "DOCKER_DEFAULT_PLATFORM": "linux/s390x",
    "GIT_DIR": "/nonexistent",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "LC_ALL": "tr_TR.UTF-8",
    "NODE_OPTIONS": "--require=/nonexistent",
    "NOXSESSION": "lint",
    "http_proxy": "http://127.0.0.1:1",
}
SECRET = "never-to-be-shown"  # noqa: S105 -- that is what is tested
PROXIES = {"default": {"httpProxy": "http://127.0.0.1:1", "httpsProxy": "http://127.0.0.1:1", "noProxy": "x"}}
VARIABLES = """
[environments.test.variables]
HTTP_PROXY = "http://127.0.0.1:1"
http_proxy = "http://127.0.0.1:1"
NODE_USE_ENV_PROXY = "1"
NODE_EXTRA_CA_CERTS = "/nonexistent"
"""


def variables(site: Site, environment: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in site.inspect(environment)["Config"]["Env"])


def test_a_release_depends_on_no_folder_shell_or_docker_config(new_site: Callable[..., Site], tmp_path: Path) -> None:
    site = new_site()
    site.configure(test=f'url = "http://localhost:{site.ports[0]}"\n{VARIABLES}')
    (site.folder / ".env").write_text(f'API_TOKEN="{SECRET}\ntwo words\n')
    (site.folder / "compose.yaml").write_text("services: {}\n")
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"proxies": PROXIES, "auths": {}}))
    far = ["docker", "buildx", "create", "--name", "far", "--driver", "remote", "--use", "tcp://127.0.0.1:1"]
    children.run(["env", f"DOCKER_CONFIG={config}", *far])

    done = site.inv("release", **ODD_SHELL, DOCKER_CONFIG=str(config))

    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert variables(site, "test")["NODE_USE_ENV_PROXY"] == "1"
    assert not {name for name in variables(site, "prod") if "proxy" in name.lower()}
    checks = site.docker("inspect", "--format", "{{json .State.Health}}", site.container("test"))
    health = json.loads(checks.stdout)
    children.wait_until(
        lambda: site.inspect("test")["State"]["Health"]["Status"] == "healthy", f"healthy, not {health}", seconds=90
    )

    file = site.folder / ".selfdeploy" / "rendered" / "prod" / "compose.yml"
    by_hand = ["docker", "compose", "-p", f"{site.name}-p", "-f", str(file), "up", "-d", "--force-recreate"]
    children.run(["env", f"DOCKER_CONFIG={config}", *by_hand], timeout=120)
    assert "http_proxy" in variables(site, "prod")
    plan = site.inv("plan")
    rid = site.inv("release")
    assert "what runs is not what deploy.toml describes" in plan.stdout
    assert rid.returncode == 0, rid.stderr
    assert "http_proxy" not in variables(site, "prod")

    before = site.ids()
    again = site.inv("release")  # from another machine, as it were

    assert again.returncode == 0, again.stderr
    assert site.ids() == before
    down = site.inv("down", "-e", "prod", **ODD_SHELL, DOCKER_CONFIG=str(config))
    assert down.returncode == 0, down.stderr
    assert site.inspect("prod") == {}


def test_a_bad_first_release_is_down_whatever_compose_file_a_shell_names(new_site: Callable[..., Site]) -> None:
    site = new_site()
    site.configure(probes="deadline = 20\nconsecutive = 2")
    site.answer_as_another_revision()

    done = site.inv("release", COMPOSE_FILE="compose.dev.yml", COMPOSE_PROJECT_NAME="another")

    assert done.returncode == 53, done.stderr
    assert site.inspect("test") == {}


@pytest.fixture
def engine() -> Engine:
    needed.need_engine()
    return Engine(name="test")


@pytest.mark.usefixtures("repository")
def test_a_login_beside_proxies_is_docker_s_still(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed.need(lab.MISSING)
    image = base.provide(config.Project(root=ROOT), "base")
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with lab.Registry(login=CI) as there:
        reference = f"{there.name}/team/sf:{tmp_path.name}"
        engine.run("tag", image, reference)
        try:
            refused = process.run(["docker", "push", "--quiet", reference], timeout=120, check=False)
            log_in(tmp_path, there.name, CI)
            file = tmp_path / "docker" / "config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), "proxies": PROXIES}))
            pushed = process.run(["docker", "push", "--quiet", reference], timeout=120, check=False)
        finally:
            engine.run("image", "rm", reference, check=False)

    assert refused.code != 0
    assert pushed.code == 0, pushed.complaint
    run = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "env", image]
    assert "proxy" not in process.run(run, timeout=60).text.lower()
    as_it_is = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(file.parent)}
    assert "PROXY" in process.run(run, timeout=60, env=as_it_is).text


PLACE = """
import os, signal
from selfdeploy.process import surroundings
print(surroundings.read("docker")["DOCKER_CONFIG"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_command_that_is_killed_leaves_no_login_and_the_next_one_no_folder(tmp_path: Path) -> None:
    config = {"proxies": PROXIES, "auths": {"r.lan": {"auth": "bm90LWZvci1kaXNr"}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    env = {"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": str(tmp_path), "TMPDIR": str(tmp_path)}

    killed = process.run([sys.executable, "-c", PLACE], timeout=60, env=env, check=False)
    shadow = Path(killed.text)

    assert shadow.is_relative_to(tmp_path)
    assert (shadow / "config.json").is_symlink()
    assert not (shadow / "config.json").exists()
    assert not [file for file in shadow.parent.rglob("*") if file.is_file()]
    process.run([sys.executable, "-c", PLACE], timeout=60, env=env, check=False)
    assert not shadow.parent.exists()


@pytest.mark.parametrize("lacking", [[], ["compose"], ["compose", "buildx"]], ids=["compose", "run", "legacy"])
def test_the_shared_server_has_no_proxy_of_whoever_starts_it(
    live: vega.Site, tmp_path: Path, lacking: list[str]
) -> None:
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"proxies": PROXIES}))
    (live.folder / ".env").write_text(f'API_TOKEN="{SECRET}\ntwo words\n')
    vega.without(lacking, config)

    said = live.good("vega.up", **ODD_SHELL, DOCKER_CONFIG=str(config))

    assert SECRET not in said
    assert "proxy" not in json.dumps(live.inspect()["Config"]["Env"]).lower()


class _Proxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(418)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A proxy that answers for every server with a status of its own, and that every variable names."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield address
        server.shutdown()


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]", "0.0.0.0", socket.gethostname()],  # noqa: S104
)
def test_this_machine_is_never_asked_by_a_proxy(proxy: str, host: str) -> None:
    nobody = children.free_port()

    assert probe.get(f"http://{host}:{nobody}/", 5).status == 0, proxy


def test_a_public_name_is_asked_by_the_proxy_unless_no_proxy_names_it(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe.get("http://sf.invalid/", 5).status == 418, proxy

    monkeypatch.setenv("NO_PROXY", ".invalid")

    assert probe.get("http://sf.invalid/", 5).status == 0
