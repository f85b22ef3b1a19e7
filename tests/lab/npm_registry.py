"""A small npm registry on loopback: packages with signatures, and the keys that they are made with."""

import base64
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY = "SHA256:of-a-test"

NO_SIGSTORE = """
const load = require("node:module")._load;
const missing = Object.assign(new Error("no such target"), { code: "TUF_FIND_TARGET_ERROR" });
const tuf = { initTUF: async () => ({ getTarget: async () => { throw missing; } }) };
require("node:module")._load = (name, ...rest) => (name === "@sigstore/tuf" ? tuf : load(name, ...rest));
"""
"""A module for node's `--require`: npm finds no keys of the registry at Sigstore, as of any but the public one.

Without it, npm's audit needs the internet.
"""


@dataclass(kw_only=True)
class NpmRegistry:
    """The registry at `url`: PACKAGES by name, each in one of VERSIONS; without OFFERS, it has no keys."""

    url: str = ""
    offers: bool = True
    packages: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    signatures: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def add(self, folder: Path) -> None:
        """Publish the package in FOLDER, signed."""
        package = json.loads((folder / "package.json").read_bytes())
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            archive.add(folder, "package")
        self.packages[package["name"]], self.versions[package["name"]] = file.getvalue(), package["version"]
        self.sign(package["name"], integrity(file.getvalue()))

    def sign(self, name: str, what: str) -> None:
        """Sign WHAT, in place of its integrity, as the package NAME."""
        made = self.key.sign(f"{name}@{self.versions[name]}:{what}".encode(), ec.ECDSA(hashes.SHA256()))
        self.signatures[name] = [{"keyid": KEY, "sig": base64.b64encode(made).decode()}]

    def locked(self, name: str) -> dict[str, Any]:
        """Return the entry of NAME in a lock file."""
        dist = {"resolved": f"{self.url}{name}/-/it.tgz", "integrity": integrity(self.packages[name])}
        return {"version": self.versions[name], **dist}

    def answer(self, path: str) -> bytes | None:
        """Return the answer to a GET of PATH; None if there is no such thing."""
        name, _, file = path.strip("/").partition("/")
        if name == "-":
            return self._list_keys() if self.offers else None
        if name not in self.packages or file:
            return self.packages.get(name)
        dist = {"tarball": f"{self.url}{name}/-/it.tgz", "integrity": integrity(self.packages[name])}
        number = self.versions[name]
        version = {"name": name, "version": number, "dist": {**dist, "signatures": self.signatures[name]}}
        return json.dumps({"name": name, "dist-tags": {"latest": number}, "versions": {number: version}}).encode()

    def _list_keys(self) -> bytes:
        form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        public = base64.b64encode(self.key.public_key().public_bytes(*form)).decode()
        key = {"keyid": KEY, "keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256", "key": public}
        return json.dumps({"keys": [{**key, "expires": None}]}).encode()


def integrity(data: bytes) -> str:
    """Return the integrity of a tarball DATA, as npm writes it (Subresource Integrity)."""
    return f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"


@contextmanager
def serving() -> Iterator[NpmRegistry]:
    """Serve a registry until the block ends."""
    registry = NpmRegistry()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = registry.answer(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield registry
        finally:
            server.shutdown()
