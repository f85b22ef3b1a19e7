"""A forge of one repository: a bare one, served over HTTP by git itself to who knows the token."""

import base64
import http.server
import os
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from lab import children

NAME = "owner/sf"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Passes what git asks on to `git http-backend` (a CGI program, RFC 3875)."""

    server: "_Server"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        given = self.headers.get("Authorization", "")
        expected = base64.b64encode(f"token:{self.server.token}".encode()).decode()
        if given != f"Basic {expected}":
            self.server.refused += 1
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="forge"')
            self.end_headers()
            return
        where = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        variables = {
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": where.path,
            "QUERY_STRING": where.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, check=True, env={**os.environ, **variables}
        )
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest)


class _Server(http.server.ThreadingHTTPServer):
    folder: Path
    token: str
    refused = 0


class Forge:
    """The forge, its repository in FOLDER; a context manager.

    with Forge(folder, token="...") as forge:
        forge.url  # "http://127.0.0.1:40123", and forge.repository what one pushes to
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.repository = folder / NAME
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.folder, self._server.token = folder, token
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def refused(self) -> int:
        """How many requests came without the token."""
        return self._server.refused

    def __enter__(self) -> Self:
        children.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", str(self.repository)])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
