"""The lines of a failed gate's log that explain the failure, and the log's beginning and end; pure."""

import re
from collections.abc import Iterator, Sequence

FIRST = 5
LAST = 25
"""Lines to show from a log's beginning and from its end."""

CAUSES = 12
"""Most lines to show of one cause or thrown error, and most compiler errors."""

NPM_LINES = 25
"""Most lines to show from the beginning of npm's own error, and most later lines that name an error."""

TESTS = 20
"""Most failing tests to name."""

WIDEST = 400
"""Most characters to show of a line."""

NPM = re.compile(r"npm (?:error|ERR!)(?: |$)")
USAGE = re.compile(r"npm (?:error|ERR!) (?:Usage:|Options:)")
ASIDE = re.compile(r"npm (?:error|ERR!)(?: A complete log of this run.*|\s*)$")
ERROR = re.compile(r"\berror\b(?!.*\bapproach)", re.IGNORECASE)
COMPILER = re.compile(r"\S.*(?:\([0-9]+,[0-9]+\): error TS|:[0-9]+:[0-9]+ - error TS)[0-9]+: |error TS[0-9]+: ")
BUNDLER = re.compile(r"\s*(?:Failed to compile|Type error: |Module not found: |\u2718 \[ERROR\] )")
THROWN = re.compile(r"(?:Uncaught )?(?:[A-Za-z_$][\w$.]*)?(?:Error|Exception)(?: \[\w+\])?(?:: .*|:?$)")
WHERE = re.compile(r"(?:file://)?/\S+:[0-9]+$|node:\S+:[0-9]+$")
FRAME = re.compile(r"\s+at ")
SECTION = re.compile(r"\u2716 failing tests:")
FAILED = (
    re.compile(r"\s*\u2716 (?!failing tests:)(.+?)(?: \([0-9.]+ms\))?"),  # node's spec
    re.compile(r"\s*not ok [0-9]+(?: -)? ((?!.*# (?:TODO|SKIP)).+?)(?: # time=.*)?(?: \{)?", re.IGNORECASE),  # TAP
    re.compile(r" ?FAIL(?:ED)?:? +(.+)"),  # vitest, jest
    re.compile(r"  \u25cf (?!Console$)(.+)"),  # jest
    re.compile(r"\(fail\) (.+?)(?: \[[0-9.]+ms\])?"),  # bun
    re.compile(r"\s*[\u2717\u2718\u00d7\u2715\u274c] (.+?)(?: \(?[0-9.]+ ?ms\)?)?"),
)
MOCHA = re.compile(r" {2,}[0-9]+\) (.+)")


def excerpt(lines: Sequence[str]) -> str:
    """Return the causes of the failure in LINES, a log, then the log's beginning and end; a short log whole."""
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    lines = [line if len(line) <= WIDEST else f"{line[:WIDEST]}..." for line in lines[:end]]
    if len(lines) <= FIRST + LAST and not any(USAGE.match(line) for line in lines):
        return "\n".join(lines)
    causes = [*_npm(lines), *_compiler(lines), *_thrown(lines), *(f"failed: {name}" for name in _failing(lines))]
    rest = [line for line in lines if not NPM.match(line)]
    hidden = len(rest) - FIRST - LAST
    around = [*rest[:FIRST], f"... {hidden} more lines ...", *rest[-LAST:]] if hidden > 0 else rest
    return "\n".join([*causes, *(["--- its log:"] if causes and rest else []), *around])


def _npm(lines: Sequence[str]) -> Iterator[str]:
    """Yield npm's own errors up to its usage; after the first `NPM_LINES`, only lines that name an error."""
    shown = 0
    for line in lines:
        if USAGE.match(line):
            return
        if NPM.match(line) and not ASIDE.match(line) and (shown < NPM_LINES or ERROR.search(line[len("npm error") :])):
            shown += 1
            yield line
        if shown == 2 * NPM_LINES:
            return


def _compiler(lines: Sequence[str]) -> Iterator[str]:
    """Yield TypeScript's first errors, or else the first lines of a bundler's error."""
    found = [line for line in lines if COMPILER.match(line)]
    yield from found[:CAUSES]
    if len(found) > CAUSES:
        yield f"... and {len(found) - CAUSES} more errors"
    start = next((index for index, line in enumerate(lines) if BUNDLER.match(line)), None)
    if not found and start is not None:
        yield from [line for line in lines[start : start + CAUSES] if line]


def _thrown(lines: Sequence[str]) -> Iterator[str]:
    """Yield the first error that ended a Node program, after its location and with its first stack frame."""
    start = next((index for index, line in enumerate(lines) if THROWN.match(line)), None)
    if start is None:
        return
    places = [index for index in range(max(0, start - 6), start) if WHERE.match(lines[index])]
    yield from [line for line in lines[places[0] if places else start : start] if line]
    yield lines[start]
    for line in lines[start + 1 : start + CAUSES]:
        if line and not FRAME.match(line):
            yield line
        elif FRAME.match(line):
            yield line
            return


def _failing(lines: Sequence[str]) -> list[str]:
    """Return the names of the failed tests, in the forms of the known runners, without duplicates."""
    start = next((index for index, line in enumerate(lines) if SECTION.match(line)), 0)
    names = [found[1] for line in lines[start:] for form in FAILED if (found := form.fullmatch(line))]
    for index, line in enumerate(lines):
        if (found := MOCHA.fullmatch(line)) and (name := _mocha(lines[index + 1 : index + 8])):
            names.append(f"{found[1]} > {name}")
    unique = list(dict.fromkeys(names))
    more = [f"... and {len(unique) - TESTS} more"] if len(unique) > TESTS else []
    return [*unique[:TESTS], *more]


def _mocha(lines: Sequence[str]) -> str:
    """Return the rest of a failing test's name from the LINES after its number; empty if they hold something else."""
    parts = []
    for line in lines:
        if not line.startswith("       "):
            break
        parts.append(line.strip())
        if line.endswith(":"):
            return " > ".join(parts).removesuffix(":")
    return ""
