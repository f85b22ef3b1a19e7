"""Something on a port that answers as the test says, byte by byte, where a registry should be."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from lab import children

Script = Callable[[str, Mapping[str, str]], bytes | Iterable[bytes]]
"""From what is asked (`GET /v2/`) and its headers (lower case) to the raw bytes of the answer."""


def answer(
    body: bytes = b"", *, status: int = 200, size: int | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return the bytes of an HTTP answer; SIZE is what it says about its length."""
    told = {
        "Docker-Distribution-Api-Version": "registry/2.0",
        "Content-Length": str(len(body) if size is None else size),
        "Connection": "close",
    } | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode() + body


class Liar:
    """A server that sends what SCRIPT returns, one request a connection; a context manager. `asked` is what was."""

    def __init__(self, script: Script, address: str = "127.0.0.1") -> None:
        self._script = script
        self._socket = socket.create_server((address, 0))
        self.port = int(self._socket.getsockname()[1])
        self.name = f"{address}:{self.port}"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def dribble(self, first: bytes, again: bytes) -> Iterable[bytes]:
        """Give FIRST, and AGAIN in small steps for as long as somebody listens."""
        yield first
        while not self.ended.wait(0.02):
            yield again

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._socket.accept()[0],), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(children.GRACE)
            received = b""
            while b"\r\n\r\n" not in received:
                more = connection.recv(65536)
                if not more:
                    return
                received += more
            first, *lines = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            asked = first.rpartition(" ")[0]
            self.asked.append((asked, headers))
            told = self._script(asked, headers)
            for part in [told] if isinstance(told, bytes) else told:
                connection.sendall(part)


def _hang(there: Liar) -> Iterable[bytes]:
    there.ended.wait(20)
    return [b""]


NONSENSE: dict[str, Callable[[Liar], bytes | Iterable[bytes]]] = {
    "hangs": _hang,
    "trickles": lambda there: there.dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "trickles its head": lambda there: there.dribble(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "sends ten megabytes": lambda _: answer(b" " * 10_000_000),
    "redirects": lambda _: answer(b"", status=302, headers={"Location": "http://127.0.0.1:9/"}),
    "answers HTML": lambda _: answer(b"<html>welcome</html>"),
    "breaks off": lambda _: answer(b"{}", size=1000),
    "says nothing": lambda _: b"",
    "is no HTTP": lambda _: b"220 mail.localhost ESMTP\r\n",
}
"""What a server does that no client can make sense of, by what that is."""
