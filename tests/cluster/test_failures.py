"""What keeps a rollout from getting done: it ends within seconds, says why, and what ran before runs again."""

from collections.abc import Callable, Iterator

import pytest

from lab import disk
from lab.cluster.site import Site
from lab.site import IN_A_CONTAINER, Done

SECONDS = 40
"""Far less than the deadline of 300 seconds, on a machine that has other things to do."""


@pytest.fixture(scope="module")
def settled(new_site: Callable[..., Site]) -> Site:
    """A site whose first revision runs in test, in two replicas."""
    made = new_site()
    made.configure(test=SETTINGS)
    done = made.inv("release", "--to", "test")
    assert done.returncode == 0, done.stderr
    return made


SETTINGS = "replicas = 2\n"


@pytest.fixture
def site(settled: Site) -> Iterator[Site]:
    """The same site, put back to how it was."""
    yield settled
    settled.configure(test=SETTINGS)
    (settled.folder / "templates" / "kubernetes" / "deployment.yml.j2").unlink(missing_ok=True)


def fail(site: Site) -> Done:
    """Release what is there, which has to fail, be put back, and leave who answered before; return how that went."""
    before, pods = site.record("test")["proven"][0]["revision"], {*site.pods("test")}
    done = site.inv("release", "--to", "test")

    assert done.returncode == 51, done.stderr
    assert site.attempt("test")["ending"] == "put back, proven"
    assert site.seconds("test") < SECONDS
    assert site.version("test")["revision"] == before
    assert {*site.pods("test")} == pods
    return done


def test_a_server_that_ends_at_once(site: Site) -> None:
    site.begin_server(f"{IN_A_CONTAINER} {{ console.log('no way'); process.exit(7); }}", "ends at once")

    done = fail(site)

    assert "CrashLoopBackOff: exit code 7 (Error)" in done.stderr
    assert "server: no way" in done.stderr
    assert [reason for reason in site.record("test")["holds"].values() if "CrashLoopBackOff" in reason]
    site.git("revert", "--no-edit", "HEAD")


def test_an_image_that_cannot_be_pulled(site: Site) -> None:
    site.template("image: {{ image | tojson }}", 'image: {{ image | replace("/sf@", "/none@") | tojson }}')

    done = fail(site)

    assert "ErrImagePull" in done.stderr or "ImagePullBackOff" in done.stderr
    assert "/none@sha256:" in done.stderr


def test_a_secret_that_is_not_there(site: Site) -> None:
    site.configure(test=SETTINGS + 'secrets = {SF_AUTH_TOKEN = {name = "nowhere", key = "token"}}')

    done = fail(site)

    assert 'CreateContainerConfigError: secret "nowhere" not found' in done.stderr
    assert site.record("test")["proven"][0]["digest"] not in site.record("test")["holds"]


def test_a_container_that_its_node_cannot_make(site: Site) -> None:
    kept = "allowPrivilegeEscalation: false"
    site.template(kept, f"{kept}\n            seccompProfile: {{type: Localhost, localhostProfile: nowhere.json}}")

    done = fail(site)

    assert "CreateContainerError: " in done.stderr
    assert "nowhere.json: no such file" in done.stderr


def test_a_pod_that_fits_on_no_node(site: Site) -> None:
    site.configure(test=SETTINGS)
    path = site.folder / "deploy.toml"
    path.write_text(
        path.read_text()
        .replace('cpu = "10m"', 'cpu = "900"')
        .replace("}}\ndeadline", '}, limits = {cpu = "900"}}\ndeadline')
    )

    done = fail(site)

    assert "Unschedulable: 0/1 nodes are available" in done.stderr


def test_a_full_disk_does_not_hide_why_a_volume_cannot_be_mounted(site: Site) -> None:
    site.template("configMap: {name: {{ manifest_name | tojson }}}", 'configMap: {name: "nowhere"}')

    with disk.small(site.folder / ".selfdeploy", "64k"):
        disk.fill(site.folder / ".selfdeploy")
        done = fail(site)

    assert f"evidence: not kept: {site.folder}/.selfdeploy/evidence/test-" in done.stderr
    assert "No space left on device" in done.stderr
    assert 'FailedMount: MountVolume.SetUp failed for volume "manifest"' in done.stderr
    assert 'configmap "nowhere" not found' in done.stderr


def test_a_quota_that_is_used_up(site: Site) -> None:
    site.kubectl("test", "create", "quota", "few", "--hard=pods=2")
    site.configure(test=SETTINGS + 'variables = {MORE = "1"}')

    done = fail(site)

    assert "FailedCreate: pods" in done.stderr
    assert "exceeded quota: few" in done.stderr
    site.kubectl("test", "delete", "quota", "few")


def test_pods_that_admission_refuses(site: Site) -> None:
    site.template("runAsNonRoot: true", "runAsNonRoot: false")

    done = fail(site)

    assert "FailedCreate: pods" in done.stderr
    assert 'violates PodSecurity "restricted:latest"' in done.stderr


def test_a_server_that_is_never_ready(site: Site) -> None:
    site.never_be_ready()
    site.configure(test=SETTINGS, probes="deadline = 20")
    path = site.folder / "deploy.toml"
    path.write_text(path.read_text().replace("deadline = 90", "deadline = 12\ngrace = 5"))

    done = fail(site)

    assert "not done after 12 s: " in done.stderr
    assert "event: Unhealthy: " in done.stderr
    site.git("revert", "--no-edit", "HEAD")
