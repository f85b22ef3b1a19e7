"""A token server as the distribution project's "token authentication specification" describes it."""

import base64
import binascii
import json
import ssl
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from lab import certificates, children

ISSUER = "lab tokens"
EVERYTHING = frozenset({"pull", "push", "delete", "*"})


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user and the password that is right."""

    user: str
    password: str

    @property
    def header(self) -> str:
        """The value of the Authorization header (Basic)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class TokenServer:
    """Grants to whoever knows LOGIN what they ask for, as far as `allowed` goes; remembers what was asked.

    `allowed` can be changed at any time: `{"pull"}` makes every later token one that cannot push. With `anonymous`,
    who shows no password is granted "pull". `identity`, where set, is as good as the password (OAuth 2's refresh
    token). `lifetime` is how many seconds from now a token expires.
    """

    service = "lab registry"

    def __init__(self, login: Login, signer: certificates.Pair, *, address: str, tls: certificates.Pair | None) -> None:
        self.login = login
        self.allowed = EVERYTHING
        self.anonymous = False
        self.identity = ""
        self.lifetime = 300
        self.asked: list[str] = []
        self.refused = 0
        self._signer = signer
        pem = signer.certificate.read_text()
        self._x5c = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
        self._server = ThreadingHTTPServer((address, 0), self._handler())
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.realm = f"{scheme}://{address}:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def grant(self, scopes: list[str], allowed: frozenset[str], subject: str) -> str:
        """Return a signed token for SCOPES (`repository:NAME:pull,push`), cut down to ALLOWED."""
        access = []
        for scope in " ".join(scopes).split():
            kind, name = scope.split(":", 1)[0], scope.split(":", 1)[1].rsplit(":", 1)[0]
            actions = [action for action in scope.rsplit(":", 1)[1].split(",") if action in allowed]
            access.append({"type": kind, "name": name, "actions": actions})
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "sub": subject,
            "aud": self.service,
            "access": access,
            "jti": str(uuid.uuid4()),
        }
        claims |= {"iat": now, "nbf": now - 900, "exp": now + self.lifetime}
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self._x5c]}
        text = ".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
        signature = children.run(["openssl", "dgst", "-sha256", "-sign", str(self._signer.key)], given=text.encode())
        return f"{text}.{_base64(signature)}"

    def answer(self, query: str, authorization: str | None) -> tuple[int, dict[str, object]]:
        """Return the status and the body for one request."""
        told = parse_qs(query)
        scopes = told.get("scope", [])
        self.asked += " ".join(scopes).split()
        refreshed = told.get("grant_type") == ["refresh_token"] and told.get("refresh_token") == [self.identity]
        if refreshed or _decoded(authorization) == _decoded(self.login.header):
            token = self.grant(scopes, self.allowed, self.login.user)
        elif authorization is None and self.anonymous:
            token = self.grant(scopes, self.allowed & {"pull"}, "")
        else:
            self.refused += 1
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}
        return 200, {"token": token, "access_token": token, "expires_in": 300}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(urlsplit(self.path).query)

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def _answer(self, query: str) -> None:
                status, content = tokens.answer(query, self.headers["Authorization"])
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Say nothing."""

        return Handler


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(authorization: str | None) -> bytes | None:
    """Return `user:password` of a Basic Authorization header, and None for anything else."""
    kind, _, value = (authorization or "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return None
