"""What `files` of package.json selects, before there is a build: npm's patterns over paths that need not exist."""

import fnmatch
import re
from collections.abc import Sequence

MOST = 512
"""Patterns that the braces of one stand for, at most."""


def selects(patterns: Sequence[str], path: str) -> bool:
    """Say whether PATTERNS select the file PATH; the last pattern that matches it decides.

    Source: npm's package.json documentation (`files`) and npm-packlist: a folder stands for all below it, `!` excludes,
    a pattern without `/` matches a name at any depth if it has a wildcard, case plays no part.
    """
    selected = False
    for pattern in patterns:
        if matches(pattern.removeprefix("!"), path):
            selected = not pattern.startswith("!")
    return selected


def matches(pattern: str, path: str) -> bool:
    """Say whether PATTERN matches PATH or a folder that it lies in."""
    parts = path.lower().split("/")
    for plain in _alternatives(pattern.lower().removeprefix("./").strip("/"))[:MOST]:
        segments = plain.split("/")
        starts = range(len(parts)) if len(segments) == 1 and re.search(r"[*?\[]", plain) else (0,)
        if any(_fits(segments, parts[start:]) for start in starts):
            return True
    return False


def _alternatives(pattern: str) -> list[str]:
    """Return the patterns that the groups in braces of PATTERN stand for; a group does not nest."""
    patterns = [""]
    for literal, group in re.findall(r"((?:[^{]|\{(?![^{}]*,[^{}]*\}))*)(\{[^{}]*\}|)", pattern):
        choices = group[1:-1].split(",") if group else [""]
        patterns = [f"{head}{literal}{choice}" for head in patterns for choice in choices][:MOST]
    return patterns


def _fits(segments: Sequence[str], parts: Sequence[str]) -> bool:
    """Say whether PARTS begin with what SEGMENTS match, so that they are it or lie in it."""
    if not segments:
        return True
    if segments[0] == "**":
        return any(_fits(segments[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], segments[0]) and _fits(segments[1:], parts[1:])
