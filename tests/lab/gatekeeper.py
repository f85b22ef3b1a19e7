"""What stands before a registry and refuses requests for it, as rate limiters, quotas and rules of tags do.

Distribution itself has none of these: the answers are those that the documentation of such registries shows.
"""

import contextlib
import http.client
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from lab import children

FOR_EVER = 1 << 30
HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(kw_only=True)
class Rule:
    """An answer to the first TIMES requests whose `METHOD PATH` PATTERN is found in; to each such line by itself."""

    pattern: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int = FOR_EVER
    given: dict[str, int] = field(default_factory=dict)

    def is_due(self, line: str) -> bool:
        """Return whether LINE gets this answer now, and count it."""
        key = re.sub(r"uploads/.+", "uploads/...", line)
        if not re.search(self.pattern, line) or self.given.get(key, 0) >= self.times:
            return False
        self.given[key] = self.given.get(key, 0) + 1
        return True


class Gatekeeper:
    """A server before the registry at UPSTREAM that answers by `rules` first; a context manager."""

    def __init__(self, upstream: str, *rules: Rule) -> None:
        self.rules = list(rules)
        self.asked: list[str] = []
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                line = f"{self.command} {self.path}"
                keeper.asked.append(line)
                for rule in keeper.rules:
                    if rule.is_due(line):
                        return self._answer(rule.status, rule.headers, rule.body)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                with contextlib.closing(http.client.HTTPConnection(upstream, timeout=children.GRACE)) as there:
                    there.request(self.command, self.path, data, headers)  # with our Host: its Locations lead to us
                    found = there.getresponse()
                    return self._answer(found.status, dict(found.getheaders()), found.read())

            def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler._serve)  # noqa: SLF001 -- ours
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
