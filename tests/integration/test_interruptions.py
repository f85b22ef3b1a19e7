"""A release that is interrupted, killed or met by another one leaves nothing behind, and the next one finishes it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import children
from lab.site import Site
from selfdeploy.engine import Engine, volumes

SLOW_GATE = '[gates.override.slow]\ncommand = ["sleep", "60"]\n'
PATIENT = "deadline = 60"


@pytest.fixture
def quiet(site: Site) -> Iterator[Site]:
    """The site; afterwards it runs what prod has taken, and nothing of what the test began is left."""
    site.configure(probes=PATIENT)
    yield site
    children.wait_until(lambda: not site.processes(), "the end of all processes", seconds=15)
    site.configure()
    site.git("checkout", "--quiet", "--force", "-B", "main", site.version("prod")["revision"])
    done = site.inv("release", "--older")
    assert done.returncode == 0, done.stderr


def holder(site: Site, environment: str) -> str:
    return site.docker("ps", "--quiet", "--filter", f"name={site.name}-{environment[0]}-lock").stdout.strip()


def applied(site: Site, environment: str, revision: str) -> bool:
    labels = site.inspect(environment).get("Config", {}).get("Labels", {})
    return bool(labels.get("org.opencontainers.image.revision") == revision)


def on_hold(site: Site, environment: str, revision: str) -> bool:
    """Say whether REVISION was tried last, and is on hold, as the record says that the lock's container sees."""
    lock = f"{site.name}-{environment[0]}-lock"
    told = site.docker("exec", lock, "cat", "/record/record.json").stdout
    record = json.loads(told) if told else {"attempts": []}
    return any(one["revision"] == revision and one["digest"] in record["holds"] for one in record["attempts"][:1])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["gates", "image", "test"])
def test_an_interrupted_release_ends_at_once_and_leaves_no_process(
    quiet: Site, stage: str, how: signal.Signals
) -> None:
    prod = quiet.inspect("prod")["Id"]
    if stage == "gates":
        quiet.configure(top=SLOW_GATE, probes=PATIENT)
    quiet.be_slow(8)

    release = quiet.start("release")
    release.says(f"{stage} ...")
    code = release.end(how)

    assert code == 130, release.progress
    assert "interrupted" in release.progress
    assert "Traceback" not in release.progress
    children.wait_until(lambda: not quiet.processes(), "the end of all processes", seconds=10)
    assert holder(quiet, "test") == ""
    assert quiet.inspect("prod")["Id"] == prod


def test_gates_die_with_a_release_that_is_killed(quiet: Site) -> None:
    quiet.configure(top=SLOW_GATE, probes=PATIENT)
    quiet.commit("anything")

    release = quiet.start("release")
    children.wait_until(lambda: any(" 60" in line and "sleep" in line for line in quiet.processes()), "the slow gate")
    release.end(signal.SIGKILL)

    children.wait_until(lambda: not quiet.processes(), "the end of the gates", seconds=5)


def test_the_next_release_from_a_fresh_clone_undoes_a_killed_bad_release(quiet: Site, tmp_path: Path) -> None:
    good, prod = quiet.version("test")["revision"], quiet.inspect("prod")["Id"]
    bad = quiet.answer_as_another_revision()

    release = quiet.start("release")
    children.wait_until(lambda: applied(quiet, "test", bad), "the bad release", seconds=60)
    release.end(signal.SIGKILL)
    between = quiet.inv("status")
    clone = quiet.cloned(tmp_path / "clone")
    undone = clone.inv("release")
    held = clone.inv("release")

    assert f"cut off  {bad}" in between.stdout
    assert undone.returncode == 51, undone.stderr
    assert held.returncode == 45, held.stderr
    assert quiet.version("test")["revision"] == good
    assert quiet.inspect("prod")["Id"] == prod
    assert "cut off" in clone.inv("history", "-e", "test").stdout


def test_a_refused_release_still_finishes_a_put_back_that_was_killed(
    quiet: Site,
) -> None:
    good, prod = quiet.version("test")["revision"], quiet.inspect("prod")["Id"]
    bad = quiet.answer_as_another_revision()
    quiet.configure(probes="deadline = 120\nconsecutive = 60")  # a put back takes long enough to be killed in it

    release = quiet.start("release")
    children.wait_until(lambda: on_hold(quiet, "test", bad), "the hold", seconds=240)
    release.end(signal.SIGKILL)
    quiet.configure(probes=PATIENT)
    children.wait_until(lambda: not holder(quiet, "test"), "the end of its lock", seconds=60)
    between = quiet.inv("status").stdout
    refused = quiet.inv("release")
    undoing, killed = quiet.attempts("test")[:2]

    assert f"cut off  {bad}" in between
    assert refused.returncode == 45, refused.stderr
    assert quiet.version("test")["revision"] == good
    assert (undoing["ending"], undoing["revision"]) == ("put back, proven", good)
    assert (killed["ending"], killed["revision"]) == ("cut off", bad)
    assert quiet.inv("probe", "-e", "test", "--revision", good).returncode == 0
    assert quiet.inspect("prod")["Id"] == prod


