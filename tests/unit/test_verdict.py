import pytest

from selfdeploy import config, errors
from selfdeploy.config import REQUIRED, Gate
from selfdeploy.gates import counting, scripts, verdict

BLOCKED = """
added 1 package in 708ms
npm warn install-scripts 2 packages had install scripts blocked because they are not covered by allowScripts:
npm warn install-scripts   dep@1.0.0 (postinstall: node -e "console.log(42);process.exit(3)")
npm warn install-scripts   @parcel/watcher@2.6.0 (install: node-gyp rebuild)
npm warn install-scripts
npm warn install-scripts Run `npm install-scripts ls` to review, or `npm install-scripts approve <pkg>` to allow.
"""
NOT_YET = """
npm warn allow-scripts 1 package has install scripts not yet covered by allowScripts:
npm warn allow-scripts   native@1.0.0 (install: node-gyp rebuild)
npm warn allow-scripts
npm warn allow-scripts Run `npm approve-scripts --allow-scripts-pending` to review
"""
STRICT = """
npm error code ESTRICTALLOWSCRIPTS
npm error --strict-allow-scripts: 1 package(s) have install scripts not covered by allowScripts:
npm error   dep@1.0.0 (postinstall: node x)
npm error Approve them with `npm install-scripts approve`, deny them with `npm install-scripts deny`
"""


def a_gate(*command: str, timeout: float = 900.0, minimum: int = 0, pattern: str = "") -> Gate:
    return Gate(command=command or ("x",), timeout=timeout, minimum_tests=minimum, tests_pattern=pattern)


def refuse(gate: Gate, code: int, output: str, *, timed_out: bool = False) -> errors.SelfdeployError:
    refusal = verdict.refusal("g", gate, code, output, timed_out=timed_out, log="/x.log")
    assert refusal is not None
    return refusal


def test_a_gate_that_passed_is_not_refused() -> None:
    assert verdict.refusal("g", a_gate(), 0, "") is None
    assert verdict.refusal("g", a_gate(minimum=2), 0, "# pass 2\n") is None
    assert verdict.refusal("g", a_gate(pattern=r"(?P<passed>\d+) ok"), 0, "0 ok\n") is None


def test_a_gate_that_took_too_long_says_which_key_to_raise_whatever_its_exit_code() -> None:
    for code in (0, 1, 143):
        refusal = refuse(a_gate(timeout=1.5), code, "begun\n", timed_out=True)

        assert isinstance(refusal, errors.GateFailed)
        assert refusal.message == "gate g: x: did not end within 1.5 s; log: /x.log\nbegun"
        assert "raise gates.override.g.timeout" in refusal.hint


def test_a_gate_that_failed_says_its_exit_code_and_what_explains_it() -> None:
    refusal = refuse(a_gate("sh", "-c", "exit 3", minimum=1), 3, f"# pass 1\n{counting.trailer([])}")

    assert isinstance(refusal, errors.GateFailed)
    assert refusal.message == "gate g: sh -c 'exit 3': exit code 3; log: /x.log\n# pass 1"
    assert "nox -s gates -- g" in refusal.hint


@pytest.mark.parametrize(
    "output", ["# tests 1\n# pass 0\n# skipped 1\n", "0 passed\n", "No test files found, exiting with code 0\n"]
)
def test_a_test_gate_that_ran_no_test_has_not_passed(output: str) -> None:
    refusal = refuse(REQUIRED["test-unit"], 0, output)

    assert isinstance(refusal, errors.GateFailed)
    assert "0 tests ran" in refusal.message
    assert "at least 1 have to run" in refusal.message
    assert "gates.override.g.minimum_tests" in refusal.hint


def test_a_test_gate_whose_only_file_has_no_test_names_the_file() -> None:
    record = {"runner": "node", "passed": 0, "failed": 0, "skipped": 0, "todo": 0, "empty": ["tests/a.test.mjs"]}

    refusal = refuse(REQUIRED["test-unit"], 0, f"\u2139 pass 1\n{counting.trailer([record])}")

    assert "0 tests ran; without tests: tests/a.test.mjs; at least 1" in refusal.message


