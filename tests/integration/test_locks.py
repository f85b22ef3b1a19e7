"""One at a time, whoever asks and however many: who is refused is told why, and who waits has a turn."""

import dataclasses
import itertools
import signal
from collections.abc import Callable, Iterator

import pytest

from lab import children
from lab.site import Site, Started

RUN = {"FORGEJO_RUN_ID": "7", "FORGEJO_SERVER_URL": "https://forgejo.localhost", "FORGEJO_REPOSITORY": "sf/sf"}
URL = "https://forgejo.localhost/sf/sf/actions/runs/7"


@pytest.fixture(scope="module")
def slow(new_site: Callable[..., Site]) -> Site:
    """A site whose test runs one release, and that has another on record whose server takes some seconds to start."""
    made = new_site()
    made.configure(probes="deadline = 120\nconsecutive = 2")
    first = made.inv("release", "--to", "test")
    assert first.returncode == 0, first.stderr
    made.be_slow(10)
    for stage in ("gates", "build", "manifest"):
        done = made.inv(stage)
        assert done.returncode == 0, done.stderr
    return dataclasses.replace(made, environment=RUN)  # from here on it is a CI run that holds


@pytest.fixture
def holding(slow: Site) -> Iterator[Started]:
    """A rollout of the site that holds test."""
    started = slow.start("rollout", "-e", "test")
    children.wait_until(lambda: is_held(slow), "the lock", seconds=90)
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGINT)


def is_held(site: Site) -> bool:
    return bool(site.docker("ps", "--quiet", "--filter", f"name={site.name}-t-lock").stdout.strip())


def test_of_twenty_rollouts_one_runs_waiters_follow_and_others_are_refused(slow: Site, holding: Started) -> None:
    others = [slow.start("rollout", "-e", "test", *(["--wait", "400"] if number < 3 else [])) for number in range(19)]
    codes = [started.process.wait(500) for started in others]

    assert holding.process.wait(120) == 0, holding.progress
    assert codes[:3] == [0, 0, 0], [started.progress for started in others[:3]]
    assert {*codes[3:]} <= {0, 43}, [started.progress for started in others]
    assert codes.count(43) > 8
    for started in others:
        assert "Traceback" not in started.progress
    for started in others[3:]:
        assert started.process.returncode == 0 or f"({URL})" in started.progress
    refused = others[codes.index(43)].progress
    assert "test: held by" in refused
    assert " since 20" in refused
    assert "--wait" in refused
    assert "waiting for up to" in others[0].progress
    assert slow.version("test")["revision"] == slow.revision
    attempts = slow.attempts("test")
    # Who came after the one that ran found the release proven, and had nothing to try.
    assert [one["revision"] for one in attempts].count(slow.revision) == 1
    assert all("" < before["ended"] <= after["began"] for after, before in itertools.pairwise(attempts)), attempts
    assert not is_held(slow)


def test_who_waits_too_short_is_told_so(slow: Site) -> None:
    lock = f"{slow.name}-t-lock"
    image = slow.version("test")["image"]
    slow.docker("run", "--detach", "--rm", "--name", lock, "--entrypoint", "sleep", image, "120")

    refused = slow.inv("rollout", "-e", "test", "--wait", "1")
    slow.docker("rm", "--force", "--volumes", lock)

    assert refused.returncode == 43, refused.stderr
    assert "and was for 1 s" in refused.stderr


def test_the_lock_of_somebody_who_is_gone_is_taken_over_and_that_is_said(slow: Site) -> None:
    image = slow.version("test")["image"]
    label = "dev.selfdeploy.who=ci@builder"
    dead = ("run", "--name", f"{slow.name}-t-lock", "--label", label, "--entrypoint", "true", image)
    assert slow.docker(*dead).returncode == 0

    done = slow.inv("rollout", "-e", "test")

    assert done.returncode == 0, done.stderr
    assert "test: took over the lock of ci@builder since 20" in done.stderr


def test_a_wait_that_is_no_time_is_refused(slow: Site) -> None:
    refused = slow.inv("rollout", "-e", "test", "--wait", "soon")

    assert refused.returncode == 10
    assert "--wait: expected seconds, actual 'soon'" in refused.stderr
