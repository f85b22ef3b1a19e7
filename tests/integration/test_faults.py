"""Faults around a release: full disks, a clock that is off, an engine that restarts, servers that answer nonsense."""

import datetime
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from chaos import checks
from lab import children, clock, disk, local_engine, relay
from lab.liar import NONSENSE, Liar, answer
from lab.needed import need
from lab.site import Site
from selfdeploy import engine as engines
from selfdeploy.probes import probe


def locks(site: Site) -> set[str]:
    """Return the locks of SITE's environments that somebody holds."""
    filters = ("--filter", f"name=^/{site.name}-[tp]-lock$", "--filter", "status=running")
    return {*site.docker("ps", "--format", "{{.Names}}", *filters).stdout.split()}


def test_a_full_disk_during_gates_is_named_and_leaves_no_partial_files(site: Site) -> None:
    prod = site.inspect("prod")["Id"]
    site.commit("more than fits")

    with disk.small(site.folder / ".selfdeploy", "300k"):
        refused = site.inv("release")
        planned = site.inv("plan")
    done = site.inv("release")

    assert refused.returncode in (11, 17, 42), refused.stderr
    assert "No space left on device" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "gates      to do" in planned.stdout
    assert done.returncode == 0, done.stderr
    assert site.inspect("prod")["Id"] != prod


def test_a_record_that_finds_no_room_is_what_it_was_and_the_next_release_writes_it(
    new_site: Callable[..., Site], tmp_path: Path
) -> None:
    made = new_site()
    place = tmp_path / "place"
    place.mkdir()
    with disk.small(place, "64k"):
        options = ("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={place}")
        made.docker("volume", "create", *options, f"{made.name}-t-record")
        assert made.inv("release", "--to", "test").returncode == 0
        before = (place / "record.json").read_bytes()
        made.commit("another")
        filler = disk.fill(place)
        refused = made.inv("release", "--to", "test")
        after = (place / "record.json").read_bytes()
        filler.unlink()
        done = made.inv("release", "--to", "test")
        made.docker("rm", "--force", "--volumes", made.container("test"))

    assert refused.returncode == 14, refused.stderr
    assert "the record was not written" in refused.stderr
    assert after == before
    assert json.loads(before)["proven"]
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_named_and_leaves_the_earlier_manifest_in_dist_whole(site: Site) -> None:
    file, before = site.folder / "dist" / "sf-release-manifest.json", site.ids()
    released = file.read_bytes()

    with disk.small(file.parent, "64k"):
        file.write_bytes(b"of an earlier release")
        disk.fill(file.parent)
        refused = site.inv("release")
        left = {path.name: path.read_bytes() for path in file.parent.iterdir() if path.name != "filler"}
    file.unlink()
    done = site.inv("manifest")

    assert refused.returncode == 42, refused.stderr
    assert f"{file}: No space left on device" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert left == {file.name: b"of an earlier release"}
    assert site.ids() == before
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == released


@pytest.mark.parametrize("damaged", [b"", b'{"attempts": [], "prov'])
def test_a_record_that_is_damaged_is_told_and_never_taken_for_none(site: Site, damaged: bytes) -> None:
    volume = json.loads(site.docker("volume", "inspect", f"{site.name}-p-record").stdout)[0]["Mountpoint"]
    file, before = Path(volume, "record.json"), site.ids()
    whole = file.read_bytes()
    file.write_bytes(damaged)
    status = site.inv("status", "-e", "prod")
    refused = [site.inv(*argv) for argv in (("release",), ("rollback", "-e", "prod"), ("history", "-e", "prod"))]
    left = file.read_bytes()
    file.write_bytes(whole)

    assert status.stdout.startswith("prod ")
    assert "prod: record: " in status.stdout
    assert [done.returncode for done in refused] == [35, 35, 35], refused
    assert all("selfdeploy help operations: a record that is damaged" in done.stderr for done in refused)
    assert left == damaged
    assert site.ids() == before


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_an_hour_off_changes_nothing_but_what_is_written_down(
    site: Site, tmp_path: Path, seconds: int
) -> None:
    revision = site.commit("at another time")

    released = site.inv("release", **clock.shifted(tmp_path, seconds))
    told = json.loads(site.inv("history", "-e", "prod", "--json").stdout.splitlines()[-1])
    began = datetime.datetime.fromisoformat(told["items"][0]["began"])
    before = site.ids()
    again = site.inv("release")

    assert released.returncode == 0, released.stderr
    assert abs((began - datetime.datetime.now(datetime.UTC)).total_seconds() - seconds) < 1800
    assert again.returncode == 0, again.stderr
    assert site.ids() == before
    assert site.version("prod")["revision"] == revision


def test_an_engine_restart_ends_the_release_and_the_next_one_succeeds(
    new_site: Callable[..., Site],
) -> None:
    need(local_engine.MISSING)
    with local_engine.LocalEngine() as engine:
        site = new_site(engine=engine.url)
        site.configure(probes="deadline = 60\nconsecutive = 2")
        first = site.inv("release", "--to", "test")
        assert first.returncode == 0, first.stderr
        revision = site.be_slow(5)
        started = site.start("release", "--to", "test")
        started.says("test ...")
        children.wait_until(lambda: site.inspect("test").get("Config", {}).get("Image", "") != "", "test", seconds=60)
        time.sleep(2)
        engine.kill()
        code = started.process.wait(180)
        engine.start()
        status = site.inv("status")
        done = site.inv("release", "--to", "test")
        answered = site.version("test")["revision"]
        site.close()

    assert code in (14, 15, 40, 44, 50, 51, 52), started.progress
    assert "Traceback" not in started.progress
    assert status.returncode == 0, status.stderr
    assert done.returncode == 0, done.stderr
    assert answered == revision


