"""The lab itself: what the other tests stand on is real, and goes away."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.events import Events
from lab import children, engine, images, needed, registry
from lab.engine import Engine
from lab.registry import Registry
from lab.tokens import Login

CI = Login(user="ci", password="the right one")
SKOPEO = [] if shutil.which("skopeo") else ["skopeo"]
BUSYBOX = [] if images.BUSYBOX.exists() else ["busybox-static"]


def open_registry() -> Registry:
    return Registry()


def registry_with_tls() -> Registry:
    return Registry(tls=True)


def registry_with_passwords() -> Registry:
    return Registry(login=CI)


def registry_with_tokens() -> Registry:
    return Registry(login=CI, token=True)


def registry_with_everything() -> Registry:
    return Registry(tls=True, login=CI, token=True)


@pytest.fixture
def closed() -> Iterator[Registry]:
    needed.need(registry.MISSING + SKOPEO + BUSYBOX)
    with registry_with_everything() as running:
        yield running


@pytest.fixture(scope="module")
def remote() -> Iterator[Engine]:
    needed.need(engine.MISSING + registry.MISSING + BUSYBOX)
    with Engine() as running:
        running.docker("import", "-", "busybox:lab", given=images.busybox_layer())
        yield running


def push(to: Registry, layout: Path, login: Login | None, *, name: str = "team/app:1") -> None:
    options = ["--dest-cert-dir", str(to.ca.parent)] if to.ca else ["--dest-tls-verify=false"]
    options += ["--dest-creds", f"{login.user}:{login.password}"] if login else ["--dest-no-creds"]
    children.run(["skopeo", "--insecure-policy", "copy", *options, f"oci:{layout}", f"docker://{to.name}/{name}"])


def inspect(there: Registry, *, name: str = "team/app:1") -> str:
    options = ["--cert-dir", str(there.ca.parent)] if there.ca else ["--tls-verify=false"]
    options += ["--creds", f"{there.login.user}:{there.login.password}"] if there.login else []
    command = ["skopeo", "inspect", *options, "--format", "{{.Digest}}", f"docker://{there.name}/{name}"]
    return children.run(command).decode().strip()


@pytest.mark.parametrize(
    "make",
    [open_registry, registry_with_tls, registry_with_passwords, registry_with_tokens, registry_with_everything],
)
def test_a_registry_keeps_what_was_pushed_through_a_restart(make: type[Registry], tmp_path: Path) -> None:
    needed.need(registry.MISSING + SKOPEO + BUSYBOX)
    digest = images.oci_layout(tmp_path)
    with make() as there:
        push(there, tmp_path, there.login)

        there.restart()

        assert inspect(there) == digest
    assert not there.folder.exists()


@pytest.mark.parametrize("login", [None, Login(user="ci", password="a wrong one")])
def test_a_closed_registry_refuses_who_does_not_know_the_password(
    closed: Registry, login: Login | None, tmp_path: Path
) -> None:
    images.oci_layout(tmp_path)

    with pytest.raises(children.LabError, match="unauthorized|authentication|invalid username"):
        push(closed, tmp_path, login)


def test_a_registry_with_its_own_authority_refuses_a_client_that_does_not_know_it(closed: Registry) -> None:
    with pytest.raises(children.LabError, match="certificate"):
        children.run(["skopeo", "inspect", f"docker://{closed.name}/team/app:1"])


def test_tokens_remember_what_was_asked_and_grant_only_what_is_allowed(closed: Registry, tmp_path: Path) -> None:
    images.oci_layout(tmp_path)
    assert closed.tokens is not None
    closed.tokens.allowed = frozenset({"pull"})

    with pytest.raises(children.LabError, match="denied"):
        push(closed, tmp_path, CI)

    assert "repository:team/app:pull,push" in closed.tokens.asked


def test_a_registry_dies_with_the_process_that_started_it() -> None:
    needed.need(registry.MISSING)
    script = "import time; from lab.registry import Registry; r = Registry(); r.start(); print(r.port, flush=True)"
    script += "; time.sleep(99)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
    ) as owner:
        assert owner.stdout is not None
        port = int(owner.stdout.readline())
        assert get("127.0.0.1", port, "/v2/") == 200

        owner.send_signal(signal.SIGKILL)

        children.wait_until(lambda: get("127.0.0.1", port, "/v2/") is None, "the end of the registry")


def get(address: str, port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def test_a_remote_engine_is_not_the_one_of_this_machine_and_has_none_of_its_files(remote: Engine) -> None:
    here = Path(__file__).resolve().parent

    seen = remote.docker("run", "--rm", "--volume", f"{here}:/here", "busybox:lab", "ls", "/here")

    assert seen == ""
    assert remote.docker("info", "--format", "{{.Name}}") == remote.folder.name


def test_a_published_port_of_a_remote_engine_is_reached_at_its_address(remote: Engine) -> None:
    remote.docker("run", "--detach", "--name", "web", "--publish", "8080:80", "busybox:lab", "httpd", "-f", "-p", "80")
    try:
        children.wait_until(lambda: get(remote.address, 8080, "/bin/busybox") == 200, "the answer of httpd", seconds=10)
    finally:
        remote.docker("rm", "--force", "--volumes", "web")


def test_a_remote_engine_uses_a_registry_over_tls_once_it_trusts_it(remote: Engine, tmp_path: Path) -> None:
    with Registry(address=remote.here, tls=True, login=CI, token=True) as there:
        config = ("--config", str(tmp_path))
        login = (*config, "login", "--username", CI.user, "--password-stdin", there.name)
        with pytest.raises(children.LabError, match="certificate"):
            remote.docker(*login, given=CI.password.encode())

        assert there.ca is not None
        remote.trust(there.name, there.ca)
        remote.docker(*login, given=CI.password.encode())
        remote.docker("tag", "busybox:lab", f"{there.name}/team/app:1")
        remote.docker(*config, "push", "--quiet", f"{there.name}/team/app:1")

        digest = inspect(there)
        remote.docker(*config, "pull", "--quiet", f"{there.name}/team/app@{digest}")


def test_a_remote_engine_comes_back_with_its_data_after_its_power_was_cut(remote: Engine) -> None:
    remote.docker("volume", "create", "kept")

    remote.kill()
    assert get(remote.address, engine.PORT, "/_ping") is None
    remote.start()

    assert "kept" in remote.docker("volume", "ls", "--quiet")
    assert remote.docker("run", "--rm", "busybox:lab", "echo", "alive") == "alive"


def test_what_an_engine_did_while_nobody_listened_is_heard_and_nothing_twice(remote: Engine, tmp_path: Path) -> None:
    image = "busybox:lab"

    with Events(tmp_path, remote.url) as events:
        remote.docker("run", "--detach", "--restart", "always", "--name", "steady", image, "sleep", "600")
        children.wait_until(lambda: bool(events.started("steady")), "its first start")
        remote.kill()
        remote.start()
        running = ("inspect", "--format", "{{.State.Running}}", "steady")
        children.wait_until(lambda: remote.docker(*running) == "true", "its second start")
        events.follow()
        children.wait_until(lambda: len(events.started("steady")) > 1, "what was missed")
        events.follow()
        remote.docker("run", "--rm", "--name", "last", image, "echo", "done")
        children.wait_until(lambda: bool(events.started("last")), "the last start")
        wrong = events.unproven("none", "steady", 1)
    remote.docker("rm", "--force", "--volumes", "steady")

    assert [events.started(name) for name in ("steady", "last")] == [[image, image], [image]]
    assert wrong == [f"prod ran {image}, which test had answered as 0 times"] * 2
    assert events.unproven("none", "none", 1) == [f"nobody listens to the engine; see {tmp_path / 'events.log'}"]


def test_a_remote_engine_leaves_nothing_behind() -> None:
    needed.need(engine.MISSING)
    with Engine(insecure=True) as gone:
        network = gone.docker("info", "--format", "{{json .RegistryConfig.InsecureRegistryCIDRs}}")
        assert network.count("/30") == 1

    assert not gone.folder.exists()
    assert gone.folder.name not in Path("/proc/self/mountinfo").read_text()
    assert gone.here not in children.run(["ip", "-brief", "address"]).decode()
    assert not list(engine.CGROUPS.glob(f"*/{gone.folder.name}"))
