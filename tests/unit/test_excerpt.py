import time

from selfdeploy.gates import text
from selfdeploy.gates.excerpt import FIRST, LAST, excerpt

USAGE = (
    """npm error code EUSAGE
npm error
npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync.
npm error
npm error Missing: is-odd@3.0.1 from lock file
npm error
npm error Clean install a project
npm error
npm error Usage:
npm error npm ci
"""
    + "npm error   --install-strategy\nnpm error     Sets the strategy for installing packages\n" * 40
)
FILLER = [f"line {number}" for number in range(60)]


def of(*lines: str) -> list[str]:
    return excerpt([*FILLER[:30], *lines, *FILLER[30:]]).splitlines()


def test_of_npm_s_error_the_cause_is_shown_and_not_its_usage() -> None:
    shown = excerpt(text.lines(USAGE))

    assert "Missing: is-odd@3.0.1 from lock file" in shown
    assert "code EUSAGE" in shown
    assert "Usage" not in shown
    assert "--install-strategy" not in shown
    assert len(shown.splitlines()) == 4


def test_npm_s_usage_is_left_out_of_a_short_log_too() -> None:
    shown = excerpt(
        ["> build", "npm error code EUSAGE", "npm error Missing: a@1.0.0", "npm error Usage:", "npm error npm ci"]
    )

    assert shown.splitlines() == ["npm error code EUSAGE", "npm error Missing: a@1.0.0", "--- its log:", "> build"]


def test_an_excerpt_of_a_long_npm_error_keeps_its_start_and_its_error_lines() -> None:
    log = [
        "npm error code 1",
        *(f"npm error gyp info {number}" for number in range(100)),
        "npm error ../src/x.cc:12:3: error: 'foo' was not declared",
        *(f"npm error make: {number}" for number in range(100)),
        "npm error A complete log of this run can be found in: /x.log",
    ]

    shown = excerpt(log).splitlines()

    assert shown[0] == "npm error code 1"
    assert "npm error ../src/x.cc:12:3: error: 'foo' was not declared" in shown
    assert len(shown) < 30


def test_all_that_a_lock_file_lacks_is_shown() -> None:
    missing = [f"npm error Missing: package-{number}@1.0.0 from lock file" for number in range(20)]

    shown = excerpt(text.lines(USAGE.replace("npm error Missing: is-odd@3.0.1 from lock file", "\n".join(missing))))

    assert set(missing) <= set(shown.splitlines())


def test_an_older_npm_s_errors_are_known_too() -> None:
    shown = excerpt(["npm ERR! code E404", *["npm ERR! Options:"] * 40])

    assert shown == "npm ERR! code E404"


def test_the_first_errors_of_typescript_are_shown_and_the_others_counted() -> None:
    plain = [f"src/a.ts({number},5): error TS2322: Type 'x'" for number in range(1, 21)]

    shown = of(*plain)

    assert shown[:12] == plain[:12]
    assert shown[12] == "... and 8 more errors"
    assert of("src/b.ts:1:5 - error TS2304: Cannot find name 'x'.")[0].startswith("src/b.ts:1:5")


def test_what_a_bundler_says_first_is_shown() -> None:
    assert of("Failed to compile.", "", "./app/page.tsx:3:1", "Type error: x")[:3] == [
        "Failed to compile.",
        "./app/page.tsx:3:1",
        "Type error: x",
    ]


def test_an_error_that_ended_node_is_shown_with_its_place_and_first_frame() -> None:
    shown = of(
        "/sf/y.cjs:1",
        "function f(){ throw new TypeError('boom happened'); }",
        "              ^",
        "",
        "TypeError: boom happened",
        "    at f (/sf/y.cjs:1:21)",
        "    at Object.<anonymous> (/sf/y.cjs:2:1)",
    )

    assert shown[:5] == [
        "/sf/y.cjs:1",
        "function f(){ throw new TypeError('boom happened'); }",
        "              ^",
        "TypeError: boom happened",
        "    at f (/sf/y.cjs:1:21)",
    ]
    assert shown[5] == "--- its log:"
    assert of("Error [ERR_MODULE_NOT_FOUND]: Cannot find module 'x'")[0].startswith("Error [ERR_MODULE_NOT_FOUND]")


def test_the_failing_tests_are_named_in_the_forms_of_the_known_runners() -> None:
    names = {
        "\u2716 adds (1.2ms)": "adds",
        "not ok 3 - adds": "adds",
        "not ok 2 - adds # time=1.2ms": "adds",
        " FAIL  a.test.ts > suite > adds": "a.test.ts > suite > adds",
        "FAIL src/a.test.js": "src/a.test.js",
        "  \u25cf suite \u203a adds": "suite \u203a adds",
        "(fail) adds [0.12ms]": "adds",
        "   \u00d7 adds 4ms": "adds",
    }

    for line, name in names.items():
        assert of(line)[0] == f"failed: {name}", line
    assert of("  1) suite", "       inner", "         adds:", "     Error: x")[0] == "failed: suite > inner > adds"


def test_a_todo_that_fails_is_no_failing_test_and_no_name_comes_twice() -> None:
    shown = of(
        "\u2716 suite (2ms)",
        "\u2716 failing tests:",
        "\u2716 adds (1ms)",
        "\u26a0 later (1ms) # TODO",
        "not ok 4 - later # TODO",
        "\u2716 adds (1ms)",
        "  1) no test at all",
    )

    assert [line for line in shown if line.startswith("failed: ")] == ["failed: adds"]


def test_of_many_failing_tests_the_first_are_named_and_the_others_counted() -> None:
    shown = of(*(f"not ok {number} - test {number}" for number in range(1, 26)))

    assert shown[19] == "failed: test 20"
    assert shown[20] == "failed: ... and 5 more"


def test_the_beginning_and_the_end_of_the_log_come_last() -> None:
    assert excerpt(FILLER).splitlines() == [
        *FILLER[:FIRST],
        f"... {60 - FIRST - LAST} more lines ...",
        *FILLER[-LAST:],
    ]


def test_a_short_log_is_shown_as_it_is() -> None:
    assert excerpt(["a", "", "b", "", ""]) == "a\n\nb"
    assert excerpt([]) == ""
    assert excerpt(["x" * 1000]) == f"{'x' * 400}..."


def test_colours_and_what_a_terminal_would_obey_are_left_out() -> None:
    hostile = "\x1b]0;title\x07\x1b[31mred\x1b[0m\x1b[2J\x08\x9b1A \x1b]8;;file:///x\x1b\\link\nold\rnew\r\n"

    assert text.lines(hostile) == ["red1A link", "new", ""]


def test_no_line_takes_long() -> None:
    began = time.monotonic()

    for line in (
        "\u2716 (" + "1" * 200_000,
        "not ok 1 " + "# TIME " * 30_000,
        "Error" * 50_000,
        "npm error " + " error" * 30_000,
    ):
        excerpt([line] * 40)

    assert time.monotonic() - began < 10
