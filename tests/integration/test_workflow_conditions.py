"""Which step of the shipped workflow runs what, by act; in place of selfdeploy is a program that writes down its calls.

The same with selfdeploy itself, one way through, is in test_workflow.py.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import children, runner
from lab.forge import Forge
from lab.needed import need
from lab.runner import Runner
from lab.site import ROOT

TOKEN = "t0ken-of-the-run"  # noqa: S105 -- the test's own
REQUIREMENTS = "selfdeploy\n"
INV = """#!/bin/sh
echo "$* | tokens:$FORGEJO_TOKEN$GITHUB_TOKEN$ACTIONS_RUNTIME_TOKEN | registry:$SF_REGISTRY_TOKEN" >>@CALLS@
case "$*" in
*--recorded*) cat @RECORD@ ;;
*rollout*)
    if grep -q slow @RECORD@; then
        trap 'echo "told | " >>@CALLS@; exit 3' TERM
        while :; do sleep 0.1; done
    fi
    ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A repository with the shipped workflow, its runner, and what the stand-in for selfdeploy answers."""

    checkout: Path
    runner: Runner
    calls: Path
    record: Path

    def run(self, event: str = "workflow_dispatch", *, recorded: str = "", **inputs: str) -> list[str]:
        """Run the workflow for EVENT with INPUTS and return the calls of selfdeploy; the run has to be green."""
        self.calls.write_text("")
        self.record.write_text(recorded)
        run = self.runner.start(self.checkout, event, inputs=inputs)
        assert run.wait() == 0, run.text
        return self.calls.read_text().splitlines()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    need(runner.MISSING)
    folder = tmp_path_factory.mktemp("stage")
    calls, record, checkout = folder / "calls", folder / "record", folder / "sf"
    with Forge(folder / "forge", token=TOKEN) as forge:
        git = ["git", "-C", str(checkout), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        children.run(["git", "init", "--quiet", "--initial-branch", "main", str(checkout)])
        shipped = checkout / runner.WORKFLOW
        shipped.parent.mkdir(parents=True)
        shutil.copy(ROOT / "templates" / "repository" / "self-deploy.yml", shipped)
        (checkout / ".forgejo" / "selfdeploy.txt").write_text(REQUIREMENTS)
        children.run([*git, "add", "--all"])
        children.run([*git, "commit", "--quiet", "--message", "one"])
        children.run([*git, "push", "--quiet", str(forge.repository), "main"])
        secrets = {"SF_REGISTRY_TOKEN": "secret"}
        made = Runner(folder=folder / "runner", forge=forge, token=TOKEN, secrets=secrets)
        # As the step Install selfdeploy leaves it.
        kept = made.home / ".cache" / "selfdeploy" / hashlib.sha256(REQUIREMENTS.encode()).hexdigest()[:16]
        (kept / "bin").mkdir(parents=True)
        (kept / "complete").touch()
        (kept / "bin" / "inv").write_text(INV.replace("@CALLS@", str(calls)).replace("@RECORD@", str(record)))
        (kept / "bin" / "inv").chmod(0o755)
        try:
            yield Stage(checkout=checkout, runner=made, calls=calls, record=record)
        finally:
            made.close()


def test_a_command_is_told_of_a_cancelled_run(stage: Stage) -> None:
    stage.calls.write_text("")
    stage.record.write_text("slow")
    run = stage.runner.start(stage.checkout)
    children.wait_until(lambda: "rollout" in stage.calls.read_text(), "the rollout", seconds=60)

    run.cancel()
    code = run.wait()
    children.wait_until(lambda: "told" in stage.calls.read_text(), "SIGTERM", seconds=20)

    assert code != 0
    assert "promote" not in stage.calls.read_text()


def commands(calls: list[str]) -> list[str]:
    return [call.partition(" | ")[0].split()[0] for call in calls]


REPORT = ["report", "report"]
"""As a page and in the log, then as Markdown for the run's summary."""

ALL = ["gates", "gates", "build", "manifest", "rollout", "promote", *REPORT]


def test_a_push_goes_all_the_way_and_no_step_has_the_run_s_token(stage: Stage) -> None:
    calls = stage.run("push")

    assert commands(calls) == ALL
    assert [call for call in calls if " | tokens: | " not in call] == []
    assert [call for call in calls if call.startswith("gates | ")] == ["gates | tokens: | registry:"]
    assert stage.runner.forge.refused > 0  # so the check-out had to show the token


@pytest.mark.parametrize(
    ("to", "reaches"),
    [("prod", True), ("", True), ("test", False), ("prdo", False), ("Prod ", False), ("prod,test", False)],
)
def test_only_prod_or_nothing_at_all_goes_to_prod(stage: Stage, to: str, *, reaches: bool) -> None:
    calls = commands(stage.run(to=to))

    assert ("promote" in calls) is reaches
    assert calls[-3:] == ["promote" if reaches else "rollout", *REPORT]


def test_what_is_on_record_runs_no_gate_unless_that_or_another_image_is_asked_for(stage: Stage) -> None:
    digest = f"sha256:{'1' * 64}"

    found = stage.run("push", recorded=digest)
    fresh = stage.run(recorded=digest, fresh="true")
    other = stage.run(recorded=digest, image=f"there/sf@{digest}")

    assert commands(found) == ["gates", "build", "manifest", "rollout", "promote", *REPORT]
    assert found[0] == "gates --recorded | tokens: | registry:secret"
    assert fresh[0] == "gates --fresh | tokens: | registry:"
    assert other[0] == "gates | tokens: | registry:"
