"""One attempt at the gates of a revision: it resumes the last attempt, or begins with a new export."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfdeploy import config, errors, source
from selfdeploy.gates import aside, listing, progress, receipt
from selfdeploy.gates.progress import Progress, Start
from selfdeploy.gates.room import Room

PATIENCE = 15.0
"""How long the processes of a killed attempt may take to end, in seconds."""


@dataclass(kw_only=True)
class Attempt:
    """The current attempt in PLACE; TELL receives its lines of progress.

    If it is not RECORDED, no later attempt can resume it.
    """

    place: Room
    revision: source.Revision
    tell: Callable[[str], None]
    recorded: bool = True
    state: Progress = field(default_factory=lambda: Progress(key=""))

    def begin(self, project: config.Project, chosen: Mapping[str, config.Gate], *, fresh: bool) -> dict[str, Any]:
        """Prepare the room, and return the facts of the CHOSEN gates that already passed in it; none if FRESH."""
        key = progress.key(project, self.revision)
        known = progress.read(self.place) if self.recorded and not fresh else None
        if known and known.key == key:
            if kept := self._go_on(known, chosen):
                return kept
            self.state = known.go_on(())
        else:
            self.state = Progress(key=key)
        self._begin_anew()
        return {}

    def _begin_anew(self) -> None:
        aside.put(self.place.folder, self.place.folder.parent)
        self.tell("exporting the revision")
        found = source.export(self.revision, self.place.export)
        self.tell(f"exported {found.files:,} files")
        self.place.log("any").parent.mkdir(parents=True)
        self.place.home.mkdir()

    def settle(self) -> None:
        """Save the state of the prepared room, before any gate runs."""
        if not self.state.steps:
            self.state = self.state.model_copy(update={"latest": listing.FIRST})
        if self.recorded and listing.take(self.place, self.state.latest):
            self.state.write(self.place)

    def _go_on(self, known: Progress, chosen: Mapping[str, config.Gate]) -> dict[str, Any]:
        """Return the facts of the gates that need not run again; empty if the attempt has to begin anew."""
        why = "nothing had passed"
        with contextlib.suppress(OSError):
            proven = [name for name, step in known.steps.items() if self._is_proven(name, chosen, step.facts)]
            for start in progress.starts(known, chosen, proven):
                if why := self._why_not(start, known.latest + 1):
                    continue
                self.state = known.go_on(start.kept)
                kept = [name for name in chosen if name in start.kept]
                self.tell(f"{self.state.name}: {', '.join(kept)} passed before")
                return {name: known.steps[name].facts for name in kept}
        self.tell(f"{known.go_on(()).name}, from the beginning: {why}")
        return {}

    def _is_proven(self, name: str, chosen: Mapping[str, config.Gate], facts: Mapping[str, Any]) -> bool:
        return name in chosen and receipt.is_proven(self.place, name, chosen[name], facts)

    def _why_not(self, start: Start, now: int) -> str:
        """Return why the attempt cannot resume at START; empty if it can. NOW is the number for a new listing."""
        if not self.place.listing(start.since).exists() or not self._is_left():
            return "the last attempt is not known well enough, or still runs"
        if not listing.take(self.place, now):
            return "not all of the export can be read"
        changed = listing.differs(self.place, start.since, now)
        if not changed or start.exact:
            return f"{changed} has changed" if changed else ""
        try:
            again = listing.undo(self.place, self.revision, start.since, now)
        except errors.TreeChanged as exc:
            return exc.message
        if not listing.take(self.place, now):
            return "not all of the export can be read"
        changed = listing.differs(self.place, start.since, now, but=again)
        listing.refresh(self.place, again, now)
        return f"{changed} has changed" if changed else ""

    def _is_left(self) -> bool:
        """Return True if no process works in the room; wait up to `PATIENCE` for those of a killed attempt."""
        ends = time.monotonic() + PATIENCE
        while workers(self.place.folder):
            if time.monotonic() > ends:
                return False
            time.sleep(0.1)
        return True

    def started(self, name: str, gate: config.Gate) -> None:
        """Save that the gate NAME is about to start."""
        if self.recorded:
            self.state = self.state.begin(name, gate)
            self.state.write(self.place)

    def passed(self, name: str, facts: Mapping[str, object]) -> None:
        """Save that the gate NAME passed, with a new listing of the room."""
        if not self.recorded:
            return
        ended = self.state.end(name, facts)
        if listing.take(self.place, ended.latest):
            ended.write(self.place)
            self.state = ended
            listing.drop(self.place, ended.oldest)

    def staged(self) -> None:
        """Take the latest listing again after a failed staging, which has changed the times of files."""
        if listing.take(self.place, self.state.latest):
            self.state.write(self.place)


def workers(folder: Path) -> list[str]:
    """Return the ids of the processes with a working folder in FOLDER."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and (process / "cwd").readlink().is_relative_to(folder):
                found.append(process.name)
    return found
