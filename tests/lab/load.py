"""Requests to a server while it is replaced: over kept and new connections, slow ones, a WebSocket, a stream."""

import base64
import contextlib
import http.client
import itertools
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

SLOW = "/lab/slow"
"""Answered after two seconds."""

STREAM, SOCKET = "/lab/stream", "/lab/socket"

ENDPOINTS = """
const { Server } = require("node:http"); const deliver = Server.prototype.emit;
Server.prototype.emit = function (event, request, answer) {
  if (event === "request" && request.url === "/lab/slow") {
    request.url = "/api/version"; setTimeout(() => deliver.call(this, event, request, answer), 2000); return true;
  }
  if (event === "request" && request.url === "/lab/stream") {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    const beat = setInterval(() => answer.write("data: beat\\n\\n"), 100);
    answer.on("close", () => clearInterval(beat)); return true;
  }
  if (event === "upgrade" && request.url === "/lab/socket") {
    const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = require("node:crypto").createHash("sha1").update(key).digest("base64");
    answer.write(`HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n` +
      `Sec-WebSocket-Accept: ${accept}\\r\\n\\r\\n`);
    answer.on("data", (frame) => answer.write(frame)); answer.on("error", () => answer.destroy()); return true;
  }
  return deliver.apply(this, arguments);
};
"""
"""What a server does first so that it has these: the application itself has none of them."""

TIMEOUT = 30.0
"""Seconds for one answer: more than a busy machine needs, less than a test waits."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One request: when it was sent and answered (monotonic seconds), and the revision; or why there is no answer."""

    sent: float
    done: float
    revision: str = ""
    failure: str = ""


@dataclass
class Load:
    """Sends RATE requests a second to PORT of HOST from the beginning of the block to its end.

    Half go over connections that are kept; one in ten is slow. A WebSocket and an event stream stay open beside them.
    """

    port: int
    rate: float = 50
    host: str = "127.0.0.1"
    answers: list[Answer] = field(default_factory=list)
    echoed: int = 0
    streamed: int = 0
    reopened: Counter[str] = field(default_factory=Counter)
    ended: float = 0.0
    """When the last request was sent (monotonic seconds); 0 until then."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        workers = max(4, int(self.rate / 2.5))
        # A slow request takes two seconds: enough senders that none waits for them.
        self._threads = [threading.Thread(target=self._send, args=(number, workers)) for number in range(workers)]
        self._threads += [threading.Thread(target=self._hold, args=(way,)) for way in (self._echo, self._stream)]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, once each request under way is answered."""
        self.ended = time.monotonic()
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> Counter[str]:
        """How often which failure was seen."""
        return Counter(answer.failure for answer in self.answers if answer.failure)

    @property
    def revisions(self) -> Counter[str]:
        """How many requests each revision answered."""
        return Counter(answer.revision for answer in self.answers if answer.revision)

    @property
    def silence(self) -> float:
        """The longest time, in seconds, between one answer and the next, or the end of the block.

        What was under way then is answered by and by, with longer and longer gaps: they are nobody's silence.
        """
        ended = self.ended or time.monotonic()
        at = [*sorted(answer.done for answer in self.answers if answer.revision and answer.done < ended), ended]
        if len(at) == 1:
            return float("inf")
        return max(after - before for before, after in itertools.pairwise(at))

    def _send(self, number: int, workers: int) -> None:
        kept = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT) if number % 2 else None
        pause, sent = workers / self.rate, 0
        due = time.monotonic() + pause * number / workers
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause, time.monotonic() - pause)
            sent += 1
            self.answers.append(self._ask(SLOW if (sent + number) % 10 == 0 else "/api/version", kept))
        if kept:
            kept.close()

    def _ask(self, path: str, kept: http.client.HTTPConnection | None) -> Answer:
        sent = time.monotonic()
        connection = kept or http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            if response.status != http.HTTPStatus.OK:
                return Answer(sent=sent, done=time.monotonic(), failure=f"{path}: HTTP {response.status}")
            revision = str(json.loads(body)["revision"])
            return Answer(sent=sent, done=time.monotonic(), revision=revision)
        except (OSError, ValueError, KeyError, http.client.HTTPException) as exc:
            connection.close()
            return Answer(sent=sent, done=time.monotonic(), failure=f"{path}: {type(exc).__name__}")
        finally:
            if kept is None:
                connection.close()

    def _hold(self, way: Callable[[], None]) -> None:
        """Keep WAY open: a server that ends closes it, and the client comes back as browsers do."""
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                way()
            if not self._over.is_set():
                self.reopened[way.__name__] += 1
                self._over.wait(0.1)

    def _echo(self) -> None:
        with socket.create_connection((self.host, self.port), timeout=5) as connection:
            key = base64.b64encode(os.urandom(16)).decode()
            head = f"GET {SOCKET} HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
            if b" 101 " not in connection.recv(4096):
                return
            while not self._over.wait(0.1):
                connection.sendall(b"\x81\x84\x00\x00\x00\x00beat")  # a masked text frame; the mask changes nothing
                if not connection.recv(64):
                    return
                self.echoed += 1

    def _stream(self) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", STREAM)
            response = connection.getresponse()
            while response.status == http.HTTPStatus.OK and not self._over.is_set() and response.readline():
                self.streamed += 1
        except http.client.HTTPException:
            return
        finally:
            connection.close()
