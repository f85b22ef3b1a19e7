"""A rollout that ends all pods before it makes new ones, which is how it goes where nothing else is said."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from lab import children
from lab.cluster.site import Site

SETTINGS = 'strategy = "recreate"\n'
STOP = "stop"
"""The file in the server's home that has it end at once."""


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site whose first revision, one that can be stopped for good, runs in test."""
    made = new_site()
    made.configure(test=SETTINGS)
    made.end_when_there_is(STOP)
    done = made.inv("release", "--to", "test")
    assert done.returncode == 0, done.stderr
    return made


def waits(site: Site) -> list[str]:
    """Return what the containers of test wait for."""
    told = [one for pod in site.pods("test").values() for one in pod["status"].get("containerStatuses", ())]
    return [one["state"]["waiting"]["reason"] for one in told if "waiting" in one["state"]]


@contextlib.contextmanager
def no_end(site: Site) -> Iterator[None]:
    """Have the cluster refuse to delete a pod of test, until the block ends."""
    name = f"{site.namespace('test')}-no-end"
    kept = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["DELETE"],
        "resources": ["pods"],
    }
    place = {"matchLabels": {"kubernetes.io/metadata.name": site.namespace("test")}}
    policy = {"matchConstraints": {"resourceRules": [kept]}, "validations": [{"expression": "false"}]}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": place}}
    version, kind = "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"
    site.cluster.apply(
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": policy},
        {"apiVersion": version, "kind": f"{kind}Binding", "metadata": {"name": name}, "spec": binding},
    )
    try:
        children.wait_until(lambda: not may_end(site), "no pod may end")
        yield
    finally:
        site.cluster.kubectl("delete", f"{kind}Binding/{name}", f"{kind}/{name}")


def may_end(site: Site) -> bool:
    """Say whether the cluster would delete the pods of test."""
    try:
        site.kubectl("test", "delete", "pods", "--all", "--dry-run=server")
    except children.LabError as exc:
        return "denied" not in str(exc)
    return True


def is_told_to_end(site: Site) -> bool:
    """Say whether the Deployment of test has been seen as it is, and its old pods were to go, and could not."""
    deployment = site.get("test", "deployment", "sf")
    seen = deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
    return seen and bool(site.get("test", "events", "--field-selector=reason=FailedDelete")["items"])


def test_what_mends_a_crash_loop_is_not_taken_for_it_and_the_way_back_is_the_same(site: Site) -> None:
    first, looping = site.revision, {*site.pods("test")}
    site.kubectl("test", "exec", "deployment/sf", "--", "sh", "-c", f"touch ~/{STOP}; kill 1")
    children.wait_until(lambda: waits(site) == ["CrashLoopBackOff"], "it ends again and again", seconds=60)

    mended = site.begin_server("", "goes on")
    with no_end(site):  # between what its controller has seen and what it has done about it lies a moment only
        started = site.start("release", "--to", "test")
        children.wait_until(lambda: is_told_to_end(site), "the old pod is to go", seconds=90)
        children.wait_until(lambda: waits(site) == ["CrashLoopBackOff"], "it goes on as before", seconds=60)
        between = {*site.pods("test")}
    code = started.process.wait(120)
    assert code == 0, started.progress
    answered, told = site.version("test")["revision"], site.record("test")
    site.kubectl("test", "exec", "deployment/sf", "--", "sh", "-c", f"rm ~/{STOP}")
    back = site.inv("rollback", "-e", "test")

    assert between == looping
    assert (answered, told["attempts"][0]["ending"], told["holds"]) == (mended, "proven", {})
    assert back.returncode == 0, back.stderr
    assert site.version("test")["revision"] == first
    assert not {*site.pods("test")} & looping
