"""Which folders the shared server sees, whose the files are that it writes, and where it is published."""

import ipaddress
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import children, needed
from lab.checkout import Checkout
from lab.engine import DISK
from lab.vega import Site, docker

PERSON = 4242
NOT_ROOT = [] if os.geteuid() == 0 and shutil.which("setpriv") and shutil.which("ip") else ["root", "setpriv", "ip"]


@pytest.fixture
def site(live: Site) -> Site:
    """The project at hand; the name hides the one of releases."""
    return live


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    children.run(["git", "-C", str(folder), "init", "--quiet"])
    return folder


def mounts(site: Site) -> dict[str, str]:
    return {mount["Destination"]: mount["Source"] for mount in site.inspect()["Mounts"] if mount["Type"] == "bind"}


@pytest.fixture
def address() -> Iterator[str]:
    """An address of this host where Tailscale's are, for as long as the test runs."""
    needed.need(NOT_ROOT)
    chosen = str(ipaddress.ip_address("100.64.0.0") + secrets.randbelow(2**22))
    children.run(["ip", "address", "add", f"{chosen}/32", "dev", "lo"])
    yield chosen
    children.run(["ip", "address", "delete", f"{chosen}/32", "dev", "lo"])


def test_the_contract_s_mounts_are_all_there(site: Site) -> None:
    code = site.checkout.folder.parent

    site.good("vega.up")

    assert mounts(site) == {
        "/opt/sf": str(site.checkout.folder),
        "/workspace": str(site.checkout.folder),
        "/workspaces": str(code),
        str(code): str(code),
        "/home/sf/.sf": str(site.folder / "state"),
    }
    assert stat.S_IMODE((site.folder / "state").stat().st_mode) == 0o700


def test_a_workspace_elsewhere_brings_its_own_parent_and_the_summary_says_so(site: Site) -> None:
    there = repository(site.folder / "elsewhere" / "x")

    told = site.good("vega.up", "--workspace", str(there))

    assert mounts(site)["/workspaces"] == str(there.parent)
    assert mounts(site)[str(there.parent)] == str(there.parent)
    assert f"workspaces {there.parent} (the parent of --workspace)" in told


def test_another_workspace_takes_the_place_of_the_first_and_restart_keeps_it(site: Site) -> None:
    one, two = (repository(site.folder / "code" / name) for name in ("one", "two"))

    site.good("vega.up", SF_WORKSPACE_DIR=str(one))
    site.good("vega.up", SF_WORKSPACE_DIR=str(two))
    site.good("vega.restart", SF_WORKSPACE_DIR=str(one))

    assert mounts(site)["/workspace"] == str(two)
    assert docker("exec", site.name, "ls", "/workspaces").split() == ["one", "sf", "two"]
    assert docker("exec", site.name, "pwd") == "/workspace"


def test_a_folder_of_any_name_works(site: Site) -> None:
    there = repository(site.folder / "code" / "a b" / "c,d" / 'e"f' / "$HOME" / "it's" / "ünï" / "x")

    site.good("vega.up", "--workspace", str(there), "--workspaces", str(there.parent))

    assert mounts(site)["/workspace"] == str(there)
    assert f"workspace  {there} (--workspace)" in site.good("vega.status")
    site.good("vega.restart")


def test_folders_that_do_not_fit_are_refused_before_anything_is_touched(site: Site) -> None:
    (site.folder / "file").touch()
    (site.folder / "other").mkdir()
    loop = site.folder / "loop"
    loop.symlink_to(loop)
    wanted = {
        ("--workspace", "nowhere"): "no such folder",
        ("--workspace", "file"): "not a folder",
        ("--workspace", "loop"): "loop",
        ("--workspace", "code/sf", "--workspaces", "other"): "is not below",
        ("--workspaces", "/"): "hide the image's",
        ("--source", "nowhere"): "no such folder",
    }

    refused = {given: site.inv("vega.up", *given) for given in wanted}

    for given, said in wanted.items():
        assert refused[given].returncode == 61, (given, refused[given].stderr)
        assert said in refused[given].stderr
        assert "hint:" in refused[given].stderr
    assert not (site.folder / "state").exists()
    assert site.left()["containers"] == []


@pytest.fixture
def own(built: Site) -> Iterator[Site]:
    """A project that is all the person's, in a folder that nobody else may enter."""
    needed.need(NOT_ROOT)
    folder = children.new_folder("person", DISK)
    shutil.copytree(built.checkout.folder, folder / "code" / "sf")
    repository(folder / "code" / "x")
    site = Site(folder=folder, checkout=Checkout(folder / "code" / "sf"))
    site.settle()
    children.run(["chown", "--recursive", f"{PERSON}:{PERSON}", str(folder)])
    yield site
    site.close()
    shutil.rmtree(folder)


