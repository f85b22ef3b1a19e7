"""Tests that node's runner really ran, counted under every reporter; and what it takes for a test."""

import json
import re
from collections.abc import Iterator, Sequence

import pytest

from lab.runners import Bench, bench
from selfdeploy import errors, source
from selfdeploy.config import deploy_toml
from selfdeploy.gates import receipt, runner

FAKE = "12 passed\n# pass 12\nTests: 9 passed, 9 total"
TEST = 'import { describe, it, test } from "node:test";'
FILES = {
    "tests/empty.mjs": f"console.log({json.dumps(FAKE)});\n",
    "tests/mix.mjs": f"""{TEST}
test("passes", () => {{}});
test("is skipped", {{ skip: "later" }}, () => {{}});
test("is todo and throws", {{ todo: true }}, () => {{ throw new Error("not yet"); }});
describe("suite", () => {{ it("inner", () => {{}}); it.skip("inner, skipped", () => {{}}); }});
describe("suite without tests", () => {{}});
""",
    "tests/todo.mjs": f'{TEST}\ntest("t", {{ todo: true }}, () => {{ throw new Error("x"); }});\n',
    "tests/skipped.mjs": f'{TEST}\ndescribe.skip("s", () => {{ it("t", () => {{}}); }});\n',
    "tests/hollow.mjs": f'{TEST}\ndescribe("nothing here", () => {{}});\n',
    "tests/fails.mjs": f'{TEST}\ntest("adds up", () => {{ throw new Error("1 is not 2"); }});\n',
    "tests/inherits.mjs": """
import { test } from "node:test";
import { execFileSync } from "node:child_process";
test("what it starts gets the gate's own environment", () => {
  const script = "console.log(JSON.stringify(process.env))";
  const told = JSON.parse(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" }));
  const ours = Object.keys(told).filter((name) => name.startsWith("SELFDEPLOY") || name === "NODE_OPTIONS");
  if (ours.length) throw new Error(ours.join());
});
""",
    "reporter.mjs": """
export default async function* (events) {
  const count = { pass: 0, fail: 0, skip: 0 };
  for await (const { type, data } of events) {
    if (type === "test:pass") count[data.skip ? "skip" : "pass"] += 1;
    if (type === "test:fail") count.fail += data.todo ? 0 : 1;
  }
  yield `${count.pass} passed, ${count.fail} failed, ${count.skip} skipped\\n`;
}
""",
    "run.mjs": """
import { run } from "node:test";
let passed = 0;
run({ files: ["tests/mix.mjs", "tests/empty.mjs"] }).on("test:pass", () => { passed += 1; }).on("test:fail", () => {})
  .on("end", () => console.log(`${passed} passed`)).resume();
""",
    "package.json": json.dumps(
        {
            "name": "sf",
            "version": "1.0.0",
            "files": ["dist"],
            "scripts": {
                "test:unit": "node --test --test-reporter=spec tests/mix.mjs tests/empty.mjs",
                "test:own": "NODE_OPTIONS=--no-warnings node --test --test-reporter=spec tests/mix.mjs tests/empty.mjs",
            },
        }
    ),
}
MIXED = {"ran": 2, "passed": 2, "failed": 0, "skipped": 2, "todo": 1}
PASSING = ("node", "--test", "tests/mix.mjs", "tests/empty.mjs")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("counts"), FILES) as made:
        yield made


def test_every_reporter_gives_the_same_count_and_empty_suites_are_named(node: Bench) -> None:
    reporters = ("spec", "tap", "dot", "junit", "lcov", "./reporter.mjs")
    commands: dict[str, Sequence[str]] = {
        f"r{number}": ("node", "--test", f"--test-reporter={reporter}", *PASSING[2:])
        for number, reporter in enumerate(reporters)
    }
    commands["script"] = ("npm", "run", "test:unit")
    commands["program"] = ("node", "run.mjs")

    endings = node.count(commands)

    for name in commands:
        told = endings[name]
        assert {key: told[key] for key in MIXED} == MIXED, name
        assert set(told["withoutTests"]) == {"tests/empty.mjs", "tests/mix.mjs > suite without tests"}, name


