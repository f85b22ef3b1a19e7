"""The commits between the running revision and the next one, as git lists them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import errors
from selfdeploy.source import git

SHOWN = 10
"""Most commits to list; their number is always given."""

FORMAT = "%H%x00%an%x00%s"
"""One line for each commit, in the syntax of git-rev-list."""

FOUND = re.compile(r"^([0-9a-f]{40})\0([^\0\n]*)\0([^\0\n]*)$", re.MULTILINE)
"""The pattern to read such a line; a name or a subject may hold anything else."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit: its revision, the first line of its message, and its author's name."""

    revision: str
    subject: str
    author: str

    def __str__(self) -> str:
        """Return the line for a plan."""
        return f"{self.revision[:12]} {self.subject} ({self.author})"


def subjects(checkout: Path, revisions: Iterable[str]) -> dict[str, str]:
    """Return the first line of the message of each of REVISIONS that CHECKOUT has."""
    argv = ["cat-file", "--batch-check=%(objectname) %(objecttype)"]
    asked = "".join(f"{revision}\n" for revision in revisions if re.fullmatch("[0-9a-f]{40}", revision))
    told = _ask(checkout, *argv, stdin=asked.encode()) if asked else ""
    known = re.findall("^([0-9a-f]{40}) commit$", told, re.MULTILINE)
    if not known:
        return {}
    argv = ["rev-list", "--no-walk", "--no-commit-header", f"--format={FORMAT}", "--end-of-options", *known, "--"]
    return {revision: line for revision, _, line in FOUND.findall(_ask(checkout, *argv))}


def _ask(checkout: Path, *argv: str, stdin: bytes | None = None) -> str:
    """Return git's output; empty if it fails or is not installed, because a rollback needs no checkout."""
    try:
        told = git.run(checkout, *argv, stdin=stdin)
    except errors.SelfdeployError:
        return ""
    return told.text if told.code == 0 else ""


def subject(checkout: Path, revision: str) -> str:
    """Return the first line of the message of REVISION; empty if CHECKOUT does not have it."""
    return subjects(checkout, [revision]).get(revision, "")


def between(checkout: Path, running: str, wanted: str) -> tuple[str, ...]:
    """Return lines on the commits of CHECKOUT from RUNNING to WANTED: the new ones, and the ones left behind.

    Empty if both are the same. A clone without one of them, or without the history between, gives one line with this
    fact.
    """
    if running == wanted:
        return ()
    way = f"from {running[:12]} to {wanted[:12]}"
    both = _ask(checkout, "rev-list", "--left-right", "--count", "--end-of-options", f"{running}...{wanted}", "--")
    counts = re.fullmatch(r"([0-9]+)\s+([0-9]+)", both)
    if counts is None or _ask(checkout, "rev-parse", "--is-shallow-repository") != "false":
        return (f"{way}: this clone does not have the commits between",)
    back, forward = int(counts[1]), int(counts[2])
    counted = ((back, "back"), (forward, "forward"))
    parts = [f"{count} commit{'s' * (count != 1)} {where}" for count, where in counted if count]
    lines = [f"{way}: {', '.join(parts)}"]
    lines += _listed(checkout, "-", wanted, running, back)
    lines += _listed(checkout, "+", running, wanted, forward)
    return tuple(lines)


def _listed(checkout: Path, mark: str, without: str, of: str, count: int) -> list[str]:
    commits = read(checkout, f"{without}..{of}") if count else []
    lines = [f"  {mark} {commit}" for commit in commits]
    return lines + ([f"  {mark} and {count - len(commits)} more"] if count > len(commits) else [])


def read(checkout: Path, selection: str, limit: int = SHOWN) -> list[Commit]:
    """Return the newest LIMIT commits of SELECTION, a revision or a range, in CHECKOUT; empty if git finds none."""
    argv = ["rev-list", f"--max-count={limit}", "--no-commit-header", f"--format={FORMAT}", "--end-of-options"]
    found = FOUND.findall(_ask(checkout, *argv, selection, "--"))
    return [Commit(revision=revision, author=author, subject=subject) for revision, author, subject in found]
