"""The Kubernetes API of one namespace: read, list, write and watch objects; each refusal is an error with a hint."""

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
from selfdeploy.cluster import refusal, shape
from selfdeploy.cluster.kubectl import Kubectl

Object = dict[str, Any]
Given = TypeVar("Given")

LIMIT = 64 << 20
"""Largest response, or event of a watch, to read, in bytes."""

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
NOT_FOUND, CONFLICT, GONE = 404, 409, 410

AGAIN = 0.3
"""Seconds to wait before the next attempt if the API server does not answer."""

RECOVERY = 5.0
"""Seconds after an outage during which an API server that is still starting may refuse valid requests."""


def root(version: str) -> str:
    """Return the URL path of the API VERSION, such as `v1` or `apps/v1`."""
    return f"/{'api' if version == 'v1' else 'apis'}/{_quoted(version, '/')}"


def _quoted(part: str, safe: str = ":") -> str:
    return quote(part, safe=safe, errors="replace")


class Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        """Prepare a connection to the socket PATH; TIMEOUT is seconds for each single operation."""
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An API response: the HTTP status and the JSON object; or the text, if the body is not an object."""

    code: int
    object: Object
    text: str = ""


class Stream:
    """The events of a watch; any thread may end it with `close`."""

    def __init__(self, sock: socket.socket, response: http.client.HTTPResponse) -> None:
        """Read RESPONSE, received through SOCK."""
        self._socket, self._response = sock, response

    def __iter__(self) -> Iterator[Object]:
        """Yield each event until the stream ends or breaks; this is not an error, since every watch ends."""
        nonsense = (http.client.HTTPException, ValueError, AttributeError, RecursionError)
        with contextlib.suppress(OSError, *nonsense):
            while line := self._response.readline(LIMIT):
                yield json.loads(line)

    def close(self) -> None:
        """End the watch."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API server, reached through KUBECTL."""

    kubectl: Kubectl

    @property
    def name(self) -> str:
        """Name of the environment."""
        return self.kubectl.name

    def path(self, version: str, kind: str, name: str = "", sub: str = "") -> str:
        """Return the URL path of KIND (plural) in the API VERSION, of the object NAME, or of its subresource SUB."""
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
        """Send METHOD to PATH and return the reply; HTTP errors are raised, except the codes in ACCEPT.

        Raises:
            errors.ClusterUnreachable: no complete answer within TIMEOUT seconds, or a success without a JSON object.
            errors.SelfdeployError: the request is refused; `refusal.explain` chooses the class.
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
        """Return the response's status and body; neither is checked.

        Raises:
            TimeoutError: the body is longer than LIMIT bytes, or takes longer than TIMEOUT seconds.
            OSError, http.client.HTTPException: the connection fails, or the answer is not HTTP.
        """
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
        """Return the text at PATH, read within TIMEOUT seconds. Raises the errors of `call`."""
        try:
            code, told = self.fetch("GET", path, query=query, timeout=timeout)
        except (OSError, http.client.HTTPException) as exc:
            raise refusal.unreachable(self.kubectl.name, str(exc) or type(exc).__name__) from exc
        if code < http.client.BAD_REQUEST:
            return told.decode(errors="replace")
        reply = read(code, told)
        raise refusal.explain(self.kubectl.name, self.kubectl.namespace, code, reply.object, reply.text)

    def insist(self, ask: Callable[[], Given], seconds: float) -> Given:
        """Return the result of ASK; retry for up to SECONDS while the API server does not answer.

        A `ClusterForbidden` within `RECOVERY` seconds of an outage is retried too.
        """
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
        """Return the object NAME; None if it does not exist."""
        reply = self.call("GET", self.path(version, kind, name), accept=(NOT_FOUND,))
        return None if reply.code == NOT_FOUND else shape.check(self.name, kind, reply.object)

    def list(self, version: str, kind: str, **query: str) -> tuple[list[Object], str]:
        """Return the objects selected by QUERY (`labelSelector`, `fieldSelector`), and the version of the list."""
        told = self.call("GET", self.path(version, kind), query=query).object
        items, metadata = told.get("items") or (), told.get("metadata") or {}
        if not isinstance(items, Sequence) or not isinstance(metadata, dict):
            raise refusal.foreign(self.name, f"no list of {kind}")
        return [shape.check(self.name, kind, one) for one in items], str(metadata.get("resourceVersion", ""))

    def watch(self, version: str, kind: str, since: str, **query: str) -> Stream | None:
        """Watch the objects selected by QUERY for changes after SINCE, the version of their list.

        Returns None if the server no longer has that version; the objects must be listed again then.
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
    """Return the reply with status CODE and body TOLD; any body is accepted."""
    try:
        value = json.loads(told)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return Reply(code=code, object=value)
    return Reply(code=code, object={}, text=told.decode(errors="replace").strip())
