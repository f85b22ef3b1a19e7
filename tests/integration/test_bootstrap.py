"""The set-up script on a machine that has nearly everything; a bare one is what CI begins with."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.needed import need
from lab.site import ROOT, Done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the script reads of a fresh clone."""
    for file in ("bootstrap", "requirements.lock", "pyproject.toml", "README.md", "LICENSE", "compose.vega.yml.j2"):
        shutil.copy(ROOT / file, tmp_path / file)
    for folder in ("src", "templates", "docker", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def of_nobody(project: Path) -> Iterator[Path]:
    """The same for somebody who is not root, with a `bin` that has every program but one of those needed."""
    need([] if os.geteuid() == 0 else ["root, to become somebody who is not"])
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        shutil.copytree(project, folder, dirs_exist_ok=True)
        programs = Path(folder, "bin")
        programs.mkdir()
        for place in ("/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"):
            for program in Path(place).iterdir():
                if program.name != "mmdebstrap" and not (programs / program.name).is_symlink():
                    (programs / program.name).symlink_to(program)
        subprocess.run(["chown", "--recursive", "nobody", folder], check=True)
        yield Path(folder)


def run(project: Path, *argv: str, **environment: str) -> Done:
    given = {**os.environ, **environment}
    command = ["bash", str(project / "bootstrap"), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=given)


def test_a_check_names_what_is_missing_and_changes_nothing(project: Path) -> None:
    before = sorted(path.name for path in project.iterdir())

    checked = run(project, "--check")

    assert checked.returncode == 84
    assert "missing: .venv" in checked.stdout + checked.stderr
    assert sorted(path.name for path in project.iterdir()) == before


def test_bootstrap_names_the_package_of_a_missing_program_it_cannot_install(of_nobody: Path) -> None:
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "bash", str(of_nobody / "bootstrap")]
    env = {"PATH": str(of_nobody / "bin")}

    checked, refused = (
        subprocess.run([*argv, last], capture_output=True, text=True, check=False, timeout=60, env=env)
        for last in ("--check", "true")
    )

    assert checked.returncode == 84
    assert "missing: mmdebstrap: install mmdebstrap" in checked.stdout
    assert refused.returncode == 80, refused.stderr
    assert "(neither root nor passwordless sudo): mmdebstrap: mmdebstrap" in refused.stderr
    assert not (of_nobody / ".venv").exists()


def test_wrong_usage_says_how_it_is_used(project: Path) -> None:
    assert run(project).returncode == 2
    assert run(project, "--nonsense").returncode == 2
    assert "usage: ./bootstrap" in run(project, "--help").stdout


def test_the_command_that_follows_finds_the_environment_and_keeps_its_exit_code(project: Path) -> None:
    first = run(project, "python", "-c", "import invoke, sys; print(sys.prefix); sys.exit(7)")
    second = run(project, "true")

    assert first.returncode == 7, first.stderr
    assert first.stdout.strip() == str(project / ".venv")
    assert second.returncode == 0
    assert second.stdout + second.stderr == ""


def test_an_engine_that_does_not_answer_and_is_not_ours_to_start_is_an_error(project: Path) -> None:
    refused = run(project, "true", DOCKER_HOST="unix:///nowhere/docker.sock")

    assert refused.returncode == 81
    assert "unix:///nowhere/docker.sock" in refused.stderr
