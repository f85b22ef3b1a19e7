"""One attempt at the gates of a revision: it goes on where the last one failed, or begins with a new export."""

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
"""Seconds that processes of an attempt that was killed have to end."""


@dataclass(kw_only=True)
class Attempt:
    """The attempt that is under way in PLACE; TELL is called with lines of progress.

    One that is not RECORDED leaves nothing for another to go on with.
    """

    place: Room
    revision: source.Revision
    tell: Callable[[str], None]
    recorded: bool = True
    state: Progress = field(default_factory=lambda: Progress(key=""))

    def begin(self, project: config.Project, chosen: Mapping[str, config.Gate], *, fresh: bool) -> dict[str, Any]:
        """Make the room ready, and return the facts of the gates CHOSEN that have passed in it; none when FRESH."""
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
        """Write down how the room is, now that it is ready for the gates."""
        if not self.state.steps:
            self.state = self.state.model_copy(update={"latest": listing.FIRST})
        if self.recorded and listing.take(self.place, self.state.latest):
            self.state.write(self.place)

    def _go_on(self, known: Progress, chosen: Mapping[str, config.Gate]) -> dict[str, Any]:
        """Return the facts of the gates that need not run again, the room being as they left it; none otherwise."""
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
        """Return why the attempt cannot go on from START, NOW being the listing of the room; empty when it can."""
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
        """Return whether no process works in the export any more; those of a killed attempt have a moment to end."""
        ends = time.monotonic() + PATIENCE
        while workers(self.place.folder):
            if time.monotonic() > ends:
                return False
            time.sleep(0.1)
        return True

    def started(self, name: str, gate: config.Gate) -> None:
        """Write down that the gate NAME is about to start."""
        if self.recorded:
            self.state = self.state.begin(name, gate)
            self.state.write(self.place)

    def passed(self, name: str, facts: Mapping[str, object]) -> None:
        """Write down that the gate NAME passed, with what stands in the room now."""
        if not self.recorded:
            return
        ended = self.state.end(name, facts)
        if listing.take(self.place, ended.latest):
            ended.write(self.place)
            self.state = ended
            listing.drop(self.place, ended.oldest)

    def staged(self) -> None:
        """Write down how the room is after what ships was laid out in vain: files in it have other times now."""
        if listing.take(self.place, self.state.latest):
            self.state.write(self.place)


def workers(folder: Path) -> list[str]:
    """Return the processes, by id, whose working folder is in FOLDER."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and (process / "cwd").readlink().is_relative_to(folder):
                found.append(process.name)
    return found
