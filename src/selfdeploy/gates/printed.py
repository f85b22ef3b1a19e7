"""The counts in the output of test runners; one function reads each runner's form; pure."""

import html
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from selfdeploy.gates.count import Count

WORDS = {
    **dict.fromkeys(("pass", "passed", "passes", "passing", "succeeded", "successful"), "passed"),
    **dict.fromkeys(("fail", "failed", "fails", "failing", "failures", "cancelled", "errored"), "failed"),
    **dict.fromkeys(("skip", "skipped", "pending", "ignored", "disabled"), "skipped"),
    **dict.fromkeys(("todo", "todos"), "todo"),
    **dict.fromkeys(("test", "tests", "total", "expected fail"), ""),
}
"""The runners' words for an outcome, and ours; the tests of an empty one are counted under another word already."""

FILE = re.compile(r"\S(?:.*\S)?\.[cm]?[jt]sx?")
"""A test named after its file: node reports a file without tests as one."""

NUMBER = r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,9})"
HASHED = re.compile(r"(?:#|\u2139) (tests|suites|pass|fail|cancelled|skip|skipped|todo) +([0-9]{1,9})")
BLOCK = ("tests", "suites", "pass", "fail", "cancelled", "skipped", "todo")
SPEC = re.compile(r"(?:\u2714|\u2716) (.+) \([0-9.]+ms\)")
POINT = re.compile(r"( *)(not )?ok\b(?: [0-9]+)?(?: -)?(?: (.*))?$")
DIRECTIVE = re.compile(r"# (skip|todo)", re.IGNORECASE)
BRACED = re.compile(r"# \{ (total: .*) \}")
PASSING = re.compile(rf"\s+{NUMBER} (passing|pending|failing)(?: \(.*\))?")
BUN = re.compile(r" ?([0-9]{1,9}) (pass|fail|skip|todo)")
NONE_FOUND = re.compile(r"No test(?: file)?s found, exiting with code 0")
JUNIT = re.compile(r"<!-- (tests|suites|pass|fail|cancelled|skipped|todo) ([0-9]{1,9}) -->")
CASE = re.compile(r"<testcase\b[^>]*>")
ATTRIBUTE = re.compile(r'\b(name|file)="([^"]*)"')
ITEM = re.compile(
    rf"{NUMBER}(?:/[0-9]+)? (?:tests? |specs? )?([a-z]+(?: fail)?)(?: \([^()]*\))?|([a-z]+)(?: ?[:=])? ?{NUMBER}"
)
ENDS = re.compile(r"^(?:\[[^\]]*\]|[^\w\[])+|[^\w)]+$")
LEAD = re.compile(
    r"(?:ok \| |failed \| |all (?=[0-9])|tests? (?=[a-z0-9])"
    r"|(?![^:]*\b(?:files?|suites?|snapshots?|assert\w*|steps?)\b)[\w@/. -]{1,40}: +(?=[a-z0-9]))"
)
TAIL = re.compile(r"\s*(?:\([^()]*\)|in [0-9.]+ ?m?s)$")


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))


def _gather(pairs: Sequence[tuple[str, str]]) -> Count:
    """Return the sum of PAIRS of a word and a number."""
    numbers = dict.fromkeys(("passed", "failed", "skipped", "todo"), 0)
    for word, digits in pairs:
        if name := WORDS.get(word, ""):
            numbers[name] += _number(digits)
    return Count.of(dict(numbers))


def hashed(lines: Sequence[str]) -> list[Count]:
    """Read node's `spec` and `tap`, and the TAP of mocha and tape: `# pass 12`.

    Node's summary is a block of eight lines. If there is one, such a line elsewhere was printed by a test.
    """
    found = [HASHED.fullmatch(line) for line in lines]
    pairs = [(match[1], match[2]) if match else ("", "") for match in found]
    words = [word for word, _ in pairs]
    blocks = [pairs[at : at + len(BLOCK)] for at in range(len(words)) if tuple(words[at : at + len(BLOCK)]) == BLOCK]
    if blocks:
        return [_without_files(_gather([pair for block in blocks for pair in block]), list(_files(lines)))]
    return [_gather(pairs)] if "pass" in words else []


