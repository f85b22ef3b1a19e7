"""The workflow files by themselves: what actionlint and zizmor say of them, and what they must not have."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.needed import need
from lab.runner import WORKFLOW, tool
from lab.site import ROOT

SHIPPED = ROOT / "templates" / "repository" / "self-deploy.yml"
FILES = {"shipped": SHIPPED, "ours": ROOT / WORKFLOW}
LABELS = "self-hosted-runner: {labels: [self-deploy]}\n"


def steps(file: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]["release"]["steps"]
    return told


def actionlint(file: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    need([name for name in ("go",) if not shutil.which(name)])
    settings = tmp_path / "actionlint.yml"
    settings.write_text(LABELS)
    argv = [tool("actionlint"), "-config-file", str(settings), "-no-color", str(file)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def zizmor(file: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--persona", "pedantic", "--no-progress"]
    return subprocess.run([*argv, str(file)], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("kind", FILES)
def test_actionlint_and_zizmor_find_nothing(kind: str, tmp_path: Path) -> None:
    linted, audited = actionlint(FILES[kind], tmp_path), zizmor(FILES[kind])

    assert (linted.returncode, linted.stdout) == (0, "")
    assert audited.returncode == 0, audited.stdout


def test_they_find_what_is_put_there_on_purpose(tmp_path: Path) -> None:
    text = SHIPPED.read_text()
    (tmp_path / "hostile.yml").write_text(text.replace('"--image=$IMAGE"', '"--image=${{ inputs.image }}"'))
    (tmp_path / "broken.yml").write_text(text.replace("inputs.fresh", "inputs.fersh"))

    assert "template-injection" in zizmor(tmp_path / "hostile.yml").stdout
    assert "fersh" in actionlint(tmp_path / "broken.yml", tmp_path).stdout


@pytest.mark.parametrize("kind", FILES)
def test_it_takes_nobody_else_s_actions_and_no_expression_is_part_of_a_script(kind: str) -> None:
    for step in steps(FILES[kind]):
        assert set(step) <= {"name", "id", "env", "if", "run"}
        assert "${{" not in step["run"]


@pytest.mark.parametrize("kind", FILES)
def test_secrets_are_given_to_the_steps_that_need_them_alone(kind: str) -> None:
    told = yaml.safe_load(FILES[kind].read_text())
    given = {
        step["name"]: {n for n, v in step.get("env", {}).items() if "secrets." in v} for step in steps(FILES[kind])
    }

    assert told["permissions"] == {"contents": "read"}
    assert "secrets." not in str(told["jobs"]["release"]["env"])
    assert {name for name, secrets in given.items() if secrets} == {
        "Record",
        "Build",
        "Manifest",
        "Test",
        "Prod",
        "What runs now",
    }
    assert given["Record"] == given["Build"] == {"SF_REGISTRY_TOKEN"}
    assert given["Manifest"] == {"SF_REGISTRY_TOKEN", "SF_SIGNING_KEY", "SF_SIGNING_PASSWORD"}
    assert [name for name, secrets in given.items() if "SF_SIGNING_KEY" in secrets] == ["Manifest", "Test", "Prod"]


@pytest.mark.parametrize("kind", FILES)
def test_no_step_but_the_check_out_has_the_run_s_own_token(kind: str) -> None:
    blank = {"FORGEJO_TOKEN": "", "GITHUB_TOKEN": "", "ACTIONS_RUNTIME_TOKEN": ""}

    for step in steps(FILES[kind]):
        own = {name: value for name, value in step["env"].items() if name in blank}
        assert own == ({} if step["name"] == "Check out" else blank), step["name"]


@pytest.mark.parametrize("kind", FILES)
def test_every_command_outlives_a_kill_of_its_step_s_process_group_and_is_told_of_it(kind: str) -> None:
    lines = [line.strip() for step in steps(FILES[kind])[3:-1] for line in step["run"].splitlines()]
    commands = [line for line in lines if "inv " in line]

    assert len(commands) == 5
    assert [line for line in commands if not line.startswith("setpriv --pdeathsig TERM setsid inv ")] == []


@pytest.mark.parametrize("kind", FILES)
def test_a_newer_push_waits_and_the_last_step_always_runs(kind: str) -> None:
    told = yaml.safe_load(FILES[kind].read_text())

    assert told["concurrency"]["cancel-in-progress"] is False
    assert steps(FILES[kind])[-1]["if"] == "always()"


def test_ours_differs_from_the_shipped_one_in_how_selfdeploy_gets_there_alone() -> None:
    ours, shipped = (yaml.safe_load(file.read_text()) for file in (FILES["ours"], SHIPPED))
    different = [name for name, (a, b) in zip_steps(ours, shipped).items() if a != b]
    for told in (ours, shipped):
        told["jobs"]["release"].pop("steps")

    assert different == ["Install selfdeploy"]
    assert ours == shipped


def zip_steps(ours: dict[str, Any], shipped: dict[str, Any]) -> dict[str, tuple[object, object]]:
    pairs = zip(ours["jobs"]["release"]["steps"], shipped["jobs"]["release"]["steps"], strict=True)
    return {mine["name"]: (mine, theirs) for mine, theirs in pairs}
