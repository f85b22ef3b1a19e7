"""The engine's own history of what it started and what was asked inside: the witness of what prod ever ran."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab import children

ASKED = "readFileSync"
"""A word of the script that asks a replica from inside, which its health check lacks; the engine tells it whole."""

SECOND = 10**9
"""Nanoseconds."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a container: when (nanoseconds), whose, of which image, and what."""

    at: int
    container: str
    image: str
    revision: str
    action: str
    code: str


class Events:
    """What the engine tells of its containers from now on, written to a file by its own command; a context manager.

    An engine remembers its last 256 events for who begins to listen a moment late, those of its own start among them.
    """

    def __init__(self, folder: Path, host: str = "") -> None:
        self._file, self._log = folder / "events.jsonl", folder / "events.log"
        named = ["--host", host] if host else []
        self._argv = ["docker", *named, "events", "--format", "{{json .}}", "--filter", "type=container"]
        self._child: children.Child | None = None
        self._began = time.time_ns()

    def __enter__(self) -> Self:
        self.follow()
        return self

    def follow(self) -> None:
        """Listen from the last event that was heard on, also to an engine that was away."""
        if self._child is not None:
            children.end(self._child)
        with self._file.open("a") as file:
            file.write("\n")  # a line that was cut off spoils none that comes after it
        since = f"{self._heard // SECOND}.{self._heard % SECOND:09}"
        argv = [*self._argv, "--since", since]
        self._child = children.spawn(["sh", "-c", 'exec "$@" >>"$0"', str(self._file), *argv], self._log)

    @property
    def _heard(self) -> int:
        """When the first event is that was not heard yet, in nanoseconds."""
        return max([self._began, *(int(told["timeNano"]) + 1 for told in self._told())])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            children.end(self._child)

    def read(self, name: str) -> list[Event]:
        """Return the events of the containers whose name begins with NAME, in order."""
        found = []
        for told in self._told():
            of = told["Actor"]["Attributes"]
            if of.get("name", "").startswith(name):
                event = Event(
                    at=told["timeNano"],
                    container=of["name"],
                    image=of.get("image", ""),
                    revision=of.get("org.opencontainers.image.revision", ""),
                    action=told["Action"],
                    code=of.get("exitCode", ""),
                )
                found.append(event)
        return found

    def _told(self) -> Iterator[dict[str, Any]]:
        for line in self._file.read_text().splitlines():
            with contextlib.suppress(ValueError):  # one that is half written, or was cut off
                yield json.loads(line)

    def unproven(self, test: str, prod: str, rounds: int) -> list[str]:
        """Return every start of the container PROD with an image that TEST had not answered ROUNDS times as before."""
        if self._child is None or self._child.poll() is not None:
            return [f"nobody listens to the engine; see {self._log}"]
        told = self.read(test) + self.read(prod)
        answered, wrong = dict[str, int](), []
        for event in sorted(told, key=lambda one: one.at):
            if event.container == test and event.action.startswith("exec_start") and ASKED in event.action:
                answered[event.image] = answered.get(event.image, 0) + 1
            if event.container == prod and event.action == "start" and answered.get(event.image, 0) < rounds:
                wrong.append(f"prod ran {event.image}, which test had answered as {answered.get(event.image, 0)} times")
        return wrong

    def ran(self, name: str, revision: str) -> bool:
        """Say whether the container NAME was ever started with an image of REVISION."""
        return any(
            one.container == name and one.action == "start" and one.revision == revision for one in self.read(name)
        )

    def started(self, name: str) -> list[str]:
        """Return the images that the container NAME was started with, in order."""
        return [event.image for event in self.read(name) if event.container == name and event.action == "start"]