def test_a_count_that_cannot_be_read_is_an_error_of_its_own_that_names_the_key() -> None:
    unknown, unmatched = (
        refuse(REQUIRED["test-unit"], 0, "fine\n"),
        refuse(a_gate(pattern="(?P<passed>x)"), 0, "fine\n"),
    )

    for refusal in (unknown, unmatched):
        assert isinstance(refusal, errors.CountUnreadable)
        assert "gates.override.g.tests_pattern" in refusal.hint
        assert refusal.message.endswith("fine")
    assert "no count of tests" in unknown.message
    assert "no line that gates.override.g.tests_pattern matches" in unmatched.message


def test_a_gate_with_scripts_blocked_by_npm_fails_and_names_the_approval() -> None:
    refusal = refuse(a_gate("npm", "ci"), 0, BLOCKED)

    assert isinstance(refusal, errors.ScriptsBlocked)
    assert "install scripts of @parcel/watcher, dep" in refusal.message
    assert "npm install-scripts approve @parcel/watcher dep" in refusal.hint


@pytest.mark.parametrize("prefix", [("--prefix", "web"), ("--prefix=web",), ("-C", "web")])
def test_where_npm_ran_in_another_folder_the_approval_does_too(prefix: tuple[str, ...]) -> None:
    refusal = refuse(a_gate("npm", *prefix, "ci"), 0, BLOCKED)

    assert "npm --prefix web install-scripts approve @parcel/watcher dep" in refusal.hint


def test_scripts_that_npm_could_not_name_are_approved_all() -> None:
    refusal = refuse(a_gate("sh", "install"), 0, BLOCKED.replace("   ", " "))

    assert "npm install-scripts approve --all" in refusal.hint


def test_a_strict_npm_that_failed_for_its_scripts_is_told_the_same_way() -> None:
    assert isinstance(refuse(a_gate("npm", "ci"), 1, STRICT), errors.ScriptsBlocked)


def test_scripts_that_npm_11_has_run_and_only_warns_of_are_no_reason() -> None:
    assert verdict.refusal("g", a_gate("npm", "ci"), 0, NOT_YET) is None


def test_a_gate_that_failed_although_npm_also_blocked_scripts_is_told_by_what_failed() -> None:
    assert isinstance(refuse(a_gate("npm", "ci"), 1, BLOCKED), errors.GateFailed)


def test_only_the_test_gate_has_to_report_tests() -> None:
    assert [name for name, gate in config.REQUIRED.items() if gate.minimum_tests] == ["test-unit"]


@pytest.mark.parametrize(
    ("name", "command", "place"),
    [
        ("npm-ci", ("npm", "ci"), None),
        ("npm-ci", ("npm", "ci", "--silent"), "."),
        ("npm-ci", ("npm", "ci", "--ignore-scripts"), None),
        ("npm-ci", ("npm", "ci", "-s", "--allow-scripts=sharp"), None),
        ("npm-ci", ("npm", "ci", "-s", "--dangerously-allow-all-scripts"), None),
        ("npm-ci", ("npm", "ci", "-s", "-C", "app"), "app"),
        ("npm-ci", ("sh", "-c", "npm ci --silent"), "."),
        ("web-npm-ci", ("npm", "--prefix", "web", "ci"), None),
        ("web-npm-ci", ("npm", "--prefix=host", "ci", "--loglevel=error"), "host"),
        ("web-npm-ci", ("sh", "-c", "cd web && npm ci -s"), "web"),
        ("build-core", ("npm", "run", "x"), None),
    ],
)
def test_npm_is_asked_for_blocked_scripts_where_a_log_may_not_name_them(
    name: str, command: tuple[str, ...], place: str | None
) -> None:
    assert scripts.place(name, command, REQUIRED[name].command) == place


def test_a_gate_whose_scripts_npm_says_it_blocked_has_not_passed() -> None:
    gate = a_gate("npm", "--prefix", "web", "ci", "-s")

    refusal = verdict.refusal("web-npm-ci", gate, 0, "", blocked=["sharp"])

    assert isinstance(refusal, errors.ScriptsBlocked)
    assert "npm did not run the install scripts of sharp," in refusal.message
    assert "npm --prefix web install-scripts approve sharp" in refusal.hint
