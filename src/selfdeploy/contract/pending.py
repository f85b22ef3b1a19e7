"""A half-sent request, to keep the server busy for as long as needed."""

import contextlib
import json
import select
import socket
import time
from dataclasses import dataclass

CONTINUE = b"HTTP/1.1 100"
"""The response of a server waiting for the body of a request (RFC 9110, section 15.2.1)."""

EARLY = 0.5
"""Seconds to watch for an answer without the body, after the first bytes."""

BODY = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()


@dataclass(kw_only=True)
class Pending:
    """A request under way on a connection; REST is the unsent half, NAME describes the request."""

    connection: socket.socket
    rest: bytes
    name: str

    def finish(self, seconds: float) -> int:
        """Send the rest and return the status of the answer; 0 if none arrives within SECONDS."""
        ends, answer = time.monotonic() + seconds, b""
        with contextlib.closing(self.connection), contextlib.suppress(OSError):
            self.connection.sendall(self.rest)
            while not (status := read_status(answer)):
                self.connection.settimeout(max(0.01, ends - time.monotonic()))
                chunk = self.connection.recv(65_536)
                if not chunk:
                    return 0
                answer += chunk
            return status
        return 0

    def ended(self) -> bool:
        """Return whether the server has closed the connection."""
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


def begin(address: tuple[str, int], token: str, seconds: float) -> Pending:
    """Begin a request to the server at ADDRESS: the RPC call without its body, or a GET without its last line.

    The GET is for a server that does not wait for the body of the RPC call.

    Raises:
        OSError: the server does not accept the connection within SECONDS.
    """
    head = "\r\n".join(
        [
            "POST /api/rpc HTTP/1.1",
            f"Host: {address[0]}:{address[1]}",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            f"Content-Length: {len(BODY)}",
            "Expect: 100-continue",
            "\r\n",
        ]
    )
    connection = socket.create_connection(address, seconds)
    connection.sendall(head.encode())
    if _waits_for_body(connection, seconds):
        return Pending(connection=connection, rest=BODY, name="POST /api/rpc, half sent")
    connection.close()
    connection = socket.create_connection(address, seconds)
    connection.sendall(f"GET /api/healthz HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n".encode())
    return Pending(connection=connection, rest=b"Connection: close\r\n\r\n", name="GET /api/healthz, half sent")


def _waits_for_body(connection: socket.socket, seconds: float) -> bool:
    """Return whether the server asked for the body, and did not answer without it within `EARLY` seconds."""
    answer, ends = b"", time.monotonic() + seconds
    while select.select([connection], [], [], max(0.0, ends - time.monotonic()))[0]:
        try:
            chunk = connection.recv(65_536)
        except OSError:
            return False
        answer += chunk
        if not chunk or read_status(answer):
            return False
        ends = time.monotonic() + EARLY
    return answer.startswith(CONTINUE)


def read_status(answer: bytes) -> int:
    """Return the status of the final response in ANSWER, after interim ones; 0 if its head is incomplete."""
    while answer.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in answer:
        answer = answer.partition(b"\r\n\r\n")[2]
    head, whole, _ = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split()
    is_response = bool(whole) and len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    return int(words[1]) if is_response else 0
