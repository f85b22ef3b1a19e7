"""The gates by themselves: chosen, limited, confined to what the config names; and what precedes them."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.needed import need
from lab.site import Done, Site

SHOW = '[gates.override.show]\ncommand = ["sh", "-c", "env; command -v node; node --version"]\n'


def logs(site: Site, kind: str) -> dict[str, str]:
    folder = site.folder / ".selfdeploy" / "trees" / kind / "logs"
    return {log.stem: log.read_text() for log in folder.iterdir()}


def test_one_gate_runs_with_what_it_needs_and_leaves_no_receipt(whole: tuple[Site, Done]) -> None:
    site, _ = whole
    receipt = site.folder / ".selfdeploy" / "trees" / site.revision / "receipt.json"
    before = receipt.read_bytes()

    done = site.nox("typecheck", "--jobs", "1")

    assert done.returncode == 0, done.stderr
    assert set(logs(site, "some")) == {"npm-ci", "build-core", "typecheck"}
    assert receipt.read_bytes() == before
    assert not (site.folder / ".selfdeploy" / "trees" / "some" / "receipt.json").exists()


def test_gates_that_have_passed_are_honoured_and_say_so(whole: tuple[Site, Done]) -> None:
    site, _ = whole

    done = site.nox()

    assert done.returncode == 0
    assert "have passed" in done.stderr
    assert "--fresh" in done.stderr


def test_a_gate_that_does_not_exist_is_named_with_those_that_do(site: Site) -> None:
    refused, counted = site.nox("tpyecheck"), site.nox("--jobs", "none")

    assert (refused.returncode, counted.returncode) == (10, 10)
    assert "--jobs: 'none' is not a number" in counted.stderr
    assert "no gate named 'tpyecheck'" in refused.stderr
    assert "typecheck" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_gate_sees_the_pinned_node_and_only_what_the_config_names(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_CALLER", "never")
    monkeypatch.setenv("NO_PROXY", "localhost")
    site.configure(top=SHOW)

    done = site.nox("show")
    site.configure()
    seen = logs(site, "some")["show"]

    assert done.returncode == 0, done.stderr
    assert "A_SECRET_OF_THE_CALLER" not in seen
    assert "NO_PROXY=localhost" in seen
    assert f"SF_BUILD_REVISION={site.revision}" in seen
    assert "CI=true" in seen
    assert f"HOME={site.folder}" in seen
    assert "npm_package_config_node_gyp_nodedir=" in seen
    assert "npm_config_nodedir=" not in seen
    assert seen.rstrip().endswith("v24.19.0")
    binary = Path(seen.splitlines()[-2])
    assert binary.resolve().read_bytes()[:4] == b"\x7fELF"


def test_an_export_keeps_export_ignored_files_and_refuses_lfs_and_submodules(site: Site) -> None:
    good = site.revision
    checkout = site.folder / "sf"
    (checkout / ".gitattributes").write_text("kept.txt export-ignore\n")
    (checkout / "kept.txt").write_text("kept")
    (checkout / "large.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    site.commit("a pointer")
    pointer = site.inv("gates")
    (checkout / "large.bin").unlink()
    subprocess.run(["git", "init", "--quiet", str(checkout / "inner")], check=True)
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    inner = ["git", "-C", str(checkout / "inner"), *identity]
    subprocess.run([*inner, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    (checkout / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ../inner\n')
    site.commit("a submodule")
    module = site.inv("gates")
    shutil.rmtree(checkout / "inner")
    (checkout / ".gitmodules").unlink()
    site.commit("neither")
    kept = site.nox("npm-ci")
    site.git("checkout", "--quiet", "--force", "-B", "main", good)

    assert (pointer.returncode, module.returncode) == (11, 11)
    assert "large.bin: an LFS pointer" in pointer.stderr
    assert "inner: a submodule" in module.stderr
    assert kept.returncode == 0, kept.stderr
    assert (site.folder / ".selfdeploy/trees/some/sf/kept.txt").read_text() == "kept"


def test_a_subfolder_is_released_at_head_and_only_its_own_changes_are_dirty(site: Site, tmp_path: Path) -> None:
    large = tmp_path / "large"
    subprocess.run(["cp", "-a", str(site.folder / "sf"), str(tmp_path / "sf")], check=True)
    (tmp_path / "sf" / ".git").rename(tmp_path / "old-git")
    large.mkdir()
    (tmp_path / "sf").rename(large / "app")
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for argv in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "one"]):
        subprocess.run(["git", "-C", str(large), *identity, *argv], check=True)
    (large / "beside.txt").write_text("not SF's")

    told = site.inv("gates", "--json", SF_SOURCE_DIR=str(large / "app"))
    (large / "app" / "dirt.txt").write_text("SF's")
    dirty = site.inv("gates", "--source", str(large / "app"))

    assert told.returncode == 0, told.stderr
    head = subprocess.run(["git", "-C", str(large), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout.splitlines()[-1])["revision"] == head.stdout.strip()
    assert dirty.returncode == 12


@pytest.fixture
def full_disk(site: Site) -> Iterator[Path]:
    """A folder on a disk with 64 MiB."""
    need([] if os.geteuid() == 0 else ["root, to mount a small disk"])
    folder = site.folder.parent / f"{site.folder.name}-small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_found_out_before_the_first_gate(site: Site, full_disk: Path) -> None:
    small = site.cloned(full_disk / "clone")

    refused = small.inv("release")

    assert refused.returncode == 42
    assert "MiB free" in refused.stderr
    assert "gates ..." not in refused.stderr


def test_tools_of_both_registries_are_on_a_gate_s_path_at_their_versions(site: Site) -> None:
    tools = '[gates]\ntools = {cowsay = "6.1", "npm:semver" = "7.7.2"}\nvariables = {GREETING = "moo"}\n'
    command = "cowsay -t $GREETING; semver --help"
    site.configure(top=f"{tools}[gates.override.show]\ncommand = {json.dumps(['sh', '-ec', command])}\n")

    done = site.nox("show")
    again = site.nox("show")
    seen = logs(site, "some")["show"]

    assert done.returncode == 0, done.stderr
    assert "gates: installing node 24.19.0, cowsay 6.1, npm:semver 7.7.2" in done.stderr
    assert "installing" not in again.stderr
    assert "| moo |" in seen
    assert "SemVer 7.7.2" in seen


@pytest.mark.parametrize(
    ("tools", "code", "why"),
    [
        ('{selfdeploy-has-no-such-tool = "1.0"}', 13, "not installed: selfdeploy-has-no-such-tool 1.0"),
        ('{cowsay = "99.1"}', 13, "not installed: cowsay 99.1"),
        ('{"npm:semver" = "99.0.0"}', 13, "No matching version found for semver@99.0.0"),
        ('{idna = "3.10"}', 13, "gates.tools.idna: the package has no program"),
        ('{"npm:npm" = "11.6.0"}', 10, "gates.tools.npm:npm: its program npm is there already"),
    ],
)
def test_a_tool_that_cannot_be_had_ends_the_gates_before_the_first(site: Site, tools: str, code: int, why: str) -> None:
    site.configure(top=f"[gates]\ntools = {tools}\n")

    refused = site.inv("gates", "--fresh")

    assert refused.returncode == code
    assert why in refused.stderr
    assert "deploy.toml: gates" in refused.stderr
    assert "Traceback" not in refused.stderr