def test_where_a_script_sets_node_options_itself_what_the_runner_prints_is_counted(node: Bench) -> None:
    told = node.count({"own": ("npm", "run", "test:own")})["own"]

    assert {key: told[key] for key in MIXED} == MIXED
    assert told["withoutTests"] == ["tests/empty.mjs"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["tests/empty.mjs"], "; without tests: tests/empty.mjs"),
        (["--test-reporter=./reporter.mjs", "tests/empty.mjs"], "; without tests: tests/empty.mjs"),
        (["tests/none-*.mjs"], ""),
        (["tests/todo.mjs"], ", 1 todo"),
        (["tests/skipped.mjs"], ""),
        (["tests/hollow.mjs"], "; without tests: tests/hollow.mjs"),
    ],
)
def test_what_node_calls_passed_and_ran_nothing_has_not_passed(node: Bench, arguments: list[str], named: str) -> None:
    with pytest.raises(errors.GateFailed, match=f"0 tests ran(, 1 skipped)?{named}; at least 1 have to run"):
        node.run({"g": ("node", "--test", *arguments)})


def test_a_count_that_cannot_be_read_names_the_key_and_the_key_reads_it(node: Bench) -> None:
    said = {"g": ("node", "-e", 'console.log("ran 7 checks of 9")')}

    with pytest.raises(errors.CountUnreadable) as refused:
        node.run(said)
    node.run(said, minimum=7, keys="tests_pattern = 'ran (?P<passed>[0-9]+) checks'")
    with pytest.raises(errors.GateFailed, match="7 tests ran; at least 8 have to run"):
        node.run(said, minimum=8, keys="tests_pattern = 'ran (?P<passed>[0-9]+) checks'")

    assert "gates.override.g.tests_pattern" in refused.value.hint


def test_what_tests_start_gets_the_gate_s_own_environment(node: Bench) -> None:
    assert node.count({"g": ("node", "--test", "tests/inherits.mjs")})["g"]["passed"] == 1


def test_failing_tests_are_named_and_a_gate_s_time_out_names_its_setting(node: Bench) -> None:
    with pytest.raises(errors.GateFailed) as failed:
        node.run({"g": ("node", "--test", "tests/fails.mjs", *["tests/mix.mjs"] * 4)})
    with pytest.raises(errors.GateFailed) as slow:
        node.run({"g": ("sleep", "60")}, keys="timeout = 0.5")

    assert "\nfailed: adds up\n" in failed.value.message
    assert "failed: is todo and throws" not in failed.value.message
    assert "did not end within 0.5 s" in slow.value.message
    assert "gates.override.g.timeout" in slow.value.hint


def test_a_gate_s_session_counts_its_tests_and_exits_with_the_error_s_code(node: Bench) -> None:
    node.configure({"good": PASSING, "silent": ("node", "-e", "0")})

    good, silent = node.site.nox("good"), node.site.nox("silent")

    assert good.returncode == 0, good.stderr
    assert re.search(r"gate good passed in [0-9.]+ s: 2 tests ran, 2 skipped, 1 todo; without tests: ", good.stderr)
    assert silent.returncode == 24
    assert "gates.override.silent.tests_pattern" in silent.stderr


def test_the_kept_log_gives_the_same_count_again(node: Bench) -> None:
    true = ("node", "--version")
    gates = dict.fromkeys(("npm-ci", "web-npm-ci", "build-core", "build-web-host", "typecheck"), true)
    build = ("node", "-e", 'fs.mkdirSync("dist", {recursive: true}); fs.writeFileSync("dist/loader.js", "")')
    node.configure({**gates, "build-core": build}, minimum=0)
    file = node.site.folder / "deploy.toml"
    file.write_text(
        f'{file.read_text()}\n[gates]\nsmoke = "off"'  # nothing here is a server
        f"\n[gates.override.test-unit]\nminimum_tests = 2\ncommand = {json.dumps(PASSING)}\n"
    )
    project = deploy_toml.load(node.site.folder)
    revision = source.read(project.source_path(), "")

    runner.run(project, revision, node.node)
    found = receipt.require(project, revision)

    assert found.receipt.gates["test-unit"]["tests"] == {
        **MIXED,
        "withoutTests": ["tests/empty.mjs", "tests/mix.mjs > suite without tests"],
    }
    assert "tests" not in found.receipt.gates["build-core"]