def _without_files(count: Count, names: Sequence[str]) -> Count:
    passed = max(0, count.passed - len(names))
    return Count(passed=passed, failed=count.failed, skipped=count.skipped, todo=count.todo, empty=tuple(names))


def _files(lines: Sequence[str]) -> Iterator[str]:
    """Yield the files that node reports as tests because they have none."""
    inner = False
    for line in lines:
        point = POINT.fullmatch(line)
        if point and point[1]:
            inner = True
        elif point:
            if not inner and not point[2] and point[3] and FILE.fullmatch(point[3]):
                yield point[3]
            inner = False
        elif (found := SPEC.fullmatch(line)) and FILE.fullmatch(found[1]):
            yield found[1]


def tests_line(lines: Sequence[str]) -> list[Count]:
    """Read vitest and jest: `Tests  2 passed | 1 todo (3)`, `Tests:  1 skipped, 2 passed, 3 total`."""
    counts = [Count() for line in lines if NONE_FOUND.fullmatch(line)]
    for above, line in pairwise(lines):
        head, _, rest = (part.strip() for part in line.strip().partition(" "))
        if head in {"Tests", "Tests:"} and above.lstrip().startswith(("Test Files ", "Test Suites:")):
            pairs = _items(TAIL.sub("", rest))
            counts += [_gather(pairs)] if pairs or rest == "no tests" else []
    return counts


def passing(lines: Sequence[str]) -> list[Count]:
    """Read mocha: `  2 passing (3ms)`."""
    pairs = [(found[2], found[1]) for line in lines if (found := PASSING.fullmatch(line))]
    return [_gather(pairs)] if any(word == "passing" for word, _ in pairs) else []


def braced(lines: Sequence[str]) -> list[Count]:
    """Read tap: `# { total: 4, pass: 2, skip: 1 }`."""
    found = [match[1] for line in lines if (match := BRACED.fullmatch(line))]
    pairs = [part.split(": ", 1) for line in found for part in line.split(", ")]
    return [_gather([(word, digits) for word, digits in pairs if digits.isdecimal()])] if found else []


def bun(lines: Sequence[str]) -> list[Count]:
    """Read bun: ` 3 pass`, followed by `Ran 3 tests`."""
    if not any(re.match(r"Ran [0-9]+ tests? across", line) for line in lines):
        return []
    return [_gather([(found[2], found[1]) for line in lines if (found := BUN.fullmatch(line))])]


def points(lines: Sequence[str]) -> list[Count]:
    """Read TAP without a summary (Test Anything Protocol 14): its test points, except those that sum up others."""
    if not any(line.startswith("TAP version ") for line in lines):
        return []
    leaves = list[tuple[int, str]]()
    for line in lines:
        found = POINT.fullmatch(line)
        depth, name = len(found[1]) if found else line.find("}"), (found[3] or "") if found else ""
        if found is None and line.strip() != "}":
            continue
        if leaves and leaves[-1][0] > depth:
            _close(leaves, depth)
        elif found and not name.endswith("{"):
            directive = DIRECTIVE.search(name)
            leaves.append((depth, directive[1].lower() if directive else "fail" if found[2] else "pass"))
    return [_gather([(outcome, "1") for _, outcome in leaves])]


def _close(leaves: list[tuple[int, str]], depth: int) -> None:
    """Move the last of LEAVES, those deeper than DEPTH, up to DEPTH: a point there has summed them up."""
    for index in range(len(leaves) - 1, -1, -1):
        if leaves[index][0] <= depth:
            break
        leaves[index] = depth, leaves[index][1]


