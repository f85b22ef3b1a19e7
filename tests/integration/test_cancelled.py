"""A CI run that is cancelled ends its attempt as one that failed, although its folder is gone by then."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import children, step
from lab.site import ROOT, Site

RUN = {
    "FORGEJO_ACTIONS": "true",
    "FORGEJO_RUN_ID": "71",
    "FORGEJO_RUN_NUMBER": "7",
    "FORGEJO_SERVER_URL": "https://forgejo.test",
    "FORGEJO_REPOSITORY": "owner/sf",
}
PAGE = "https://forgejo.test/owner/sf/actions/runs/7"


def link(source: str, target: str) -> None:
    """Link SOURCE as TARGET, or copy it to another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture
def job(site: Site, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A job's folder, with selfdeploy itself in it, and the environment of its steps."""
    folder = site.cloned(tmp_path / "job").folder
    shutil.copytree(Path(sys.prefix), folder / ".venv", symlinks=True, copy_function=link)
    for part in ("src", "templates", "docker"):
        shutil.copytree(ROOT / part, folder / part)
    (folder / "bin").mkdir()
    (folder / "bin" / "inv").write_text(f'#!/bin/sh\nexec {folder}/.venv/bin/python -m invoke "$@"\n')
    (folder / "bin" / "inv").chmod(0o755)
    environment = {**RUN, "PATH": f"{folder}/bin:{os.environ['PATH']}", "PYTHONPATH": str(folder / "src")}
    return folder, environment


def newest(site: Site) -> dict[str, Any]:
    return site.attempts("test")[0]


def applied(site: Site) -> str:
    labels = site.inspect("test").get("Config", {}).get("Labels", {})
    return str(labels.get("org.opencontainers.image.revision"))


def lock(site: Site) -> str:
    return site.docker("ps", "--quiet", "--filter", f"name={site.name}-t-lock").stdout


def test_a_cancelled_run_puts_back_the_proven_release_and_the_next_says_so(
    clean: Site, tmp_path: Path, job: tuple[Path, dict[str, str]]
) -> None:
    good = clean.version("test")["revision"]
    slow = clean.be_slow(20)
    made = [clean.inv(command) for command in ("gates", "build", "manifest")]
    assert [one.returncode for one in made] == [0, 0, 0], made
    folder, environment = job
    clean.git("push", "--quiet", str(folder / "sf"), "HEAD:refs/heads/slow")
    children.run(["git", "-C", str(folder / "sf"), "checkout", "--quiet", "slow"])

    with step.started("Test", folder, environment) as under_way:
        with children.explained_by(under_way.log):
            children.wait_until(lambda: newest(clean)["revision"] == slow, "the attempt", seconds=120)
        children.wait_until(lambda: applied(clean) == slow, "the new replica", seconds=60)
        under_way.cancel()
        children.wait_until(lambda: newest(clean)["ending"] not in {"under way", "cut off"}, "the end", seconds=150)
    last = clean.attempts("test")[0]
    told = clean.inv("history", "-e", "test").stdout
    again = clean.inv("release", "--to", "test")

    assert (last["ending"], last["revision"], last["run"]) == ("cancelled, put back, proven", slow, PAGE)
    assert f"cancelled; {good[:12]} put back" in told
    assert again.returncode == 0, again.stderr
    assert f"the attempt at {slow[:12]}, begun " in again.stderr
    assert f"({PAGE}), was cancelled, put back, proven" in again.stderr
    assert clean.version("test")["revision"] == slow != good
    children.wait_until(lambda: not lock(clean), "the end of the lock", seconds=30)
    assert not folder.exists()
    assert [line for line in clean.processes() if str(tmp_path) in line] == []
