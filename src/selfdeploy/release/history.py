"""The attempts on the environments, with their authors and their endings."""

from collections.abc import Sequence
from dataclasses import dataclass

from selfdeploy import ages, config, environments
from selfdeploy.environments import record
from selfdeploy.source import commits

PUT_BACK = "put back, "


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One attempt on an environment; BACK is the revision put back after its failure."""

    environment: str
    attempt: record.Attempt
    subject: str = ""
    back: str = ""

    @property
    def ending(self) -> str:
        """Its ending for people: the failure, and the release in its place."""
        ending = self.attempt.ending
        why, cancelled = "failed", f"{record.CANCELLED}, "
        if ending.startswith(cancelled):
            why, ending = record.CANCELLED, ending.removeprefix(cancelled)
        if ending.startswith(PUT_BACK):
            unproven = "" if ending == "put back, proven" else f", {ending.removeprefix(PUT_BACK)}"
            if self.back == self.attempt.revision:  # an attempt to do away with one that was cut off
                return f"put back{unproven}"
            return f"{why}; {self.back[:12] or 'what ran'} put back{unproven}"
        if ending in {"down", "not down", "not put back"}:
            return f"{why}; {ending}"
        return why if ending == "not proven" else ending

    @property
    def total(self) -> float | None:
        """Duration of its command in seconds; None if the process was killed before it recorded that."""
        if self.attempt.ending == record.CUT_OFF and not self.attempt.ended:
            return None
        if self.attempt.seconds:
            return round(sum(self.attempt.seconds.values()), 1)
        began, ended = ages.parse(self.attempt.began), ages.parse(self.attempt.ended)
        return (ended - began).total_seconds() if began and ended else None

    def __str__(self) -> str:
        """Return its line in `inv history`."""
        tried = self.attempt
        parts = [tried.began, f"{self.environment:<9}", f"{self.ending:<32}", tried.revision[:12]]
        parts += [self.subject] if self.subject else []
        parts.append(f"{tried.who}{f' {tried.run}' if tried.run else ''}")
        took = ", ".join(f"{name} {seconds:g} s" for name, seconds in tried.seconds.items())
        parts += [f"{self.total:g} s{f' ({took})' if took else ''}"] if self.total is not None else []
        parts += [f"with {', '.join(tried.uncommitted)} as not committed"] if tried.uncommitted else []
        return "  ".join(parts)

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {
            "environment": self.environment,
            **self.attempt.model_dump(exclude={"link"}),
            "subject": self.subject,
            "putBack": self.back or None,
            "total": self.total,
        }


def read(project: config.Project, names: Sequence[str]) -> list[Entry]:
    """Return the attempts on the environments NAMES, newest first; an abandoned attempt is `cut off`."""
    found = [entry for name in names for entry in _read(project, name)]
    return sorted(found, key=lambda entry: entry.attempt.began, reverse=True) if len(names) > 1 else found


def _read(project: config.Project, name: str) -> list[Entry]:
    environment = environments.connect(project, name)
    known, holder = environment.read(), environment.held_by()
    present = [known.cut_off] if known.cut_off and known.cut_off.is_of(holder) else []
    attempts = [*present, *known.cut().attempts[len(present) :]]
    subjects = commits.subjects(project.source_path(), {attempt.revision for attempt in attempts})
    return [
        Entry(
            environment=name,
            attempt=attempt,
            subject=subjects.get(attempt.revision, ""),
            back=_put_back(attempts[place:]),
        )
        for place, attempt in enumerate(attempts)
    ]


def _put_back(attempts: Sequence[record.Attempt]) -> str:
    """Return the revision put back after the first of ATTEMPTS, the newest, failed; empty if there is none."""
    if PUT_BACK not in attempts[0].ending:
        return ""
    ran = (one for one in attempts[1:] if one.has_settled and PUT_BACK not in one.ending)
    return next((one.revision for one in ran), "")
