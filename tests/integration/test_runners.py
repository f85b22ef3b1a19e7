"""The runners and npms that applications use, as they come from npm: what they print is counted, or refused."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.needed import need
from lab.runners import Bench, bench
from selfdeploy import errors

PACKAGES = {
    "jest": "30.5.2",
    "mocha": "12.0.3",
    "npm10": "npm:npm@10.9.3",
    "npm12": "npm:npm@12.2.2",
    "tap": "21.8.0",
    "vitest": "5.1.2",
}
NATIVE = {"name": "native", "version": "1.0.0", "gypfile": True, "scripts": {"install": "node-gyp rebuild"}}
FILES = {
    "package.json": json.dumps({"name": "sf", "version": "1.0.0", "private": True}),
    ".npmrc": "loglevel=error\n",
    "v/a.test.mjs": """
import { describe, expect, it, test } from "vitest";
test("passes", () => {});
it.skip("is skipped", () => {});
it.todo("is todo");
describe("suite", () => { it("inner", () => { expect(1).toBe(1); }); });
""",
    "j/a.test.js": """
test("passes", () => {});
test.skip("is skipped", () => {});
test.todo("is todo");
describe("suite", () => { it("inner", () => {}); });
""",
    "m/a.cjs": """
describe("suite", () => { it("passes", () => {}); it("inner", () => {}); it.skip("is skipped", () => {}); });
""",
    "m/none.cjs": "console.log('12 passed');\n",
    "m/fails.cjs": 'describe("suite", () => { it("adds up", () => { throw new Error("1 is not 2"); }); });\n',
    "t/a.mjs": """
import t from "tap";
t.test("passes", (t) => { t.ok(true); t.equal(1, 1); t.end(); });
t.test("is skipped", { skip: true }, (t) => t.end());
t.test("is todo", { todo: true }, (t) => t.end());
""",
    "app/package.json": json.dumps({"name": "app", "version": "1.0.0", "dependencies": {"dep": "file:dep"}}),
    "app/dep/package.json": json.dumps({"name": "dep", "version": "1.0.0", "scripts": {"postinstall": "echo > ran"}}),
    "out/package.json": json.dumps({"name": "out", "version": "1.0.0", "dependencies": {"dep": "file:../app/dep"}}),
    "out/package-lock.json": json.dumps(
        {"name": "out", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "out", "version": "1.0.0"}}}
    ),
    "native/package.json": json.dumps(NATIVE),
    "native/binding.gyp": json.dumps({"targets": [{"target_name": "hello", "sources": ["hello.c"]}]}),
    "native/hello.c": """#include <node_api.h>
static napi_value Init(napi_env env, napi_value exports) { return exports; }
NAPI_MODULE(hello, Init)
""",
}
ALL = {"ran": 2, "passed": 2, "failed": 0, "skipped": 1, "todo": 1}


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench whose checkout has the runners beside it, in a folder that node finds from there; one install for all."""
    folder = tmp_path_factory.mktemp("runners")
    with bench(folder, FILES) as made:
        packages = {"name": "runners", "private": True, "devDependencies": PACKAGES}
        (folder / "package.json").write_text(json.dumps(packages))
        argv = [str(made.node / "npm"), "install", "--no-audit", "--no-fund", "--prefer-offline"]
        subprocess.run(argv, cwd=folder, env=made.environment, check=True, timeout=900, capture_output=True)
        yield made


def binary(bench: Bench, name: str) -> str:
    return str(bench.site.folder / "node_modules" / ".bin" / name)


def npm(bench: Bench, name: str) -> tuple[str, str]:
    return "node", str(bench.site.folder / "node_modules" / name / "bin" / "npm-cli.js")


def test_the_tests_of_every_runner_are_counted_alike(runners: Bench) -> None:
    vitest, jest, mocha, tap = (binary(runners, name) for name in ("vitest", "jest", "mocha", "tap"))
    commands = {
        "vitest": (vitest, "run", "--root", "v"),
        "vitest-json": (vitest, "run", "--root", "v", "--reporter=json"),
        "vitest-both": (vitest, "run", "--root", "v", "--reporter=default", "--reporter=json"),
        "vitest-tap": (vitest, "run", "--root", "v", "--reporter=tap"),
        "jest": (jest, "--rootDir", "j"),
        "jest-json": (jest, "--rootDir", "j", "--json"),
        "jest-file": (jest, "--rootDir", "j", "--json", "--outputFile=out.json"),
        "mocha": (mocha, "m/a.cjs"),
        "mocha-json": (mocha, "--reporter=json", "m/a.cjs"),
        "mocha-xunit": (mocha, "--reporter=xunit", "m/a.cjs"),
        "tap": (tap, "--disable-coverage", "--allow-incomplete-coverage", "t/a.mjs"),
    }

    counts = runners.count(commands)

    for name in commands:
        expected = {**ALL, "todo": 0} if name.startswith("mocha") else ALL
        assert {key: counts[name][key] for key in ALL} == expected, name