def test_a_good_release_whose_process_was_killed_is_finished_by_the_next(quiet: Site, tmp_path: Path) -> None:
    revision, temporary = quiet.be_slow(3), tmp_path / "temporary"
    temporary.mkdir()

    release = quiet.start("release", TMPDIR=str(temporary))
    children.wait_until(lambda: applied(quiet, "test", revision), "the release", seconds=60)
    release.end(signal.SIGKILL)
    clone = quiet.cloned(tmp_path / "clone")
    finished = clone.inv("release", TMPDIR=str(temporary))
    proven, killed = quiet.attempts("test")[:2]

    assert finished.returncode == 0, finished.stderr
    assert (proven["ending"], killed["ending"]) == ("proven", "cut off")
    assert killed["revision"] == revision
    assert quiet.version("prod")["revision"] == revision
    assert not (clone.folder / ".selfdeploy" / "trees").exists()
    assert [*temporary.iterdir()] == []


def test_a_release_that_fails_in_test_still_puts_back_a_killed_one_in_prod(
    quiet: Site,
) -> None:
    before, killed = quiet.version("prod")["revision"], quiet.be_slow(3)

    release = quiet.start("release")
    children.wait_until(lambda: applied(quiet, "prod", killed), "the release", seconds=90)
    release.end(signal.SIGKILL)
    bad = quiet.answer_as_another_revision()
    failed = quiet.inv("release")

    assert failed.returncode == 51, failed.stderr
    assert f"prod: the attempt at {killed[:12]}, begun " in failed.stderr
    assert f"prod runs {before} again, proven" in failed.stderr
    assert quiet.version("prod")["revision"] == before
    assert [one["ending"] for one in quiet.attempts("prod")[:2]] == ["put back, proven", "cut off"]
    assert quiet.attempts("test")[0]["revision"] == bad


def unnamed(site: Site, container: str) -> list[str]:
    """Return the volumes that the engine has made for CONTAINER alone."""
    told = json.loads(site.docker("container", "inspect", container).stdout)[0]["Mounts"]
    return [mount["Name"] for mount in told if len(mount.get("Name", "")) == 64]


def test_what_a_compose_that_was_killed_half_way_made_is_not_in_the_way(quiet: Site) -> None:
    runs = quiet.inspect("prod")
    labels = [f"--label={name}={value}" for name, value in runs["Config"]["Labels"].items()]
    # Compose makes the new container under the old one's id and name, and renames it once the old one is gone.
    half = f"{runs['Id'][:12]}_{quiet.container('prod')}"
    made = quiet.docker("container", "create", f"--name={half}", *labels, runs["Image"])
    assert made.returncode == 0, made.stderr
    (volume,) = unnamed(quiet, half)
    quiet.docker("container", "stop", runs["Id"])

    done = quiet.inv("release")

    assert done.returncode == 0, done.stderr
    assert quiet.docker("container", "inspect", half).returncode != 0
    assert quiet.docker("volume", "inspect", volume).returncode != 0
    assert quiet.inv("probe", "-e", "prod").returncode == 0


class Unstarting(Engine):
    """An engine of which the docker command is killed between the making and the start of a container."""

    def argv(self, *argv: str) -> list[str]:
        return super().argv("create" if argv[0] == "run" else argv[0], *argv[1:])


def test_a_release_removes_the_remains_of_a_killed_volume_reader_and_writer(quiet: Site) -> None:
    runs, project, volume = quiet.inspect("prod"), f"{quiet.name}-p", f"{quiet.name}-p-record"
    made = volumes.write(Unstarting(name="prod"), runs["Image"], project, volume, "x", b"x").decode().strip()
    read = volumes.read(Unstarting(name="prod"), runs["Image"], project, volume, "record.json").text.strip()
    listed = [quiet.docker("container", "inspect", name).returncode for name in (made, read)]
    theirs = [*unnamed(quiet, made), *unnamed(quiet, read)]
    quiet.docker("container", "stop", runs["Id"])

    done = quiet.inv("release")

    assert listed == [0, 0], (made, read)
    assert done.returncode == 0, done.stderr
    assert [quiet.docker("container", "inspect", name).returncode for name in (made, read)] == [1, 1]
    assert [quiet.docker("volume", "inspect", name).returncode for name in theirs] == [1, 1]


def test_of_two_releases_at_once_one_is_refused_and_told_who_holds_the_environment(quiet: Site) -> None:
    revision = quiet.be_slow(6)

    first = quiet.start("release")
    children.wait_until(lambda: holder(quiet, "test") != "", "the lock", seconds=60)
    second = quiet.inv("release")
    status = quiet.inv("status")
    code = first.process.wait(120)

    assert second.returncode == 43
    assert "held by" in second.stderr
    assert "since" in second.stderr
    assert "locked   by" in status.stdout
    assert code == 0, first.progress
    assert quiet.version("prod")["revision"] == revision


def test_a_lock_that_is_taken_away_stops_its_holder_before_the_next_change(quiet: Site) -> None:
    quiet.be_slow(5)
    prod = quiet.inspect("prod")["Id"]

    release = quiet.start("release")
    children.wait_until(lambda: applied(quiet, "test", quiet.revision), "the release", seconds=60)
    quiet.docker("rm", "--force", "--volumes", f"{quiet.name}-t-lock")
    code = release.process.wait(120)

    assert code == 44, release.progress
    assert quiet.inspect("prod")["Id"] == prod
