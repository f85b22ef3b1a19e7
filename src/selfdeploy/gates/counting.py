"""The number of tests that a gate ran, by its runners' records or else their printed totals; pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add

from selfdeploy import config
from selfdeploy.gates import printed, text
from selfdeploy.gates.count import Count

TRAILER = "[selfdeploy] tests: "
"""Prefix of the last line of a counted gate's log; a JSON list of its runners' records follows."""


def is_counted(gate: config.Gate) -> bool:
    """Return True if GATE has to report how many tests it ran."""
    return bool(gate.minimum_tests or gate.tests_pattern)


def trailer(records: Iterable[object]) -> str:
    """Return the last line of a counted gate's log, with its runners' RECORDS."""
    return f"\n{TRAILER}{json.dumps(list(records), sort_keys=True)}\n"


def count(output: str, pattern: str = "") -> Count | None:
    """Return the count of tests in OUTPUT, a gate's log; None if it has no readable count.

    With PATTERN, the gate's `tests_pattern`, only its matches count. Otherwise the runners' records come first, then
    the printed forms of the known runners. If a runner left a record, the summary line of another runner is ignored: a
    test may print anything.
    """
    printed_output, records = _parted(output)
    lines = text.lines(printed_output)
    if pattern:
        return _total(_matched(lines, pattern))
    ran = {str(record["runner"]) for record in records if "runner" in record}
    counts = [Count.of(record) for record in records if record.get("runner") == "node"]
    if not ran or ran - {"node"}:
        reports = [found for record in records if (found := printed.json_report(record.get("report")))]
        counts += _printed(lines, ran, reports)
    return _total(counts)


def body(output: str) -> str:
    """Return OUTPUT without its trailer."""
    return _parted(output)[0]


def _total(counts: Sequence[Count]) -> Count | None:
    return reduce(add, counts) if counts else None


def _parted(output: str) -> tuple[str, list[Mapping[str, object]]]:
    """Split OUTPUT into the log and the records in its trailer, if it has one."""
    before, mark, last = output.rpartition(f"\n{TRAILER}")
    try:
        records = json.loads(last) if mark else []
    except (ValueError, RecursionError):
        return output, []
    if not isinstance(records, list):
        return output, []
    return (before if mark else output), [record for record in records if isinstance(record, dict)]


def _printed(lines: Sequence[str], ran: set[str], reports: Sequence[Count]) -> list[Count]:
    """Return the counts in LINES, in the forms of the runners in RAN, or of all runners if RAN is empty.

    REPORTS are the counts of JSON reports in files. These, and JSON reports in LINES, replace vitest's and jest's own
    lines. The forms in `printed.LAST` are read only if no other form gives a count.
    """
    counts = [*reports, *printed.json_reports(lines)]
    with_json = bool(counts)
    for read, runners in printed.SUMMARIES:
        wanted = not ran or (runners & ran and not (read is printed.hashed and "node" in ran))
        if wanted and not (with_json and read is printed.tests_line):
            counts += read(lines)
    for read in printed.LAST:
        counts = counts or read(lines)
    return counts


def _matched(lines: Sequence[str], pattern: str) -> list[Count]:
    """Return the counts that PATTERN finds in LINES; skip a match if one of its groups is not a number."""
    counts = []
    for groups in config.matches(pattern, lines):
        numbers = {name: digits.replace(",", "") for name, digits in groups.items()}
        if all(number.isascii() and number.isdecimal() for number in numbers.values()):
            counts.append(Count.of({name: int(number) for name, number in numbers.items()}))
    return counts
