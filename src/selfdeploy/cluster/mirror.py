"""Copies of a namespace's objects, kept current by watches: nothing is polled, and outages are waited out."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from selfdeploy import errors
from selfdeploy.cluster import shape
from selfdeploy.cluster.api import AGAIN, RECOVERY, Api, Object, Stream


@dataclass(frozen=True, kw_only=True)
class Query:
    """One list to follow: KIND (plural) in the API VERSION, narrowed by SELECTOR."""

    version: str
    kind: str
    selector: Mapping[str, str] = field(default_factory=dict)


class Mirror:
    """The objects of several queries, by kind; the watches end with the context."""

    def __init__(self, api: Api, queries: tuple[Query, ...]) -> None:
        """Follow QUERIES through API."""
        self._api, self._queries = api, queries
        self._changed = threading.Condition()
        self._objects: dict[str, dict[str, Object]] = {}
        self._streams: dict[str, Stream] = {}
        self._trouble: dict[str, errors.SelfdeployError] = {}
        self._fatal: errors.SelfdeployError | None = None
        self._closed = False
        self._seen = 0

    def __enter__(self) -> Self:
        """Start one watch for each query."""
        for query in self._queries:
            threading.Thread(target=self._follow, args=(query,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all watches."""
        with self._changed:
            self._closed = True
            for stream in self._streams.values():
                stream.close()

    def of(self, kind: str) -> list[Object]:
        """Return the current objects of KIND."""
        with self._changed:
            return list(self._objects.get(kind, {}).values())

    @property
    def trouble(self) -> str:
        """An error message, if some objects may be out of date; else empty."""
        with self._changed:
            return next((exc.message for exc in self._trouble.values()), "")

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Wait for a change, at most SECONDS, or until UNTIL returns True.

        Raises:
            errors.SelfdeployError: the server refuses a query.
        """
        with self._changed:
            seen = self._seen
            self._changed.wait_for(lambda: self._seen != seen or self._fatal is not None or until(), seconds)
            if self._fatal:
                raise self._fatal

    @property
    def is_complete(self) -> bool:
        """True if every query has been answered once."""
        with self._changed:
            return len(self._objects) == len(self._queries)

    def _follow(self, query: Query) -> None:
        version, answered, was_away = "", time.monotonic(), False
        while not self._closed:
            try:
                if not version:
                    version = self._list(query)
                version = self._watch(query, version)
                answered = time.monotonic()
            except errors.ClusterUnreachable as exc:
                self._note(query, exc)
                answered, was_away = time.monotonic(), True  # a server just back may not know our credential yet
                time.sleep(AGAIN)
            except errors.SelfdeployError as exc:
                self._note(query, exc)
                if time.monotonic() - answered > RECOVERY or not (was_away or query.kind in self._objects):
                    with self._changed:
                        self._fatal = exc
                        self._changed.notify_all()
                    return
                time.sleep(AGAIN)

    def _note(self, query: Query, exc: errors.SelfdeployError | None) -> None:
        with self._changed:
            if exc is None:
                self._trouble.pop(query.kind, None)
            else:
                self._trouble[query.kind] = exc
            self._seen += 1
            self._changed.notify_all()

    def _list(self, query: Query) -> str:
        listed, version = self._api.list(query.version, query.kind, **query.selector)
        with self._changed:
            self._objects[query.kind] = {thing["metadata"]["uid"]: thing for thing in listed}
        self._note(query, None)
        return version

    def _watch(self, query: Query, version: str) -> str:
        """Watch QUERY from VERSION to the end of the stream; return the next version, or empty to list again."""
        stream = self._api.watch(query.version, query.kind, version, **query.selector)
        if stream is None:
            return ""
        with self._changed:
            self._streams[query.kind] = stream
            if self._closed:
                stream.close()
        self._note(query, None)
        for event in stream:
            what, thing = (event.get("type"), event.get("object")) if isinstance(event, dict) else ("ERROR", None)
            if what == "ERROR" or not isinstance(thing, dict):
                return ""
            metadata = thing.get("metadata")
            if not isinstance(metadata, dict):
                return ""
            version = str(metadata.get("resourceVersion", version))
            if what != "BOOKMARK":
                self._take(query.kind, str(what), shape.check(self._api.name, query.kind, thing))
        return version

    def _take(self, kind: str, what: str, thing: Object) -> None:
        with self._changed:
            if what == "DELETED":
                self._objects[kind].pop(thing["metadata"]["uid"], None)
            else:
                self._objects[kind][thing["metadata"]["uid"]] = thing
            self._seen += 1
            self._changed.notify_all()
