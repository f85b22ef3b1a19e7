"""The Kubernetes API of one namespace: ask, list, write, watch; every refusal an error that says what to do."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from selfdeploy import errors
from selfdeploy.environments.kubernetes import refusal, shape
from selfdeploy.environments.kubernetes.kubectl import Kubectl

Object = dict[str, Any]
Given = TypeVar("Given")

LIMIT = 64 << 20
"""Bytes of an answer of the API server that are read at most."""

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
NOT_FOUND, CONFLICT, GONE = 404, 409, 410

AGAIN = 0.3
"""Seconds until a server that did not answer is asked again."""

RECOVERY = 5.0
"""Seconds after an outage in which a refusal may come from a server that is not all there yet."""


def root(version: str) -> str:
    """Return the path of the API VERSION."""
    return f"/{'api' if version == 'v1' else 'apis'}/{_quoted(version, '/')}"


def _quoted(part: str, safe: str = ":") -> str:
    return quote(part, safe=safe, errors="replace")


class Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        """Connect to the socket PATH; no single step takes more than TIMEOUT seconds."""
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What was answered: the HTTP status and the object; or the text, where it was none."""

    code: int
    object: Object
    text: str = ""


class Stream:
    """What a watch tells, event by event; `close` ends it from any thread."""

    def __init__(self, sock: socket.socket, response: http.client.HTTPResponse) -> None:
        """Read RESPONSE, which comes through SOCK."""
        self._socket, self._response = sock, response

    def __iter__(self) -> Iterator[Object]:
        """Give each event; the end of them is nothing to worry about, a watch has one."""
        nonsense = (http.client.HTTPException, ValueError, AttributeError, RecursionError)
        with contextlib.suppress(OSError, *nonsense):
            while line := self._response.readline(LIMIT):
                yield json.loads(line)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API server, asked through KUBECTL."""

    kubectl: Kubectl

    @property
    def name(self) -> str:
        """The environment that this is asked for."""
        return self.kubectl.name

    def path(self, version: str, kind: str, name: str = "", sub: str = "") -> str:
        """Return the path of the objects KIND (plural) of the API VERSION; of NAME among them, and of SUB of it."""
        parts = (kind, name, sub)
        return "/".join([root(version), "namespaces", self.kubectl.namespace, *(_quoted(p) for p in parts if p)])

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = JSON,
        timeout: float = 30,
        accept: tuple[int, ...] = (),
    ) -> Reply:
        """Return what METHOD on PATH answers; codes that are no success are errors unless in ACCEPT.

        Raises:
            errors.ClusterUnreachable: nobody answers, or not within TIMEOUT seconds.
            what `refusal.explain` makes of a refusal.
        """
        data = None if body is None else json.dumps(body).encode()
        try:
            code, told = self.fetch(method, path, data, query=query, content=content, timeout=timeout, limit=LIMIT)
        except (OSError, http.client.HTTPException) as exc:
            raise refusal.unreachable(self.kubectl.name, str(exc) or type(exc).__name__) from exc
        reply = read(code, told)
        if code >= http.client.BAD_REQUEST and code not in accept:
            raise refusal.explain(self.kubectl.name, self.kubectl.namespace, code, reply.object, reply.text)
        if code < http.client.BAD_REQUEST and not reply.object:
            raise refusal.foreign(self.kubectl.name, f"no object: {reply.text[:80]!r}")
        return reply

    def fetch(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = JSON,
        timeout: float = 30,
        limit: int = LIMIT,
    ) -> tuple[int, bytes]:
        """Return status and body of the answer, whoever gave it; all of it within TIMEOUT seconds and LIMIT bytes."""
        ends = time.monotonic() + timeout
        sock, response = self._ask(method, path, data, query=query, content=content, timeout=timeout)
        with sock, response:
            told = b""
            while chunk := response.read1(1 << 16):
                told += chunk
                left = ends - time.monotonic()
                if len(told) > limit or left <= 0:
                    raise TimeoutError(f"the answer did not end within {limit} bytes and {timeout:g} s")
                sock.settimeout(left)
            return response.status, told

    def _ask(
        self,
        method: str,
        path: str,
        data: bytes | None,
        *,
        query: Mapping[str, str] | None,
        content: str,
        timeout: float,
    ) -> tuple[socket.socket, http.client.HTTPResponse]:
        connection = Local(self.kubectl.socket, timeout)
        where = f"{path}?{urlencode(query, errors='replace')}" if query else path
        headers = {"Accept": JSON, **({"Content-Type": content} if data is not None else {})}
        try:
            connection.request(method, where, data, headers)
            sock = connection.sock
            return sock, connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def text(self, path: str, *, timeout: float, **query: str) -> str:
        """Return what PATH answers within TIMEOUT seconds, as it is. Raises what `call` does."""
        try:
            code, told = self.fetch("GET", path, query=query, timeout=timeout)
        except (OSError, http.client.HTTPException) as exc:
            raise refusal.unreachable(self.kubectl.name, str(exc) or type(exc).__name__) from exc
        if code < http.client.BAD_REQUEST:
            return told.decode(errors="replace")
        reply = read(code, told)
        raise refusal.explain(self.kubectl.name, self.kubectl.namespace, code, reply.object, reply.text)

    def insist(self, ask: Callable[[], Given], seconds: float) -> Given:
        """Return what ASK does; when nobody answers, again and again for SECONDS."""
        ends, away = time.monotonic() + seconds, 0.0
        while True:
            try:
                return ask()
            except errors.ClusterUnreachable:
                away = time.monotonic()
                if away > ends:
                    raise
            except errors.ClusterForbidden:
                if not away or time.monotonic() > away + RECOVERY:
                    raise
            time.sleep(AGAIN)

    def get(self, version: str, kind: str, name: str) -> Object | None:
        """Return the object; None where there is none."""
        reply = self.call("GET", self.path(version, kind, name), accept=(NOT_FOUND,))
        return None if reply.code == NOT_FOUND else shape.check(self.name, kind, reply.object)

    def list(self, version: str, kind: str, **query: str) -> tuple[list[Object], str]:
        """Return the objects that QUERY (`labelSelector`, `fieldSelector`) selects, and the version of the list."""
        told = self.call("GET", self.path(version, kind), query=query).object
        items, metadata = told.get("items") or (), told.get("metadata") or {}
        if not isinstance(items, Sequence) or not isinstance(metadata, dict):
            raise refusal.foreign(self.name, f"no list of {kind}")
        return [shape.check(self.name, kind, one) for one in items], str(metadata.get("resourceVersion", ""))

    def watch(self, version: str, kind: str, since: str, **query: str) -> Stream | None:
        """Return what happens to the objects that QUERY selects after the version SINCE of their list.

        None when the server no longer has that version: it has to be listed again.
        """
        told = {**query, "watch": "1", "allowWatchBookmarks": "1", "resourceVersion": since, "timeoutSeconds": "240"}
        try:
            sock, response = self._ask("GET", self.path(version, kind), None, query=told, content=JSON, timeout=300)
            if response.status == http.client.OK:
                return Stream(sock, response)
            with sock, response:
                reply = read(response.status, response.read(LIMIT))
            if reply.code == GONE:
                return None
        except (OSError, http.client.HTTPException) as exc:
            raise refusal.unreachable(self.kubectl.name, str(exc) or type(exc).__name__) from exc
        raise refusal.explain(self.kubectl.name, self.kubectl.namespace, reply.code, reply.object, reply.text)


def read(code: int, told: bytes) -> Reply:
    """Return the answer CODE with TOLD, whatever it is."""
    try:
        value = json.loads(told)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return Reply(code=code, object=value)
    return Reply(code=code, object={}, text=told.decode(errors="replace").strip())