@pytest.mark.parametrize(
    "command",
    [
        ("vitest", "run", "--root", "v", "nothing", "--passWithNoTests"),
        ("jest", "--rootDir", "j", "nothing", "--passWithNoTests"),
        ("mocha", "m/none.cjs"),
    ],
)
def test_a_runner_that_ran_nothing_and_succeeded_has_not_passed(runners: Bench, command: tuple[str, ...]) -> None:
    with pytest.raises(errors.GateFailed, match="0 tests ran; at least 1 have to run"):
        runners.run({"g": (binary(runners, command[0]), *command[1:])})


def test_a_failing_install_shows_its_cause_and_not_how_npm_is_used(runners: Bench) -> None:
    for name in ("npm10", "npm12"):
        with pytest.raises(errors.GateFailed) as failed:
            runners.run({"g": (*npm(runners, name), "--prefix", "out", "ci")}, minimum=0)

        shown = failed.value.message.splitlines()
        assert shown[1] == "npm error code EUSAGE"
        assert any("Missing: dep@" in line for line in shown)
        assert not any("Usage:" in line or "--install-strategy" in line for line in shown)


def test_an_install_with_scripts_blocked_by_npm_12_fails_even_when_quiet(
    runners: Bench,
) -> None:
    install = ("--prefix", "app", "install", "--install-links", "--no-package-lock")

    with pytest.raises(errors.ScriptsBlocked) as blocked:
        runners.run({"g": (*npm(runners, "npm12"), *install)}, minimum=0)
    ran = runners.room.export / "app" / "node_modules" / "dep" / "ran"
    ran_with = {"npm 12": ran.exists()}
    runners.run({"g": ("npm", *install)}, minimum=0)
    ran_with["npm 11"] = ran.exists()

    assert ran_with == {"npm 12": False, "npm 11": True}
    assert "install scripts of dep," in blocked.value.message
    assert "install-scripts approve dep" in blocked.value.hint


def test_what_npm_12_blocked_is_asked_for_where_the_install_is_silent(runners: Bench, tmp_path: Path) -> None:
    (tmp_path / "node").symlink_to((runners.node / "node").resolve())
    (tmp_path / "npm").symlink_to(npm(runners, "npm12")[1])
    install = ("npm", "--prefix", "app", "install", "--install-links", "--no-package-lock", "--silent")
    ran = runners.room.export / "app" / "node_modules" / "dep" / "ran"

    for command in (install, ("sh", "-c", f"{' '.join(install)} && mv app/node_modules app/package.json .")):
        with pytest.raises(errors.ScriptsBlocked, match="did not run the install scripts of dep,") as blocked:
            runners.run({"npm-ci": command}, minimum=0, programs=tmp_path)
        assert "install-scripts approve dep" in blocked.value.hint
        assert "blocked" not in runners.room.log("npm-ci").read_text()
    runners.run({"npm-ci": (*install, "--ignore-scripts")}, minimum=0, programs=tmp_path)
    runners.run({"npm-ci": install}, minimum=0)  # npm 11 runs them

    assert ran.exists()


def test_what_the_error_says_approves_the_scripts(runners: Bench) -> None:
    twelve = npm(runners, "npm12")
    folder = runners.site.folder / "approve"
    shutil.copytree(runners.site.folder / "sf" / "app", folder / "app")

    def run(*argv: str) -> None:
        environment = runners.environment
        subprocess.run([*twelve, *argv], cwd=folder, env=environment, check=True, timeout=300, capture_output=True)

    run("--prefix", "app", "install", "--install-links")
    run("--prefix", "app", "install-scripts", "approve", "dep")
    shutil.rmtree(folder / "app" / "node_modules")
    run("--prefix", "app", "ci", "--install-links")

    assert (folder / "app" / "node_modules" / "dep" / "ran").exists()


def test_native_modules_compile_without_a_download_and_no_npm_warns_of_how(runners: Bench) -> None:
    need([f"{program}, to compile" for program in ("make", "g++", "python3") if not shutil.which(program)])
    # What a download would be asked of is closed: nothing listens at port 9.
    install = ("--prefix", "native", "install", "--foreground-scripts", "--no-package-lock")
    closed = ("env", "npm_config_disturl=http://127.0.0.1:9", "NODEJS_ORG_MIRROR=http://127.0.0.1:9")
    commands = {"ten": npm(runners, "npm10"), "own": ("npm",), "twelve": npm(runners, "npm12")}

    for name, program in commands.items():
        runners.run({name: (*closed, *program, *install)}, minimum=0)

        log = runners.room.log(name).read_text()
        assert (runners.room.export / "native" / "build" / "Release" / "hello.node").is_file(), log
        assert "nodedir" not in "".join(line for line in log.splitlines() if "warn" in line.lower())
