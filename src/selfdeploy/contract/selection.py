"""The selection by `files` of package.json before a build: npm's patterns on paths, existing or not."""

import fnmatch
import re
from collections.abc import Sequence

MOST = 512
"""Maximum number of alternatives from one pattern's braces."""


def selects(patterns: Sequence[str], path: str) -> bool:
    """Return whether PATTERNS select the file PATH; the last matching pattern decides.

    A folder selects everything below it, `!` excludes, a pattern without `/` matches a name at any depth if it has a
    wildcard, and case is ignored. Source: npm's package.json documentation (`files`) and npm-packlist.
    """
    selected = False
    for pattern in patterns:
        if matches(pattern.removeprefix("!"), path):
            selected = not pattern.startswith("!")
    return selected


def matches(pattern: str, path: str) -> bool:
    """Return whether PATTERN matches PATH or one of its parent folders."""
    parts = path.lower().split("/")
    for plain in _alternatives(pattern.lower().removeprefix("./").strip("/"))[:MOST]:
        segments = plain.split("/")
        starts = range(len(parts)) if len(segments) == 1 and re.search(r"[*?\[]", plain) else (0,)
        if any(_fits(segments, parts[start:]) for start in starts):
            return True
    return False


def _alternatives(pattern: str) -> list[str]:
    """Expand the groups in braces in PATTERN, without nesting."""
    patterns = [""]
    for literal, group in re.findall(r"((?:[^{]|\{(?![^{}]*,[^{}]*\}))*)(\{[^{}]*\}|)", pattern):
        choices = group[1:-1].split(",") if group else [""]
        patterns = [f"{head}{literal}{choice}" for head in patterns for choice in choices][:MOST]
    return patterns


def _fits(segments: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether SEGMENTS match PARTS or the start of PARTS, a parent folder."""
    if not segments:
        return True
    if segments[0] == "**":
        return any(_fits(segments[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], segments[0]) and _fits(segments[1:], parts[1:])