def junit(lines: Sequence[str]) -> list[Count]:
    """Read JUnit's XML: node's summary comments, or else every test case."""
    pairs = [(found[1], found[2]) for line in lines if (found := JUNIT.fullmatch(line.strip()))]
    if pairs:
        return [_without_files(_gather(pairs), list(_whole_files(lines)))]
    body = "\n".join(lines)
    outcomes = []
    for case, rest in zip(CASE.finditer(body), CASE.split(body)[1:], strict=True):
        inside = "" if case[0].endswith("/>") else rest.partition("</testcase>")[0]
        skipped, failed = "<skipped" in inside, "<failure" in inside or "<error" in inside
        outcomes.append("skipped" if skipped else "failed" if failed else "passed")
    return [_gather([(outcome, "1") for outcome in outcomes])] if "<testsuite" in body else []


def _whole_files(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        told = {name: html.unescape(value) for name, value in ATTRIBUTE.findall(line)} if "<testcase" in line else {}
        name = told.get("name", "").removeprefix("./")
        if line.endswith("/>") and FILE.fullmatch(name) and told.get("file", "").endswith(f"/{name}"):
            yield name


def json_reports(lines: Sequence[str]) -> list[Count]:
    """Read the JSON that vitest, jest and mocha print."""
    body, decoder, counts, at = "\n".join(lines), json.JSONDecoder(), list[Count](), 0
    for start in re.finditer(r"^[{\[]", body, re.MULTILINE):
        if start.start() < at:
            continue
        try:
            value, at = decoder.raw_decode(body, start.start())
        except (ValueError, RecursionError):
            continue
        counts += [found] if (found := json_report(value)) else []
    return counts


def json_report(value: object) -> Count | None:
    """Return the count in VALUE, a report of vitest, jest or mocha; None for any other value."""
    if isinstance(value, list) and value[:1] == ["end"] and len(value) > 1:  # mocha's json-stream
        value = {"stats": value[1]}
    if not isinstance(value, dict):
        return None
    stats = value.get("stats")
    if isinstance(stats, dict) and "passes" in stats:
        names = {"passed": "passes", "failed": "failures", "skipped": "pending"}
        return Count.of({ours: stats.get(theirs) for ours, theirs in names.items()})
    if "numTotalTests" in value:
        names = {"passed": "numPassedTests", "failed": "numFailedTests", "skipped": "numPendingTests"}
        return Count.of({ours: value.get(theirs) for ours, theirs in {**names, "todo": "numTodoTests"}.items()})
    return None


def _items(line: str) -> list[tuple[str, str]]:
    """Return the pairs of word and number in LINE; empty if LINE has anything else in it."""
    pairs = []
    for part in re.split(r"\s*(?:, |[|;\u00b7])\s*", line.lower()):
        found = ITEM.fullmatch(part.strip())
        word = (found[2] or found[3]) if found else ""
        if found is None or word not in WORDS:
            return []
        pairs.append((word, found[1] or found[4]))
    return pairs


def plain(lines: Sequence[str]) -> list[Count]:
    """Read any line that consists of a count alone: `6384 passed, 0 failed, 8 skipped`."""
    pairs = []
    for line in lines:
        bare = TAIL.sub("", ENDS.sub("", line.lower()))
        pairs += _items(bare) or _items(ENDS.sub("", LEAD.sub("", bare, count=1)))
    return [_gather(pairs)] if any(WORDS[word] == "passed" for word, _ in pairs) else []


Reader = Callable[[Sequence[str]], list[Count]]

SUMMARIES: tuple[tuple[Reader, frozenset[str]], ...] = (
    (hashed, frozenset({"mocha", "tap"})),
    (tests_line, frozenset({"vitest", "jest"})),
    (passing, frozenset({"mocha"})),
    (braced, frozenset({"tap"})),
    (bun, frozenset()),
)
"""Readers of a runner's own last line, with the runners that print it, as the recorder names them."""

LAST: tuple[Reader, ...] = (points, junit, plain)
"""Readers for a log without such a line; the first one to find a count ends the search."""
