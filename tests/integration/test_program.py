"""The command `selfdeploy`, what it completes, and what it says of a machine: typed as a person types it."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lab import children
from lab.site import ROOT, Done, Site, call

OWN = Path(sys.executable).with_name("selfdeploy")


def own(site: Site, *argv: str) -> Done:
    return call(str(OWN), *argv, cwd=site.folder)


def test_an_environment_is_a_word_and_deploy_is_release(clean: Site) -> None:
    status, again = own(clean, "status", "prod"), own(clean, "deploy")
    dry = own(clean, "down", "prod", "--dry")

    assert status.stdout.startswith("prod       ok ")
    assert again.returncode == 0, again.stderr
    assert "prod: would stop and remove what runs" in dry.stdout
    assert len(clean.ids()) == 2


@pytest.mark.parametrize(
    ("argv", "what", "hint"),
    [
        (["relase"], "error: No idea what 'relase' is!", "hint: did you mean release?"),
        (["status", "--chekc"], "error: No idea what '--chekc' is!", "hint: did you mean --check?"),
        (["status", "prdo"], "no environment named 'prdo'", "hint: did you mean prod? the environments are test, prod"),
        (["--echo", "status"], "error: --echo: does nothing here", "hint: leave it out"),
    ],
)
def test_what_cannot_be_meant_is_an_error_like_ours_with_the_nearest_name(
    clean: Site, argv: list[str], what: str, hint: str
) -> None:
    done = own(clean, *argv)

    assert done.returncode == 10
    assert what in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_help_hides_options_without_effect_and_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    told = call(str(OWN), "--help", cwd=tmp_path).stdout
    flags = call(str(OWN), "logs", "--help", cwd=tmp_path).stdout
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {OWN} --help | true; {OWN} logs --help | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "Every day" in told
    assert not re.search("--(echo|pty|warn-only|hide)", told)
    assert "Usage: selfdeploy logs [ENVIRONMENT] [--flags]" in flags
    assert piped.returncode == 0
    assert piped.stderr == ""


def completed(tmp_path: Path, *words: str) -> list[str]:
    script = tmp_path / "completion.bash"
    if not script.exists():
        script.write_text(call(sys.executable, "-m", "invoke", "completion", "bash", cwd=ROOT).stdout)
    (tmp_path / "deploy.toml").write_text("[environments.lab]\n[environments.lab.traefik]\n[environments.production]\n")
    code = (
        '. ./completion.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _selfdeploy; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = children.run(["env", "-C", str(tmp_path), "bash", "-uc", code, "bash", *words])
    return done.decode().split()


def test_bash_completes_commands_flags_environments_and_revisions(tmp_path: Path) -> None:
    children.run(["git", "-C", str(tmp_path), "init", "--quiet"])
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    children.run(["git", "-C", str(tmp_path), *who, "commit", "--quiet", "--allow-empty", "--message=one"])
    commit = children.run(["git", "-C", str(tmp_path), "rev-parse", "--short", "HEAD"]).decode().strip()

    assert completed(tmp_path, "inv", "roll") == ["rollback", "rollout"]
    assert completed(tmp_path, "inv", "logs", "--f") == ["--follow", "--front"]
    assert completed(tmp_path, "inv", "logs", "-e", "") == ["lab", "production"]
    assert completed(tmp_path, "selfdeploy", "logs", "p") == ["production"]
    assert completed(tmp_path, "inv", "vega.re") == ["vega.restart"]
    assert completed(tmp_path, "inv", "probe", "--revision", "") == [commit]


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_a_completion_script_is_one_that_its_shell_can_read(tmp_path: Path, shell: str) -> None:
    script = tmp_path / "script"
    script.write_text(call(sys.executable, "-m", "invoke", "completion", shell, cwd=ROOT).stdout)

    children.run([shell, "-n", str(script)])

    assert call(sys.executable, "-m", "invoke", "completion", "tcsh", cwd=ROOT).returncode == 10


def test_doctor_says_of_the_machine_and_of_each_environment_what_is_missing(clean: Site) -> None:
    well = clean.inv("doctor", "--json")
    (clean.folder / "sf" / "package.json").write_text("{}")
    clean.docker("stop", "--time", "1", clean.container("prod"))
    ill = clean.inv("doctor")
    clean.git("checkout", "--quiet", "--", "package.json")
    clean.configure(prod='secrets = {SF_AUTH_TOKEN = {env = "NOT_SET_HERE"}}')
    lacking = clean.inv("doctor")
    clean.configure()
    assert clean.inv("up", "-e", "prod").returncode == 0

    items = json.loads(well.stdout.splitlines()[-1])["items"]
    assert well.returncode == 0
    assert {item["state"] for item in items} == {"ok"}
    assert {"git", "disk", "checkout", "registry", "builder", "test", "prod"} <= {item["what"] for item in items}
    assert ill.returncode == 0, ill.stdout
    assert re.search("^warning  checkout ", ill.stdout, re.MULTILINE)
    assert re.search("^warning  prod         differs", ill.stdout, re.MULTILINE)
    assert lacking.returncode == 10, lacking.stdout
    assert re.search("^missing  prod .*NOT_SET_HERE", lacking.stdout, re.MULTILINE)


def test_config_says_each_value_and_where_it_came_from(clean: Site, tmp_path: Path) -> None:
    values = tmp_path / "values.yml"
    values.write_text("environments:\n  prod:\n    bind: 127.0.0.1\n")

    told = clean.inv("config", SF_DEPLOY_VALUES=str(values)).stdout
    schema = json.loads(clean.inv("config", "--schema").stdout)

    assert f"environments.prod.port = {clean.ports[1]}  (deploy.toml)" in told
    assert f'environments.prod.bind = "127.0.0.1"  ({values}:3)' in told
    assert 'gates.node = "' in told
    assert "(default)" in told
    written = tomllib.loads((clean.folder / "deploy.toml").read_text())
    assert set(written) <= set(schema["properties"])
    assert schema["additionalProperties"] is False
