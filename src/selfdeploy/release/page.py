"""The report as an HTML page, and as Markdown for the summary of a CI run."""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selfdeploy import ages, config, errors, render
from selfdeploy.build.assembly import Assembly, Release
from selfdeploy.gates.count import Count
from selfdeploy.gates.room import Room
from selfdeploy.release import history
from selfdeploy.release.report import Report
from selfdeploy.release.status import VERDICTS, Status
from selfdeploy.source import commits

TEMPLATE = "templates/report.html.j2"

ATTEMPTS = 20
"""The number of attempts on the timeline."""

LINES = 60
"""The number of lines on the page from the end of each gate's log."""

PUBLIC = re.compile(r"https://[A-Za-z0-9.:-]+/[A-Za-z0-9._~/-]+")
"""The address of a repository with a page per commit, as `source.name_repository` returns it."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a page: REPORT, ATTEMPTS (newest first), COMING commits by environment, LOGS by gate."""

    project: config.Project
    report: Report
    attempts: Sequence[history.Entry]
    coming: Mapping[str, Sequence[str]]
    logs: Mapping[str, str]
    at: str
    gated: Release | None = None
    """The release whose gates the page shows: the report's, or else a proven one of an environment."""

    @property
    def repository(self) -> str:
        """The address of the repository; empty if its commits do not have pages."""
        made = self.gated.manifest.source.repository if self.gated else ""
        return made if PUBLIC.fullmatch(made) else ""

    def html(self) -> str:
        """Return the page as one HTML file, without scripts or external resources."""
        release = self.report.release
        return render.page(
            TEMPLATE,
            {
                "at": self.at,
                "attempts": [self._attempt(entry) for entry in self.attempts],
                "coming": self.coming,
                "environments": [self._environment(status) for status in self.report.environments],
                "gated": self.gated.manifest.source.revision if self.gated else "",
                "gates": self._gates(),
                "image": release.manifest.image.reference if release else "",
                "missing": self.report.missing,
                "repository": self.repository,
                "revision": self.report.revision,
                "run": (release.evidence.get("run") or {}).get("url", "") if release else "",
            },
            self.project,
        )

    def markdown(self) -> str:
        """Return the report as Markdown: a table of the environments, then one of the last attempts."""
        where = ("environment", "", "runs", "subject", "proven", "address")
        what = ("when", "environment", "how it ended", "revision", "who", "seconds")
        lines = [f"**{self.report.revision[:12]}**", "", *_table(where, map(self._place, self.report.environments)), ""]
        for status in self.report.environments:
            lines += [f"- {_cell(status.name)}: {_cell(line)}" for line in status.describe_trouble()]
        lines += ["", *_table(what, map(self._try, self.attempts))]
        return "\n".join(lines)

    def _place(self, status: Status) -> tuple[str, ...]:
        runs = status.proven.revision[:12] if status.proven else ""
        return status.name, status.verdict, runs, status.subject, _since(status), status.url

    def _try(self, entry: history.Entry) -> tuple[str, ...]:
        tried, total = entry.attempt, "" if entry.total is None else f"{entry.total:g}"
        what = f"{tried.revision[:12]} {entry.subject}"
        return tried.began, entry.environment, entry.ending, what, tried.who, total

    def _environment(self, status: Status) -> dict[str, Any]:
        return {
            "name": status.name,
            "url": status.url,
            "verdict": status.verdict,
            "colour": next((colour for word, colour in VERDICTS.items() if status.verdict.startswith(word)), "yellow"),
            "revision": status.proven.revision if status.proven else "",
            "digest": status.proven.digest if status.proven else "",
            "subject": status.subject,
            "at": status.proven.at if status.proven else "",
            "since": _since(status),
            "answers": dict(status.answers),
            "trouble": status.describe_trouble(),
        }

    def _attempt(self, entry: history.Entry) -> dict[str, Any]:
        longest = max((other.total or 0.0 for other in self.attempts), default=0.0) or 1.0
        seconds = entry.attempt.seconds or {entry.environment: entry.total or 0.0}
        return {
            "began": entry.attempt.began,
            "environment": entry.environment,
            "ending": entry.ending,
            "failed": not entry.attempt.has_settled or entry.attempt.ending.startswith("put back"),
            "revision": entry.attempt.revision,
            "subject": entry.subject,
            "who": entry.attempt.who,
            "run": entry.attempt.run if entry.attempt.run.startswith("https://") else "",
            "total": entry.total,
            "bars": [
                {"stage": stage, "seconds": took, "width": round(100 * took / longest, 2)}
                for stage, took in seconds.items()
            ],
        }

    def _gates(self) -> list[dict[str, Any]]:
        told = self.gated.evidence.get("gates") if self.gated else None
        found = told if isinstance(told, dict) else {}
        return [
            {
                "name": name,
                "seconds": facts.get("seconds"),
                "tests": str(Count.read(facts.get("tests")) or ""),
                "log": self.logs.get(name, ""),
            }
            for name, facts in found.items()
            if isinstance(facts, dict)
        ]


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *([_cell(text) for text in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(text: str) -> str:
    """Return TEXT as a cell of a Markdown table, with its markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~-])", r"\\\1", " ".join(text.split()))


def _since(status: Status) -> str:
    ago = ages.since(status.proven.at) if status.proven else ""
    return f"{ago} ago" if ago else ""


def make(assembly: Assembly, report: Report) -> Page:
    """Return the page of REPORT, a report on the revision of ASSEMBLY."""
    project, gated = assembly.project, report.release
    for status in reversed(report.environments):
        if gated is None and status.proven:
            with contextlib.suppress(errors.SelfdeployError):
                gated = assembly.recorded(status.proven.digest)
    asked = [status.name for status in report.environments if not status.error]
    checkout = project.source_path()
    return Page(
        project=project,
        report=report,
        attempts=history.read(project, asked)[:ATTEMPTS],
        coming={
            status.name: commits.between(checkout, status.proven.revision, report.revision)
            for status in report.environments
            if status.proven
        },
        logs=_logs(project, gated) if gated else {},
        at=ages.now(),
        gated=gated,
    )


def _logs(project: config.Project, release: Release) -> dict[str, str]:
    """Return the end of each gate's log of RELEASE; empty if the gate ran on another machine."""
    place = Room(folder=project.work / "trees" / release.manifest.source.revision)
    gates = release.evidence.get("gates")
    return {name: _tail(place, name) for name in gates} if isinstance(gates, dict) else {}


def _tail(place: Room, gate: str) -> str:
    try:
        return "\n".join(place.log(gate).read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:])
    except (OSError, ValueError):
        return ""
