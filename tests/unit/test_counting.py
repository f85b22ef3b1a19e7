"""Every form below was printed by the runner it names: node 24.19, vitest 5, jest 30, mocha 12, tap 21, tape 5."""

import json
import time

import pytest

from selfdeploy.gates import counting
from selfdeploy.gates.count import Count

SPEC = """hi from empty
\u2714 t/empty.test.mjs (124.622482ms)
\u2714 a ok (1.011615ms)
\ufe63 b skip (0.166438ms) # later
\u26a0 c todo throws (0.442919ms) # TODO
\u25b6 suite
  \u2714 inner ok (0.519523ms)
\u2714 suite (3.259539ms)
\u2139 tests 5
\u2139 suites 1
\u2139 pass 3
\u2139 fail 0
\u2139 cancelled 0
\u2139 skipped 1
\u2139 todo 1
\u2139 duration_ms 516.318168

\u2716 failing tests:

test at t/mix.test.mjs:5:1
\u26a0 c todo throws (0.442919ms) # TODO
  Error: not yet
"""
TAP = """TAP version 13
# Subtest: t/empty.test.mjs
ok 1 - t/empty.test.mjs
  ---
  duration_ms: 89.427845
  type: 'test'
  ...
# Subtest: t/holds.test.mjs
    # Subtest: inner
    ok 1 - inner
    1..1
ok 2 - t/holds.test.mjs
not ok 3 - c # TODO
1..3
# tests 4
# suites 0
# pass 3
# fail 0
# cancelled 0
# skipped 0
# todo 1
"""
JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites>
\t<testcase name="t/a&amp;b.test.mjs" time="0.109011" classname="test" file="/x/t/a&amp;b.test.mjs"/>
\t<testcase name="a ok" time="0.000763" classname="test" file="/x/t/mix.test.mjs"/>
\t<!-- tests 2 -->
\t<!-- pass 2 -->
\t<!-- fail 0 -->
</testsuites>
"""
VITEST = """
\x1b[1m\x1b[30m\x1b[46m RUN \x1b[49m\x1b[39m\x1b[22m \x1b[36mv5.1.2 \x1b[39m

\x1b[2m Test Files \x1b[22m \x1b[1m\x1b[32m1 passed\x1b[39m\x1b[22m\x1b[90m (1)\x1b[39m
\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m2 passed\x1b[39m\x1b[22m\x1b[2m | \x1b[22m\
\x1b[33m1 skipped\x1b[39m\x1b[2m | \x1b[22m\x1b[90m1 todo\x1b[39m\x1b[90m (4)\x1b[39m
"""
VITEST_TAP = """TAP version 13
1..1
ok 1 - a.test.mjs # time=3.77ms {
    1..4
    ok 1 - a # time=1.90ms
    ok 2 - b # SKIP
    ok 3 - c # TODO
    ok 4 - s # time=0.76ms {
        1..1
        ok 1 - d # time=0.58ms
    }
}
ok 2 - b.test.mjs # time=1.00ms {
    ok 1 - e
}
"""
JEST = """PASS j/a.test.js
Test Suites: 1 passed, 1 total
Tests:       1 failed, 1 skipped, 1 todo, 2 passed, 5 total
Snapshots:   7 passed, 7 total
"""
JEST_JSON = '{"numFailedTests":0,"numPassedTests":2,"numPendingTests":1,"numTodoTests":1,"numTotalTests":4}\n'
MOCHA = "\n  s\n    \x1b[32m\u2714\x1b[39m a\n\n  2 passing (3ms)\n  1 pending\n  1 failing\n\n  1) s\n       bad:\n"
MOCHA_TAP = "ok 1 s a\nok 2 s d\nok 3 s b # SKIP -\n# tests 2\n# pass 2\n# fail 0\n1..3\n"
MOCHA_JSON = '{\n  "stats": {\n    "suites": 1,\n    "passes": 2,\n    "pending": 2,\n    "failures": 0\n  }\n}'
MOCHA_STREAM = '["start",{"total":4}]\n["end",{"suites":1,"passes":2,"pending":2,"failures":0}]\n'
XUNIT = """<testsuite name="Mocha Tests" tests="3" failures="1" errors="0" skipped="1">
<testcase classname="s" name="a" file="/x/m/a.test.cjs" time="0"/>
<testcase classname="s" name="b" time="0"><skipped/></testcase>
<testcase classname="s" name="c" time="0"><failure>x</failure></testcase>
</testsuite>
"""
NODE_TAP = """TAP version 14
# Subtest: t/a.test.mjs
    ok 1 - should be equal
    1..1
ok 1 - t/a.test.mjs # time=212.253ms

# { total: 4, pass: 2, todo: 1, skip: 1 }
"""
TAPE = "TAP version 13\n# a\nok 1 should be truthy\nok 2 should be truthy\n\n1..2\n# tests 2\n# pass  2\n\n# ok\n"
BARE_TAP = "TAP version 14\n1..2\nok 1 - a\nnot ok 2 - b\nok 3\n"
BUN = "\n 3 pass\n 1 skip\n 2 todo\n 0 fail\n 3 expect() calls\nRan 6 tests across 1 file. [12.00ms]\n"


EMPTY = ("t/empty.test.mjs",)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (SPEC, Count(passed=2, skipped=1, todo=1, empty=EMPTY)),
        (TAP, Count(passed=2, todo=1, empty=EMPTY)),
        (JUNIT, Count(passed=1, empty=("t/a&b.test.mjs",))),
        ("\u2139 tests 0\n\u2139 pass 0\n\u2139 fail 0\n", Count()),
        (f"# pass 12\n12 passed\nTests:  9 passed, 9 total\n{SPEC}", Count(passed=2, skipped=1, todo=1, empty=EMPTY)),
        ("\x1b[34m\u2139 tests 2\x1b[39m\r\n\x1b[34m\u2139 pass 2\x1b[39m\r\n", Count(passed=2)),
        ("# pass 1\n...\n# pass 2\n# cancelled 1\n", Count(passed=3, failed=1)),
        (VITEST, Count(passed=2, skipped=1, todo=1)),
        (VITEST_TAP, Count(passed=3, skipped=1, todo=1)),
        (" Test Files  no tests\n      Tests  no tests\n", Count()),
        ("No test files found, exiting with code 0\n", Count()),
        ("No tests found, exiting with code 0\n", Count()),
        (JEST, Count(passed=2, failed=1, skipped=1, todo=1)),
        (JEST + JEST_JSON, Count(passed=2, skipped=1, todo=1)),
        (MOCHA, Count(passed=2, failed=1, skipped=1)),
        ("\n\n  0 passing (0ms)\n", Count()),
        (MOCHA_TAP, Count(passed=2)),
        (MOCHA_JSON, Count(passed=2, skipped=2)),
        (MOCHA_STREAM, Count(passed=2, skipped=2)),
        (XUNIT, Count(passed=1, failed=1, skipped=1)),
        (NODE_TAP, Count(passed=2, skipped=1, todo=1)),
        (TAPE, Count(passed=2)),
        (BARE_TAP, Count(passed=2, failed=1)),
        (BUN, Count(passed=3, skipped=1, todo=2)),
    ],
)
def test_the_count_is_read_in_the_form_of_every_known_runner(output: str, expected: Count) -> None:
    assert counting.count(output) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("6384 passed, 0 failed, 8 skipped", Count(passed=6384, skipped=8)),
        ("6,384 passed", Count(passed=6384)),
        ("\u2705 12 tests passed!", Count(passed=12)),
        ("All 12 tests passed.", Count(passed=12)),
        ("Tests passed: 12", Count(passed=12)),
        ("12/13 passed, 1 failed", Count(passed=12, failed=1)),
        ("Total: 13 | Passed: 12 | Failed: 1", Count(passed=12, failed=1)),
        ("unit: 3 passed | 1 ignored", Count(passed=3, skipped=1)),
        ("[12:00:01] 5 passed (1.2s)", Count(passed=5)),
        ("==== 3 passed, 1 skipped in 0.12s ====", Count(passed=3, skipped=1)),
        ("ok | 3 passed (2 steps) | 0 failed (12ms)", Count(passed=3)),
        ("10 passed\r20 passed, 0 failed", Count(passed=20)),
        ("  3 passed (1.2s)\n  1 skipped", Count(passed=3, skipped=1)),
        ("0 passed, 8 skipped", Count(skipped=8)),
    ],
)
def test_a_line_that_is_nothing_but_a_count_is_read(line: str, expected: Count) -> None:
    assert counting.count(f"> sf@1.0.0 test:unit\n\n{line}\n") == expected


@pytest.mark.parametrize(
    "output",
    [
        "",
        "done\n",
        "say: # pass 12\n",
        "it says 12 passed\n",
        "Snapshots: 2 passed\n",
        "Test Files  1 passed (1)\n",
        "Test Suites: 1 passed, 1 total\n",
        "8 skipped\n",
        "1..3\nok 1\n",
        '{"passed": 3}\n[1, 2]\n{"stats": 7}\n[' + "[" * 100_000,
    ],
)
def test_what_is_no_count_is_none(output: str) -> None:
    assert counting.count(output) is None


def test_counts_of_several_runners_in_one_log_add_up() -> None:
    assert counting.count(JEST + MOCHA) == Count(passed=4, failed=2, skipped=2, todo=1)


NODE = {"runner": "node", "passed": 3, "failed": 0, "skipped": 1, "todo": 0, "empty": ["a.test.mjs"]}


def test_what_node_s_runner_recorded_counts_and_not_what_a_test_prints() -> None:
    output = f"12 passed\nTests: 9 passed, 9 total\n# pass 7\n{counting.trailer([NODE])}"

    assert counting.count(output) == Count(passed=3, skipped=1, empty=("a.test.mjs",))


def test_of_another_runner_that_was_recorded_its_own_words_are_read() -> None:
    both = [NODE, {"runner": "vitest"}]

    assert counting.count(f"{VITEST}# pass 7\n{counting.trailer(both)}") == Count(
        passed=5, skipped=2, todo=1, empty=("a.test.mjs",)
    )
    assert counting.count(f"{VITEST_TAP}{counting.trailer([{'runner': 'vitest'}])}") == Count(
        passed=3, skipped=1, todo=1
    )


def test_a_json_report_in_a_file_stands_for_the_runner_s_own_line() -> None:
    recorded = [{"runner": "jest"}, {"report": json.loads(JEST_JSON)}]

    assert counting.count(f"{JEST}{counting.trailer(recorded)}") == Count(passed=2, skipped=1, todo=1)


@pytest.mark.parametrize("last", ["{", "7", '[7, {"runner": "node", "passed": "x"}]'])
def test_a_trailer_of_another_shape_records_nothing(last: str) -> None:
    assert counting.count(f"\n{counting.TRAILER}{last}\n") in {None, Count()}


def test_only_the_last_line_of_a_log_is_a_record() -> None:
    forged = counting.trailer([{**NODE, "passed": 99}])

    assert counting.count(f"{forged}{counting.trailer([NODE])}") == Count(passed=3, skipped=1, empty=("a.test.mjs",))


def test_a_pattern_comes_before_all_else() -> None:
    pattern = r"ran (?P<passed>[0-9,]+)(?: of which bad (?P<failed>\d+))?$"

    output = f"ran 1,200\nran 3 of which bad 2\n# pass 7\n{counting.trailer([NODE])}"

    assert counting.count(output, pattern) == Count(passed=1203, failed=2)


@pytest.mark.parametrize("output", ["# pass 7\n", "ran many\n", "ran \u0663\n"])
def test_a_pattern_that_finds_no_number_finds_no_count(output: str) -> None:
    assert counting.count(output, r"ran (?P<passed>\S+)") is None


def test_no_pattern_and_no_log_takes_long() -> None:
    began = time.monotonic()

    assert counting.count("a" * 200_000, r"(a+)+(?P<passed>b)") is None
    for line in (
        "-" * 200_000 + "a",
        " " * 200_000 + "x",
        "1 passed, " * 50_000 + "x",
        "ok 1 " * 50_000,
        "\x1b[" * 99_999,
    ):
        counting.count(f"TAP version 14\n<testsuite\n{line}\n")

    assert time.monotonic() - began < 10


def test_a_count_says_in_words_what_ran_and_names_suites_without_tests() -> None:
    names = tuple(f"{number}.test.mjs" for number in range(12))

    assert str(Count(passed=1)) == "1 test ran"
    assert str(Count(passed=2, failed=1, skipped=4, todo=5)) == "3 tests ran, 1 failed, 4 skipped, 5 todo"
    assert str(Count(empty=names)).startswith("0 tests ran; without tests: 0.test.mjs, 1.test.mjs")
    assert str(Count(empty=names)).endswith("9.test.mjs and 2 more")


def test_a_count_is_read_back_from_the_evidence() -> None:
    count = Count(passed=2, failed=1, skipped=4, todo=5, empty=("a",))

    assert Count.read(json.loads(json.dumps(count.as_data()))) == count
    assert count.as_data()["ran"] == 3


@pytest.mark.parametrize("evidence", [None, 7, [], {}, {"ran": 7}, "passed"])
def test_evidence_of_another_shape_has_no_count(evidence: object) -> None:
    assert Count.read(evidence) is None