@pytest.mark.parametrize("how", list(NONSENSE))
def test_a_probe_of_nonsense_ends_in_time_and_never_finds_the_release(how: str) -> None:
    def told(*_: object) -> bytes | Iterable[bytes]:
        return NONSENSE[how](there)

    with Liar(told) as there:
        began = time.monotonic()
        seen = probe.get(f"http://{there.name}/api/version", timeout=1.0)
        took = time.monotonic() - began

    assert took < 4, took
    assert seen.status != 200 or seen.body == "<html>welcome</html>"
    assert len(seen.body) <= probe.LIMIT


@pytest.mark.parametrize("how", list(NONSENSE))
def test_a_server_that_answers_nonsense_to_who_asks_inside_is_given_up_in_time_too(how: str) -> None:
    def told(*_: object) -> bytes | Iterable[bytes]:
        return NONSENSE[how](there)

    with Liar(told) as there:
        question = json.dumps([there.port, 1000, {"version": "/api/version"}, True, [], True, []])
        # The machine's own Node, where in a release it is that of the image.
        asked = subprocess.run(["node", "-e", probe.SCRIPT, question], capture_output=True, timeout=10, check=True)
    seen = probe.read_answers(asked.stdout)

    assert set(seen) == {"version", "rpc"}
    for answered in seen.values():
        assert answered.status != 200 or answered.body == "<html>welcome</html>"
        assert len(answered.body) <= probe.LIMIT


def test_the_lock_of_test_is_held_whenever_prod_is_asked(site: Site) -> None:
    port, held = site.ports[1], list[set[str]]()

    def pass_on(what: str, _: object) -> bytes:
        held.append(locks(site))
        good = probe.get(f"http://127.0.0.1:{port}{what.partition(' ')[2]}", timeout=5)
        return answer(good.body.encode(), status=good.status)

    with Liar(pass_on) as there:
        site.configure(probes="deadline = 30\nconsecutive = 3", prod=f'url = "http://{there.name}"')
        done = site.inv("release")
    site.configure()

    assert done.returncode == 0, done.stderr
    assert len(held) >= 3 * 3  # so many rounds, of so many questions each
    assert [one for one in held if one != {f"{site.name}-t-lock", f"{site.name}-p-lock"}] == []


def test_a_way_in_that_flaps_is_not_proven_and_is_once_it_settles(site: Site) -> None:
    port = site.ports[1]
    asked = 0

    def flap(what: str, _: object) -> bytes:
        nonlocal asked
        asked += 1
        path = what.partition(" ")[2]
        good = probe.get(f"http://127.0.0.1:{port}{path}", timeout=5)
        return answer(good.body.encode(), status=503 if asked % 5 == 0 else good.status)

    with Liar(flap) as there:
        site.configure(probes="deadline = 6\nconsecutive = 3", prod=f'url = "http://{there.name}"')
        flapping = site.inv("probe", "-e", "prod")
    site.configure()
    settled = site.inv("probe", "-e", "prod")

    assert flapping.returncode == 50, flapping.stderr
    assert settled.returncode == 0, settled.stderr


IMPATIENT = """
from selfdeploy import engine
from selfdeploy.environments.compose import lock

lock.PATIENCE, lock.SURE = 9.0, 3.0
run = engine.Engine.run

def ask(self, *argv, timeout=60, **more):
    return run(self, *argv, timeout=min(timeout, 5) if argv[0] in ("container", "exec", "image") else timeout, **more)

engine.Engine.run = ask
"""
"""An engine that does not answer is given up after seconds, and not after half a minute."""


def test_a_hung_engine_connection_ends_the_release_and_the_next_succeeds(site: Site) -> None:
    before, path, more = site.inspect("test")["Id"], site.folder / "docker.sock", 'variables = {MORE = "1"}'
    here = engines.connect("test", "").host.removeprefix("unix://")
    passing_on = children.spawn([sys.executable, relay.__file__, str(path), here], site.folder / "relay.log")
    children.wait_until(path.exists, "the relay")
    site.configure(probes="deadline = 60\nconsecutive = 60", test=more)

    with site.running_first(IMPATIENT):
        release = site.start("release", "--to", "test", DOCKER_HOST=f"unix://{path}")
        new = lambda: site.inspect("test").get("Id", before) != before and bool(checks.answers(site, "test"))  # noqa: E731
        children.wait_until(new, "the rollout", seconds=120)
        passing_on.send_signal(signal.SIGSTOP)
        code = release.process.wait(180)  # or else it would wait for ever
    # Nobody has told the engine that the connections are dead.
    children.wait_until(lambda: not locks(site), "the end of the lock", seconds=30)
    children.end(passing_on, signal.SIGKILL)
    site.configure(probes="deadline = 60", test=more)
    done = site.inv("release", "--to", "test")

    assert code == 44, release.progress
    assert "Traceback" not in release.progress
    assert done.returncode == 0, done.stderr
    assert [one["ending"] for one in site.attempts("test")[:2]] == ["proven", "cut off"]
