"""The whole release of the bundled application, on a real engine, with a real registry and a real Node."""

import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def call(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=900)


@dataclass(frozen=True)
class Site:
    """A project of its own that releases a copy of the bundled application."""

    folder: Path
    name: str
    ports: tuple[int, int]

    def inv(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return call(sys.executable, "-m", "invoke", *argv, cwd=self.folder)

    def git(self, *argv: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        done = call("git", *identity, *argv, cwd=self.folder / "sf")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def containers(self) -> str:
        return call("docker", "ps", "-q", "--no-trunc", "--filter", f"name={self.name}", cwd=self.folder).stdout

    def version(self, index: int) -> dict[str, str]:
        told: dict[str, str] = requests.get(f"http://127.0.0.1:{self.ports[index]}/api/version", timeout=5).json()
        return told


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        if os.environ.get("SELFDEPLOY_REQUIRE_ALL"):
            pytest.fail("no Docker engine answers")
        pytest.skip("no Docker engine answers")
    folder = tmp_path_factory.mktemp("site")
    name = f"sf-{uuid.uuid4().hex[:8]}"
    site = Site(folder=folder, name=name, ports=(free_port(), free_port()))
    ignore = shutil.ignore_patterns("node_modules", "dist", ".next")
    shutil.copytree(ROOT / "examples" / "sf", folder / "sf", ignore=ignore)
    for file in ("tasks.py", "noxfile.py"):
        shutil.copy(ROOT / file, folder / file)
    (folder / "deploy.toml").write_text(f"""
[source]
path = "sf"
[probes]
deadline = 20
[environments.test]
kind = "compose"
project = "{name}-t"
port = {site.ports[0]}
[environments.prod]
kind = "compose"
project = "{name}-p"
port = {site.ports[1]}
""")
    site.git("init", "-q")
    site.git("add", "-A")
    site.git("commit", "-qm", "one")
    yield site
    for environment in ("t", "p"):
        project = f"{name}-{environment}"
        call("docker", "rm", "-f", f"{project}-server-1", f"{project}-lock", cwd=folder)
        call("docker", "network", "rm", f"{project}_default", cwd=folder)
        call("docker", "volume", "rm", f"{project}-record", f"{project}_home", f"{project}_workspace", cwd=folder)


def test_a_release_goes_the_whole_way_and_a_second_one_changes_nothing(site: Site) -> None:
    first = site.inv("release")
    before = site.containers()
    second = site.inv("release")

    assert first.returncode == 0, first.stderr
    assert second.returncode == 0, second.stderr
    assert len(before.split()) == 2
    assert site.containers() == before
    assert {site.version(index)["revision"] for index in (0, 1)} == {site.git("rev-parse", "HEAD")}
    assert "missing" not in site.inv("plan").stdout


def test_a_dirty_checkout_is_refused_and_the_file_named(site: Site) -> None:
    dirt = site.folder / "sf" / "dirt.txt"
    dirt.write_text("x")

    refused = site.inv("release")
    dirt.unlink()

    assert refused.returncode == 12
    assert "dirt.txt" in refused.stderr


def test_a_container_swapped_by_hand_is_not_proven_and_the_next_release_mends_it(site: Site) -> None:
    call("docker", "rm", "-f", f"{site.name}-t-server-1", cwd=site.folder)

    refused = site.inv("probe", "-e", "test")
    promoted = site.inv("rollout", "-e", "prod")
    mended = site.inv("release")

    assert refused.returncode == 50
    assert promoted.returncode == 50
    assert mended.returncode == 0, mended.stderr
    assert site.version(0)["revision"] == site.git("rev-parse", "HEAD")


def test_a_server_that_answers_as_another_revision_is_put_back_and_held_and_never_reaches_prod(site: Site) -> None:
    good = site.git("rev-parse", "HEAD")
    prod = site.version(1)
    stamp = site.folder / "sf" / "scripts" / "stamp.mjs"
    stamp.write_text(stamp.read_text().replace("process.env.SF_BUILD_REVISION", '"f".repeat(40)'))
    site.git("commit", "-qam", "two")

    failed = site.inv("release")
    held = site.inv("release")

    assert failed.returncode == 51, failed.stderr
    assert "expected" in failed.stderr
    assert held.returncode == 45, held.stderr
    assert site.version(0)["revision"] == good
    assert site.version(1) == prod
    assert "put back, proven" in site.inv("history", "-e", "test").stdout.splitlines()[0]
