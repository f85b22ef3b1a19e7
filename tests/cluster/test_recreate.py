"""A rollout that ends all pods before it makes new ones, which is how it goes where nothing else is said."""

from collections.abc import Callable

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


def test_what_mends_a_crash_loop_is_not_taken_for_it_and_the_way_back_is_the_same(site: Site) -> None:
    first, looping = site.revision, {*site.pods("test")}
    site.kubectl("test", "exec", "deployment/sf", "--", "sh", "-c", f"touch ~/{STOP}; kill 1")
    children.wait_until(lambda: waits(site) == ["CrashLoopBackOff"], "it ends again and again", seconds=60)

    mended = site.begin_server("", "goes on")
    done = site.inv("release", "--to", "test")
    answered, ending, holds = (
        site.version("test")["revision"],
        site.attempt("test")["ending"],
        site.record("test")["holds"],
    )
    site.kubectl("test", "exec", "deployment/sf", "--", "sh", "-c", f"rm ~/{STOP}")
    back = site.inv("rollback", "-e", "test")

    assert done.returncode == 0, done.stderr
    assert (answered, ending, holds) == (mended, "proven", {})
    assert back.returncode == 0, back.stderr
    assert site.version("test")["revision"] == first
    assert not {*site.pods("test")} & looping
