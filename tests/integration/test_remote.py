"""An engine on another host, which has none of our files, another loopback, and a registry that both reach."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import children, engine, load, registry
from lab.needed import need
from lab.site import Site, call
from lab.tokens import Login
from selfdeploy import engine as engines
from selfdeploy import errors, provenance
from selfdeploy.environments.compose import lock

LOGIN = Login(user="ci", password="right-horse")


def encoded(login: Login) -> str:
    return login.header.removeprefix("Basic ")


@pytest.fixture(scope="module")
def remote(
    new_site: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[engine.Engine, Site, registry.Registry]]:
    """A second host, and a site that has released to it through a registry with TLS and a login."""
    need([*engine.MISSING, *registry.MISSING])
    with (
        engine.Engine() as host,
        registry.Registry(address=host.here, tls=True, login=LOGIN, token=True) as store,
    ):
        assert store.ca is not None
        host.trust(store.name, store.ca)
        authority = Path("/etc/docker/certs.d") / store.name / "ca.crt"
        authority.parent.mkdir(parents=True)
        shutil.copy(store.ca, authority)
        settings = tmp_path_factory.mktemp("docker")
        (settings / "config.json").write_text(f'{{"auths": {{"{store.name}": {{"auth": "{encoded(LOGIN)}"}}}}}}')
        site = new_site(
            repository=f"{store.name}/sf",
            address=host.address,
            engine=host.url,
            ports=(4101, 4100),
            environment={"DOCKER_CONFIG": str(settings)},
        )
        try:
            done = site.inv("release")
            assert done.returncode == 0, done.stderr
            yield host, site, store
        finally:
            shutil.rmtree(authority.parent)


def test_a_release_reaches_another_host_and_changes_nothing_there_the_second_time(
    remote: tuple[engine.Engine, Site, registry.Registry],
) -> None:
    _, site, _ = remote
    before = site.ids()

    again = site.inv("release")

    assert again.returncode == 0, again.stderr
    assert len(before) == 2
    assert site.ids() == before
    assert site.version("prod")["revision"] == site.revision


def test_docker_host_and_the_current_context_name_the_host_as_deploy_toml_does(
    remote: tuple[engine.Engine, Site, registry.Registry],
) -> None:
    host, site, store = remote
    file = site.folder / "deploy.toml"
    text = file.read_text()
    file.write_text(text.replace(f'engine = "{host.url}"', 'engine = ""'))
    revision = site.commit("over DOCKER_HOST")
    contexts = ("docker", "context")

    # buildx fetches the base image's token itself, and trusts no certs.d
    released = site.inv("release", DOCKER_HOST=host.url, SSL_CERT_FILE=str(store.ca))
    call(*contexts, "create", "far", "--docker", f"host={host.url}", cwd=site.folder, env=site.environment)
    named, nowhere = (site.inv("probe", "-e", "prod", DOCKER_CONTEXT=context) for context in ("far", "no-such"))
    call(*contexts, "use", "far", cwd=site.folder, env=site.environment)
    file.write_text(file.read_text().replace(site.repository, f"127.0.0.1:{children.free_port()}/sf"))
    far = site.inv("release")
    file.write_text(file.read_text().replace('engine = ""', 'engine = "unix:///var/run/docker.sock"'))
    built_far = site.inv("registry.up")
    call(*contexts, "use", "default", cwd=site.folder, env=site.environment)
    file.write_text(text)

    assert released.returncode == 0, released.stderr
    assert site.version("prod")["revision"] == revision
    assert named.returncode == 0, named.stderr
    assert (far.returncode, built_far.returncode) == (10, 10), far.stderr + built_far.stderr
    assert f"{host.url} is another host" in far.stderr
    assert "choose an engine here" in built_far.stderr
    assert nowhere.returncode == 40, nowhere.stderr
    assert "no-such" in nowhere.stderr


def test_a_rollout_loses_no_request_on_another_host_either(
    remote: tuple[engine.Engine, Site, registry.Registry],
) -> None:
    host, site, _ = remote
    site.configure(probes="deadline = 120\nconsecutive = 2", test='strategy = "rolling"')
    first = site.begin_server(load.ENDPOINTS, "rolls")
    placed = site.inv("release", "--to", "test")
    with load.Load(site.ports[0], rate=20, host=host.address) as forward:
        second = site.begin_server(f"{load.ENDPOINTS}// two", "two")
        done = site.inv("release", "--to", "test")
    with load.Load(site.ports[0], rate=20, host=host.address) as back:
        rolled = site.inv("rollback", "-e", "test")
    front = json.loads(site.docker("inspect", f"{site.name}-t-front-1").stdout)[0]
    site.configure()
    gone = site.inv("down", "-e", "test")
    again = site.inv("release")

    assert [one.returncode for one in (placed, done, rolled, gone, again)] == [0] * 5, placed.stderr + done.stderr
    assert forward.failures == back.failures == {}
    assert set(forward.revisions) == set(back.revisions) == {first, second}
    assert {mount["Type"] for mount in front["Mounts"]} <= {"volume", "tmpfs"}  # none of our files is on that host


def test_a_release_goes_the_whole_way_through_a_registry_with_a_password(
    new_site: Callable[..., Site], tmp_path: Path
) -> None:
    need(registry.MISSING)
    (tmp_path / "none").mkdir()
    with registry.Registry(login=LOGIN) as store:
        (tmp_path / "config.json").write_text(f'{{"auths": {{"{store.name}": {{"auth": "{encoded(LOGIN)}"}}}}}}')
        site = new_site(repository=f"{store.name}/sf", environment={"DOCKER_CONFIG": str(tmp_path)})

        refused = site.inv("release", DOCKER_CONFIG=str(tmp_path / "none"))
        done = site.inv("release")

        assert refused.returncode == 31, refused.stderr
        assert done.returncode == 0, done.stderr
        assert [site.version(name)["revision"] for name in ("test", "prod")] == [site.revision] * 2
        assert LOGIN.password not in done.stderr + done.stdout


def test_prod_proves_itself_after_a_host_restart_without_the_checkout(
    remote: tuple[engine.Engine, Site, registry.Registry], tmp_path: Path
) -> None:
    host, site, _ = remote
    clone = site.cloned(tmp_path / "clone")
    for folder in ("sf", ".selfdeploy", "dist"):
        shutil.rmtree(site.folder / folder)
    before = site.inspect("prod")["Id"]

    host.restart()
    children.wait_until(lambda: bool(site.inspect("prod").get("State", {}).get("Running")), "prod", seconds=60)
    probed = clone.inv("probe", "-e", "prod")
    shutil.copytree(clone.folder / "sf", site.folder / "sf")

    assert probed.returncode == 0, probed.stderr
    assert site.inspect("prod")["Id"] == before


def test_a_lock_whose_connection_died_half_open_frees_itself_and_its_holder_stops(
    remote: tuple[engine.Engine, Site, registry.Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, site, _ = remote
    there = engines.connect("test", host.url)
    name, record = f"{site.name}-half-open", f"{site.name}-t-record"
    image = site.inspect("test")["Image"]
    holder = provenance.Holder(who="ci@builder")
    monkeypatch.setattr(lock, "PATIENCE", 6.0)
    monkeypatch.setattr(lock, "SURE", 3.0)

    with lock.hold(there, name, image, record, holder) as held:
        held.check()
        with pytest.raises(errors.LockHeld, match="ci@builder"), lock.hold(there, name, image, record, holder):
            pass
        host.unplug()
        time.sleep(4)
        with pytest.raises(errors.LockLost, match="has not answered"):
            held.check()
        time.sleep(5)
        host.plug()
        children.wait_until(lambda: lock.held_by(there, name) is None, "the end of the lock", seconds=30)
        with lock.hold(there, name, image, record, holder) as other:
            other.check()
            with pytest.raises(errors.LockLost):
                held.check()


def test_what_such_a_host_could_not_reach_is_refused_with_the_reason(
    remote: tuple[engine.Engine, Site, registry.Registry],
) -> None:
    _, site, _ = remote
    text = (site.folder / "deploy.toml").read_text()

    (site.folder / "deploy.toml").write_text(text.replace(site.repository, "127.0.0.1:5000/sf"))
    registry_refused = site.inv("release")
    (site.folder / "deploy.toml").write_text(text.replace(f'bind = "{site.address}"', 'bind = "127.0.0.1"'))
    bind_refused = site.inv("release")
    (site.folder / "deploy.toml").write_text(text)

    assert registry_refused.returncode == 10
    assert "cannot pull from there" in registry_refused.stderr
    assert bind_refused.returncode == 10
    assert "cannot be probed from here" in bind_refused.stderr


def test_a_wrong_password_is_refused_and_not_told(
    remote: tuple[engine.Engine, Site, registry.Registry], tmp_path: Path
) -> None:
    _, site, _ = remote
    wrong = Login(user="ci", password="wrong-horse")
    name = site.repository.partition("/")[0]
    (tmp_path / "config.json").write_text(f'{{"auths": {{"{name}": {{"auth": "{encoded(wrong)}"}}}}}}')
    site.commit("another")

    refused = site.inv("release", DOCKER_CONFIG=str(tmp_path))

    assert refused.returncode == 31
    assert "docker login" in refused.stderr
    assert "wrong-horse" not in refused.stderr
    assert encoded(wrong) not in refused.stderr


def test_a_registry_that_has_stopped_ends_each_stage_with_its_own_error(
    remote: tuple[engine.Engine, Site, registry.Registry],
) -> None:
    _, site, store = remote
    good = site.version("prod")["revision"]
    site.commit("two")
    assert site.inv("gates").returncode == 0

    store.stop()
    built = site.inv("build")
    store.start()
    assert site.inv("build").returncode == 0
    assert site.inv("manifest").returncode == 0
    store.stop()
    rolled = site.inv("rollout", "-e", "test")
    store.start()
    assert site.inv("rollout", "-e", "test").returncode == 0
    store.stop()
    promoted = site.inv("promote", "-e", "prod")
    between = site.version("prod")["revision"]
    store.start()
    finished = site.inv("release")

    assert [done.returncode for done in (built, rolled, promoted)] == [30, 30, 30], promoted.stderr
    assert store.name in promoted.stderr
    assert between == good
    assert finished.returncode == 0, finished.stderr
    assert site.version("prod")["revision"] == site.revision