def test_what_the_server_writes_is_the_person_s_and_git_works_there(own: Site) -> None:
    workspace = own.folder / "code" / "x"
    group = Path("/var/run/docker.sock").stat().st_gid
    as_person = ["setpriv", f"--reuid={PERSON}", f"--regid={PERSON}", f"--groups={group}", "--"]

    own.good("vega.up", "--workspace", str(workspace), prefix=as_person, HOME=str(own.folder))

    told = own.get("/api/write")
    assert "written" in told["status"]
    for file in (workspace / "written", own.folder / "state" / "written"):
        assert (file.stat().st_uid, file.stat().st_gid) == (PERSON, PERSON)
    script = f"id -un; git -C {workspace} status --porcelain; git -C /workspace rev-parse --git-dir; echo $HOME"
    assert docker("exec", own.name, "sh", "-c", script).split() == ["sf", "??", "written", ".git", "/home/sf"]
    own.checkout.edit("one", "two")
    # Of root's rights the person has the one to read: where this Python is root's own, the build would not find it.
    reads = ["setpriv", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", *as_person[1:]]
    own.good("vega.restart", "--build", prefix=reads, HOME=str(own.folder))
    assert own.get("/api/version")["word"] == "two"
    assert {path.lstat().st_uid for path in own.checkout.folder.rglob("*")} == {PERSON}
    own.good("vega.down", prefix=as_person, HOME=str(own.folder))


def test_a_person_behind_sudo_is_the_person(site: Site) -> None:
    there = repository(site.folder / "code" / "x")
    os.chown(there, 65534, 65534)

    site.good("vega.up", "--workspace", str(there), SUDO_UID="65534", SUDO_GID="65534")

    assert site.inspect()["Config"]["User"] == "65534:65534"
    assert (site.folder / "state").stat().st_uid == 65534


def test_a_workspace_the_user_cannot_write_is_refused_before_any_change(site: Site) -> None:
    refused = site.inv("vega.up", SUDO_UID="59999", SUDO_GID="59999")

    assert refused.returncode == 61, refused.stderr
    assert f"{site.checkout.folder}: user 59999 cannot write there" in refused.stderr
    assert site.left()["containers"] == site.left()["volumes"] == []


def test_an_ipv6_address_is_published(site: Site) -> None:
    told = site.good("vega.up", "--bind", "::1")

    assert f"http://[::1]:{site.port}, only this host reaches it" in told
    assert site.get("/api/version", "[::1]")["word"] == "one"


def test_a_shared_address_is_taken_and_the_summary_says_who_reaches_it(site: Site, address: str) -> None:
    told = site.good("vega.up", SF_VEGA_BIND=f"::ffff:{address}")

    assert f"http://{address}:{site.port}, the shared address space at lo reaches it" in told
    assert site.get("/api/version", address)["word"] == "one"
    assert list(site.inspect()["HostConfig"]["PortBindings"].values()) == [
        [{"HostIp": address, "HostPort": str(site.port)}]
    ]


def test_what_everybody_reaches_needs_a_guard_that_deploy_toml_names(site: Site) -> None:
    given = ("0.0.0.0", "::", "::ffff:0.0.0.0", "192.0.2.1", "nonsense")  # noqa: S104 -- refused

    refused = {bind: site.inv("vega.up", "--bind", bind) for bind in given}
    site.settle('access_control = "firewall"')
    told = site.good("vega.up", "--bind", "0.0.0.0")  # noqa: S104 -- the test's own
    site.settle()
    unguarded = site.inv("vega.restart")

    assert {bind: done.returncode for bind, done in refused.items()} == dict.fromkeys(given, 62)
    assert "vega.access_control" in refused["0.0.0.0"].stderr  # noqa: S104 -- compared
    assert "it has 127.0.0.1 (lo)" in refused["192.0.2.1"].stderr
    assert "everybody reaches it whom the firewall lets pass" in told
    assert unguarded.returncode == 62
    assert site.get("/api/version")["word"] == "one"


def test_no_port_is_refused(site: Site) -> None:
    assert [site.inv("vega.up", "--port", port).returncode for port in ("0", "65536", "web", "-1")] == [10] * 4


def test_the_environment_of_the_server_is_the_contract_s(site: Site) -> None:
    site.good("vega.up")

    told = json.loads(docker("exec", site.name, "node", "-p", "JSON.stringify(process.env)"))

    assert told["SF_WEB_PROJECT_CWD"] == "/workspace"
    assert (told["SF_WEB_HOST"], told["SF_WEB_PORT"]) == ("0.0.0.0", "4000")  # noqa: S104 -- inside of its network
    manifest = json.loads(docker("exec", site.name, "cat", told["SF_RELEASE_MANIFEST"]))
    assert manifest["kind"] == "source"
    assert manifest["source"]["dirty"] is False
    with pytest.raises(AssertionError, match="Read-only"):
        docker("exec", site.name, "touch", "/opt/sf/x")
