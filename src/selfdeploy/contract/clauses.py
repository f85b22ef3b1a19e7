"""The clauses of the contract as data, and a check's findings; docs/contract.md has the full text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

State = Literal["ok", "broken", "not checked"]

STATES: tuple[State, ...] = get_args(State)
PAGE = "docs/contract.md"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One requirement on SF: its number, its short name, and its title."""

    number: str
    name: str
    title: str

    @property
    def anchor(self) -> str:
        """The link to the clause in the docs."""
        return f"{PAGE}#{self.number.lower()}-{self.name}"


CLAUSES = (
    Clause(number="S1", name="files-only", title="the revision holds files, programs and links; no submodule"),
    Clause(number="S2", name="no-lfs", title="no file is a pointer of Git LFS that a checkout leaves as it is"),
    Clause(number="S3", name="lock", title="npm ci takes the lock file"),
    Clause(number="S4", name="web-lock", title="npm --prefix web ci takes the lock file of web"),
    Clause(number="S5", name="scripts", title="package.json has the scripts of the gates"),
    Clause(number="S6", name="files", title="package.json names what ships in `files`"),
    Clause(number="S7", name="command", title="the command of the image and the server of vega ship"),
    Clause(number="S8", name="links", title="links that ship stay within the package"),
    Clause(number="S9", name="standalone", title="Next builds a standalone server"),
    Clause(number="S10", name="revision-baked", title="the build reads SF_BUILD_REVISION"),
    Clause(number="P1", name="healthz", title="/api/healthz answers 200"),
    Clause(number="P2", name="ready", title="/api/ready answers 200"),
    Clause(number="P3", name="version", title="/api/version answers 200 with a JSON object"),
    Clause(number="P4", name="revision", title="`revision` is the commit that was built"),
    Clause(number="P5", name="release", title="`release` is the sha256 of the manifest's bytes, or null"),
    Clause(number="P6", name="image", title="`image` is REPOSITORY@DIGEST from the manifest, or null"),
    Clause(number="P7", name="instance", title="`instance` is the host name"),
    Clause(number="P8", name="information", title="`name`, `version` and `startedAt`"),
    Clause(number="P9", name="steady", title="every answer names the same build"),
    Clause(number="P10", name="rpc", title="/api/rpc answers `ping` to the server's token"),
    Clause(number="P11", name="extra", title="each path of `probes.extra` answers 200"),
    Clause(number="R1", name="start", title="the command of the image starts the server"),
    Clause(
        number="R2",
        name="address",
        title="it listens on the host and the port of its command line, nowhere else but on loopback",
    ),
    Clause(number="R3", name="direct", title="server.js alone listens on SF_WEB_HOST and SF_WEB_PORT"),
    Clause(number="R4", name="drain", title="a request under way is answered after SIGTERM"),
    Clause(number="R5", name="exit", title="SIGTERM ends it in time, with exit code 0 or 143"),
    Clause(number="R6", name="children", title="no process outlives it"),
    Clause(number="R7", name="writes", title="it writes below HOME, /workspace and /tmp only"),
)
"""Every clause with a check: S of the source, P of the probes, R of the running process."""

_BY_NUMBER = {clause.number: clause for clause in CLAUSES}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of checking one clause.

    EXPECTED and ACTUAL may hold untrusted text. TODO is the fix of a broken clause, or the reason for not checking it.
    """

    number: str
    state: State
    expected: str = ""
    actual: str = ""
    todo: str = ""

    @property
    def clause(self) -> Clause:
        """The clause with this number."""
        return _BY_NUMBER[self.number]

    @property
    def data(self) -> dict[str, object]:
        """The finding as data for a program."""
        clause = self.clause
        return {
            "clause": clause.number,
            "name": clause.name,
            "title": clause.title,
            "state": self.state,
            "expected": self.expected,
            "actual": self.actual,
            "todo": self.todo,
            "docs": clause.anchor,
        }

    @property
    def text(self) -> str:
        """The finding for a person: one line, and a second one with the fix of a broken clause."""
        clause = self.clause
        line = f"{self.state:<11}  {clause.number:<3}  {clause.name:<14}  {self._told}"
        return f"{line}\n{'':<13}{self.todo} ({clause.anchor})" if self.state == "broken" else line

    @property
    def _told(self) -> str:
        if self.state == "broken":
            return f"expected {self.expected}, actual {self.actual}"
        if self.state == "not checked":
            return self.todo
        return self.actual or self.clause.title


def ok(number: str, actual: str = "") -> Finding:
    """Return an `ok` finding for clause NUMBER, with ACTUAL as evidence."""
    return Finding(number=number, state="ok", actual=actual)


def broken(number: str, *, expected: str, actual: str, todo: str) -> Finding:
    """Return a `broken` finding for clause NUMBER, with TODO as its fix."""
    return Finding(number=number, state="broken", expected=expected, actual=actual, todo=todo)


def not_checked(number: str, why: str) -> Finding:
    """Return a `not checked` finding for clause NUMBER, with the reason WHY."""
    return Finding(number=number, state="not checked", todo=why)


def listed(items: Sequence[str], most: int = 5) -> str:
    """Join the first MOST of ITEMS with commas, and count the rest."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
