"""A real image registry (Debian's `docker-registry`, distribution 2.8) on an address of this machine."""

import http.client
import json
import shutil
import ssl
import tempfile
from pathlib import Path

from lab import certificates, children
from lab.tokens import ISSUER, Login, TokenServer

MISSING = [tool for tool in ("docker-registry", "openssl", "htpasswd", "setpriv") if not shutil.which(tool)]
"""The tools a registry needs and this machine lacks."""


class Registry(children.Part):
    """A registry with its data in a temporary folder; a context manager that starts and removes it.

        with Registry(tls=True, login=Login(user="ci", password="right")) as registry:
            registry.name  # "127.0.0.1:40123", what image references begin with

    Plain HTTP unless `tls`; open to everybody unless `login` (Basic, htpasswd) or `login` and `token` (Bearer; `tokens`
    then tells which scopes were asked for, and can be told what to grant). `ca` is the authority a client has to trust,
    alone in its folder. The port is a free one unless it is said. With `cache` it remembers which blobs it has, as
    Debian configures it. `program` is another version of distribution. Tokens are granted at `tokens_at`, or at its own
    address. Who reads a blob is sent to the address `storage`, if it is set before the start.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        tls: bool = False,
        login: Login | None = None,
        token: bool = False,
        port: int = 0,
        cache: bool = False,
        program: str = "docker-registry",
        tokens_at: str = "",
    ) -> None:
        self.address = address
        self.storage = ""
        self.program, self._cache = program, cache
        self.login = login
        self.folder = children.new_folder("registry", Path(tempfile.gettempdir()))
        self.data = self.folder / "data"
        self.log = self.folder / "registry.log"
        self.port = port or children.free_port(address)
        self.ca: Path | None = None
        self.tokens: TokenServer | None = None
        self._tls: certificates.Pair | None = None
        if tls:
            issuer = certificates.authority(self.folder)
            self.ca, self._tls = issuer.certificate, certificates.server(self.folder, issuer, address)
        if token:
            if login is None:
                raise ValueError("token needs a login")
            self._signer = certificates.signer(self.folder)
            self.tokens = TokenServer(login, self._signer, address=tokens_at or address, tls=self._tls)

    @property
    def name(self) -> str:
        """`host:port`, what image references begin with."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"{'https' if self._tls else 'http'}://{self.name}"

    def start(self) -> None:
        """Start it and wait until it answers; the port and the data are those it had before."""
        file = self.folder / "config.yml"
        file.write_text(json.dumps(self._settings()))
        self.spawn([self.program, "serve", str(file)])
        self.wait_until(self._answers, f"registry {self.name}")

    def stop(self) -> None:
        """Stop it; its data stays."""
        self.end()

    def restart(self) -> None:
        """Stop it and start it on the same port with the same data."""
        self.stop()
        self.start()

    def collect_garbage(self) -> str:
        """Delete every manifest without a tag, and what only such manifests list; the server goes on beside it."""
        command = [self.program, "garbage-collect", "--delete-untagged", str(self.folder / "config.yml")]
        return children.run(command).decode()

    def drop_tag(self, repository: str, tag: str) -> None:
        """Remove TAG alone, as a clean-up that counts tags does; distribution 2.8 has no request for it."""
        shutil.rmtree(self.data / "docker/registry/v2/repositories" / repository / "_manifests" / "tags" / tag)

    def close(self) -> None:
        """Stop it and remove everything it kept."""
        self.stop()
        if self.tokens is not None:
            self.tokens.close()
        shutil.rmtree(self.folder)

    def ask(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Return the status and the body of the answer to one request, as somebody who trusts its authority."""
        connection = http.client.HTTPConnection(self.name, timeout=5)
        if self.ca is not None:
            context = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(self.name, timeout=5, context=context)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            return self.ask("/v2/")[0] in {200, 401}
        except OSError:
            return False

    def _settings(self) -> dict[str, object]:
        served: dict[str, object] = {"addr": self.name, "secret": "lab"}
        if self._tls:
            served["tls"] = {"certificate": str(self._tls.certificate), "key": str(self._tls.key)}
        settings: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.data)},
                "delete": {"enabled": True},
                **({"cache": {"blobdescriptor": "inmemory"}} if self._cache else {}),
            },
            "http": served,
        }
        if self.storage:
            settings["middleware"] = {"storage": [{"name": "redirect", "options": {"baseurl": self.storage}}]}
        if self.tokens:
            settings["auth"] = {
                "token": {
                    "realm": self.tokens.realm,
                    "service": self.tokens.service,
                    "issuer": ISSUER,
                    "rootcertbundle": str(self._signer.certificate),
                }
            }
        elif self.login:
            users = self.folder / "htpasswd"
            password = f"{self.login.password}\n".encode()
            users.write_bytes(children.run(["htpasswd", "-inB", self.login.user], given=password))
            settings["auth"] = {"htpasswd": {"realm": "lab", "path": str(users)}}
        return settings
