"""What fails once it is applied: why is kept, what was proven comes back, and the faults of others hold nothing."""

import hashlib
import socket
import subprocess
from collections.abc import Callable

from lab.site import IMPATIENT, Site
from selfdeploy.engine import volumes


def test_a_server_that_never_gets_ready_is_put_back_and_its_log_kept(clean: Site) -> None:
    good = clean.revision
    clean.configure(probes=IMPATIENT)
    clean.never_be_ready()

    failed = clean.inv("release")
    evidence = next(line for line in failed.stderr.splitlines() if line.startswith("evidence: "))

    assert failed.returncode == 51
    assert "/api/ready: expected HTTP 200, actual HTTP 503" in failed.stderr
    assert (clean.folder / evidence.removeprefix("evidence: ")).read_text()
    assert clean.version("test")["revision"] == good


def test_a_hold_is_of_one_digest_and_a_newer_one_is_released(clean: Site) -> None:
    clean.configure(probes=IMPATIENT)
    clean.never_be_ready()
    failed = clean.inv("release")
    held = clean.inv("release")
    clean.configure()
    clean.git("revert", "--no-edit", "HEAD")

    newer = clean.inv("release")

    assert (failed.returncode, held.returncode) == (51, 45), held.stderr
    assert newer.returncode == 0, newer.stderr
    assert [clean.version(name)["revision"] for name in ("test", "prod")] == [clean.revision] * 2
    assert "on hold" in clean.inv("status").stdout


def test_a_first_release_that_fails_leaves_the_environment_down(new_site: Callable[..., Site]) -> None:
    site = new_site()
    site.configure(probes=IMPATIENT)
    site.never_be_ready()

    failed = site.inv("release")

    assert failed.returncode == 53
    assert "test is down" in failed.stderr
    assert site.inspect("test") == {}
    assert site.inspect("prod") == {}


def test_a_way_in_that_is_broken_takes_nothing_down_and_holds_nothing(clean: Site) -> None:
    image = clean.version("prod")["image"]
    clean.configure(probes=IMPATIENT, prod='url = "http://127.0.0.1:9"')

    failed = clean.inv("release")
    history = clean.inv("history", "-e", "prod").stdout.splitlines()[0]
    clean.configure()
    mended = clean.inv("release")

    assert failed.returncode == 50, failed.stderr
    assert "http://127.0.0.1:9" in failed.stderr
    assert "  failed  " in history
    assert clean.version("prod")["image"] == image
    assert mended.returncode == 0, mended.stderr


def test_a_server_that_hangs_is_made_anew_by_the_next_release(clean: Site) -> None:
    clean.docker("pause", clean.container("test"))
    before = clean.inspect("test")["Id"]

    done = clean.inv("release")

    assert done.returncode == 0, done.stderr
    assert clean.inspect("test")["Id"] != before


def test_settings_that_fail_are_put_back_with_the_address_they_had(clean: Site) -> None:
    before = clean.version("test")["image"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = (clean.folder / "deploy.toml").read_text()
        (clean.folder / "deploy.toml").write_text(text.replace(f"port = {clean.ports[0]}", f"port = {port}"))
        early = clean.inv("rollout", "-e", "test")
        taken.listen()
        refused = clean.inv("rollout", "-e", "test")
    clean.configure()

    assert refused.returncode == 41, refused.stderr
    assert early.returncode in (0, 41, 51), early.stderr
    assert clean.inv("release").returncode == 0
    assert clean.version("test")["image"] == before


def test_a_record_that_is_cut_short_on_its_way_is_not_written(clean: Site) -> None:
    before = clean.inv("history", "-e", "test").stdout
    volume = f"{clean.name}-t-record:/record"
    data = b'{"attempts": []}'
    argv = ["run", "--rm", "--interactive", "--user", "0:0", "--volume", volume, "--entrypoint", "node"]
    command = [clean.version("test")["image"], "-e", volumes.WRITE, "/record/record.json"]
    told = [str(len(data)), hashlib.sha256(data).hexdigest()]
    large = data + b" " * 50_000
    larger = [str(len(large)), hashlib.sha256(large).hexdigest()]

    cut = subprocess.run(["docker", *argv, *command, *told], input=data[:-4], capture_output=True, check=False)
    empty = subprocess.run(["docker", *argv, *command, *told], input=b"", capture_output=True, check=False)
    # The disk takes the first part of it: a write that is no failure yet.
    full = ["docker", *argv, "--ulimit", "fsize=20000", *command, *larger]
    half = subprocess.run(full, input=large, capture_output=True, check=False)

    assert (cut.returncode, empty.returncode) == (3, 3)
    assert half.returncode not in (0, 3), half.stdout
    assert b"EFBIG" in half.stderr
    assert clean.inv("history", "-e", "test").stdout == before


def test_a_rollback_that_fails_is_put_back_too(clean: Site) -> None:
    good = (clean.folder / "sf" / "scripts" / "server.cjs").read_text()
    clean.end_when_there_is(".sf/blocked")
    assert clean.inv("release", "--to", "test").returncode == 0
    (clean.folder / "sf" / "scripts" / "server.cjs").write_text(good)
    present = clean.commit("starts in any case")
    assert clean.inv("release", "--to", "test").returncode == 0
    clean.docker("exec", clean.container("test"), "touch", "/home/sf/.sf/blocked")

    back = clean.inv("rollback", "-e", "test")
    history = clean.inv("history", "-e", "test").stdout.splitlines()[0]

    assert back.returncode == 51, back.stderr
    assert f"failed; {present[:12]} put back" in history
    assert clean.version("test")["revision"] == present
