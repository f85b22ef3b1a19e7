"""A pattern that deploy.toml gives for a gate's log: RE2, whose time is linear in the log whatever the pattern."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import pydantic
import re2

GROUPS = ("passed", "failed", "skipped", "todo")
EXAMPLE = r"(?P<passed>[0-9]+) passed, (?P<failed>[0-9]+) failed"


def _compile(pattern: str) -> Any:  # noqa: ANN401 -- re2 has no types
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def matches(pattern: str, lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the groups by name of the first match of PATTERN in each of LINES; a group without a match is left out."""
    compiled = _compile(pattern)
    for line in lines:
        if found := compiled.search(line):
            yield {name: text for name, text in found.groupdict().items() if text is not None}


def _check(pattern: str) -> str:
    """Return PATTERN if it is empty, or a regular expression with the groups that are read."""
    if not pattern:
        return pattern
    try:
        groups = set(_compile(pattern).groupindex)
    except re2.error as exc:
        reason = exc.args[0].decode(errors="replace") if isinstance(exc.args[0], bytes) else exc
        raise ValueError(f"not a regular expression (RE2): {reason}") from exc
    if unknown := sorted(groups - set(GROUPS)):
        raise ValueError(f"no group named {', '.join(unknown)}; the groups are {', '.join(GROUPS)}")
    if "passed" not in groups:
        raise ValueError(f"no group named passed, for how many tests passed, as in {EXAMPLE}")
    return pattern


Pattern = Annotated[str, pydantic.AfterValidator(_check)]
