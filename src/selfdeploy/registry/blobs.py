"""One repository of a registry: the ping, and its blobs, pushed and read back."""

import contextlib
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

from selfdeploy import errors
from selfdeploy.registry import refusal
from selfdeploy.registry.artifact import Reference, sha256
from selfdeploy.registry.connections import Answer, authority
from selfdeploy.registry.credentials import HUB
from selfdeploy.registry.tokens import Login
from selfdeploy.registry.transport import NOWHERE, Transport, whole

API = "registry-1.docker.io"
"""Host of Docker Hub's registry, for images named docker.io/NAME."""
LIMIT = 8 << 20
"""Largest document to read (manifest, config, record), in bytes."""
LAYER_PATIENCE = 900.0
"""Seconds allowed for a layer."""
COURTESY = 5.0
"""Seconds allowed for a request whose failure changes nothing."""
WRITTEN = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED})
"""Statuses of a successful push; the specification has 201 only."""
PAUSES = 0.2, 0.8
"""Seconds before each further attempt to read a push back: a registry's storage may lag behind."""


class Blobs:
    """The blobs of one repository, over HTTP.

    Every method raises the errors of `Transport.exchange`, and `errors.RegistryInvalid` for an answer with another
    digest, size, media type or shape than requested.
    """

    def __init__(self, reference: Reference, *, scheme: str, patience: float = 60.0) -> None:
        self.reference = reference
        login = Login(host=reference.host, repository=reference.repository)
        host = API if reference.host in HUB else reference.host
        self._transport = Transport(host=host, scheme=scheme, login=login, patience=patience)
        self._is_registry = False

    def ping(self) -> None:
        """Check for a registry that accepts our login.

        Raises:
            errors.RegistryInvalid: another kind of server answers.
        """
        with self._transport.exchange("GET", "") as answer:
            kind = answer.headers.get("Content-Type", "")
            told = answer.headers.get("Docker-Distribution-Api-Version") or "json" in kind
            if answer.status != HTTPStatus.OK or not told:
                hint = "see image.repository in deploy.toml"
                if answer.status == HTTPStatus.BAD_REQUEST and self._transport.scheme == "http":
                    place = authority(self.reference.host)
                    hint = f"where it speaks https: put its authority into {place}, and leave image.insecure out"
                raise errors.RegistryInvalid(
                    f"{self.reference.host} is not an OCI registry (HTTP {answer.status})", hint
                )
        self._is_registry = True

    def may_push(self) -> None:
        """Check that we may push: begin an upload, and cancel it.

        Raises:
            errors.RegistryDenied: the login may not push.
        """
        self.ping()
        try:
            location = self._begin_upload()
        except errors.RegistryDenied as exc:
            raise errors.RegistryDenied(
                f"{exc.message}: it lets us in, and does not let us push", f"let that login push to {self.reference}"
            ) from exc
        with (
            contextlib.suppress(errors.SelfdeployError),  # an open upload expires by itself
            self._transport.exchange("DELETE", location, seconds=COURTESY),
        ):
            pass

    def blob(self, digest: str) -> bytes:
        """Return the blob DIGEST, verified; at most `LIMIT` bytes.

        Raises:
            errors.ImageGone: the registry does not have it, or announces it and sends none of it.
        """
        with self._transport.exchange("GET", self._path(f"blobs/{digest}")) as answer:
            try:
                data = self._whole(answer, digest)
            except errors.RegistryUnreachable:
                if self.gives(digest, 1):
                    raise
                what = "the registry announces it and does not give it"
                raise errors.ImageGone(f"{self._named(digest)}: {what}", refusal.RESTART) from None
        self._check(digest, sha256(data), digest)
        return data

    @contextlib.contextmanager
    def stream(self, digest: str) -> Iterator[Iterator[bytes]]:
        """Yield the chunks of the blob DIGEST, neither verified nor bounded."""
        with self._transport.exchange("GET", self._path(f"blobs/{digest}"), seconds=LAYER_PATIENCE) as answer:
            self._expect_found(answer, digest)
            yield answer.chunks

    def put_blob(self, data: bytes) -> None:
        """Store DATA, unless the registry has it already, and read it back.

        Raises:
            errors.PushRefused: the registry does not accept it.
            errors.PushLost: the registry confirmed the push, and does not give the blob back.
        """
        digest = sha256(data)
        if self.gives(digest, len(data)):
            return
        url = self._begin_upload()
        url += ("&" if "?" in url else "?") + f"digest={digest}"
        kind = {"Content-Type": "application/octet-stream"}
        with self._transport.exchange("PUT", url, headers=kind, data=data) as answer:
            if answer.status not in WRITTEN:
                raise refusal.upload(str(self.reference), answer, f"{len(data)} bytes")
        if not soon(lambda: self.gives(digest, len(data))):
            raise refusal.lost(self._named(digest))

    def gives(self, digest: str, size: int) -> bool:
        """Return whether the registry delivers the last byte of the blob DIGEST of SIZE bytes.

        A HEAD request proves nothing: some registries answer it from a cache that outlives the blob.

        Raises:
            errors.RegistryUnreachable: it does not answer, or not in time.
            errors.RegistryInvalid: the answer is neither a success nor "not found".
        """
        found = self._gives(digest, size)
        if found is None:
            time.sleep(PAUSES[0])
            found = self._gives(digest, size)
        return bool(found)

    def _gives(self, digest: str, size: int) -> bool | None:
        """Return the result of `gives`; None if the registry announces the byte and breaks off."""
        last = max(size - 1, 0)
        asked = {"Range": f"bytes={last}-{last}"}
        with self._transport.exchange("GET", self._path(f"blobs/{digest}"), headers=asked) as answer:
            match answer.status:
                case HTTPStatus.NOT_FOUND:
                    return False
                case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return size == 0
                case HTTPStatus.OK | HTTPStatus.PARTIAL_CONTENT:
                    with contextlib.suppress(errors.RegistryUnreachable):
                        return next(answer.chunks, b"") != b"" or size == 0
                case _:
                    raise refusal.read(self._named(digest), answer, self.reference.host)
        self.ping()  # it raises if the connection is at fault, not the blob
        return None

    def _begin_upload(self) -> str:
        with self._transport.exchange("POST", self._path("blobs/uploads/")) as answer:
            if answer.status != HTTPStatus.ACCEPTED:
                raise refusal.upload(str(self.reference), answer, "a blob")
            return self._transport.target(answer.url, answer.headers.get("Location", NOWHERE))

    def _path(self, rest: str) -> str:
        return f"{self.reference.repository}/{rest}"

    def _named(self, name: str) -> str:
        return f"{self.reference}{'@' if name.startswith('sha256:') else ':'}{name}"

    def _expect_found(self, answer: Answer, name: str) -> None:
        if answer.status != HTTPStatus.OK:
            # Never show the body: the server may repeat our request in it, and so the password.
            raise refusal.read(self._named(name), answer, self.reference.host)

    def _whole(self, answer: Answer, name: str) -> bytes:
        self._expect_found(answer, name)
        return whole(answer.chunks, LIMIT, self._named(name))

    def _check(self, expected: object, actual: object, name: str) -> None:
        if actual != expected:
            raise errors.RegistryInvalid(f"{self._named(name)}: expected {expected}, actual {actual}", refusal.DAMAGED)


def soon(holds: Callable[[], bool]) -> bool:
    """Return whether HOLDS returns True, now or after one of `PAUSES`."""
    for pause in PAUSES:
        if holds():
            return True
        time.sleep(pause)
    return holds()
