"""The OCI distribution API: resolve by digest, read labels, attach and find release records."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from selfdeploy import errors
from selfdeploy.registry import artifact, refusal
from selfdeploy.registry.artifact import Child, Descriptor, Image, Record, Reference, sha256
from selfdeploy.registry.connections import Answer, authorities, authority
from selfdeploy.registry.tokens import Login
from selfdeploy.registry.transport import NOWHERE, Transport, is_loopback, whole

__all__ = [
    "Child",
    "Descriptor",
    "Image",
    "Record",
    "Reference",
    "Registry",
    "connect",
    "is_loopback",
    "is_plain",
    "sha256",
]

Document = TypeVar("Document", artifact.Index, artifact.Single)
LIMIT = 8 << 20
"""Bytes of the largest document: manifests, configs, records."""
LAYER_PATIENCE = 900.0
"""Seconds for a layer."""
COURTESY = 5.0
"""Seconds for a request whose failure changes nothing."""
WRITTEN = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED})
"""Answers of registries to a push that they took; the specification has 201."""
PAUSES = 0.2, 0.8
"""Seconds before a push is read back again: storage behind a registry may show it a moment later."""


class Registry:
    """One repository of a registry, spoken to over HTTP.

    Every method raises what `Transport.exchange` does, and `errors.RegistryInvalid` where an answer is not what was
    asked for: another digest, size, media type or shape.
    """

    def __init__(self, reference: Reference, *, scheme: str, patience: float = 60.0) -> None:
        self.reference = reference
        login = Login(host=reference.host, repository=reference.repository)
        self._transport = Transport(host=reference.host, scheme=scheme, login=login, patience=patience)
        self._is_registry = False

    def ping(self) -> None:
        """Return when the registry is one and takes us."""
        with self._transport.exchange("GET", "") as answer:
            kind = answer.headers.get("Content-Type", "")
            told = answer.headers.get("Docker-Distribution-Api-Version") or "json" in kind
            if answer.status != HTTPStatus.OK or not told:
                hint = "see image.repository in deploy.toml"
                if answer.status == HTTPStatus.BAD_REQUEST and self._transport.scheme == "http":
                    place = authority(self.reference.host)
                    hint = f"where it speaks https: put its authority into {place}, and leave image.insecure out"
                raise errors.RegistryInvalid(
                    f"{self.reference.host}: what answers there is no registry (HTTP {answer.status})", hint
                )
        self._is_registry = True

    def may_push(self) -> None:
        """Return when we may push: an upload is begun, and given up."""
        self.ping()
        try:
            location = self._begin_upload()
        except errors.RegistryDenied as exc:
            raise errors.RegistryDenied(
                f"{exc.message}: it lets us in, and does not let us push", f"let that login push to {self.reference}"
            ) from exc
        with (
            contextlib.suppress(errors.SelfdeployError),  # an upload that is left open ends by itself
            self._transport.exchange("DELETE", location, seconds=COURTESY),
        ):
            pass

    def manifest(self, name: str) -> tuple[Descriptor, bytes] | None:
        """Return what the registry has under the tag or digest NAME; None where it has nothing."""
        accept = {"Accept": ", ".join((*artifact.INDEX, *artifact.SINGLE))}
        with self._transport.exchange("GET", self._path(f"manifests/{name}"), headers=accept) as answer:
            found = None if answer.status == HTTPStatus.NOT_FOUND else self._whole(answer, name)
        if found is None:
            if not self._is_registry:  # something else knows nothing of images either
                self.ping()
            return None
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if name.startswith("sha256:"):
            self._check(name, sha256(found), name)
        if kind not in {*artifact.INDEX, *artifact.SINGLE}:
            raise errors.RegistryInvalid(f"{self._named(name)}: no image's media type: {kind[:80]!a}", refusal.DAMAGED)
        return Descriptor(media_type=kind, digest=sha256(found), size=len(found)), found

    def image(self, name: str) -> Image | None:
        """Return the image under the tag or digest NAME: index, platforms and configs kept apart; None where is none.

        Raises:
            errors.ImageMismatch: what is there is no image, or one that names a platform twice.
        """
        found = self.manifest(name)
        if found is None:
            return None
        top, _ = found
        children: dict[str, Child] = {}
        for entry in self._entries(*found):
            whole_image = top.media_type in artifact.SINGLE
            single = self._parsed(artifact.Single, *found) if whole_image else self.single(entry.digest, entry.size)
            if single.config.media_type not in artifact.CONFIG:
                kind = single.config.media_type[:80]
                raise errors.ImageMismatch(f"{self._named(entry.digest)}: no image: its config is {kind!a}", "push one")
            platform = str(entry.platform or self._platform(single))
            if platform in children:
                raise errors.ImageMismatch(f"{self._named(name)}: two images for {platform[:80]!a}", "push one of them")
            children[platform] = Child(digest=entry.digest, config=single.config.digest)
        if not children:
            raise errors.ImageMismatch(f"{self._named(name)}: an index without an image", "push it again")
        return Image(digest=top.digest, media_type=top.media_type, platforms=children)

    def single(self, digest: str, size: int | None = None) -> artifact.Single:
        """Return one platform's image manifest, which the registry has to have."""
        found = self.manifest(digest)
        if found is None:
            raise errors.RegistryInvalid(f"{self._named(digest)}: it is gone", "push the image again")
        self._check(found[0].size if size is None else size, found[0].size, digest)
        if found[0].media_type not in artifact.SINGLE:
            raise errors.RegistryInvalid(f"{self._named(digest)}: an index where an image has to be", "push it again")
        return self._parsed(artifact.Single, *found)

    def absent(self, digest: str) -> list[str]:
        """Return the digests of those parts of the image DIGEST that the registry has not got."""
        found = self.manifest(digest)
        if found is None:
            return [digest]
        absent = []
        for entry in self._entries(*found):
            child = found if entry.digest == digest else self.manifest(entry.digest)
            if child is None:
                absent.append(entry.digest)
                continue
            single = self._parsed(artifact.Single, *child)
            parts = (single.config, *single.layers)
            absent += [part.digest for part in parts if not self.gives(part.digest, part.size)]
        return absent

    def labels(self, image: Image) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of IMAGE by platform."""
        labels: dict[str, Mapping[str, str]] = {}
        for platform, child in image.platforms.items():
            inner = self.config(child.config).get("config") or {}
            told = (inner.get("Labels") or {}) if isinstance(inner, dict) else None
            if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
                raise errors.RegistryInvalid(f"{self._named(child.config)}: config.Labels: no labels", "push it again")
            labels[platform] = told
        return labels

    def config(self, digest: str) -> dict[str, Any]:
        """Return an image's config."""
        return artifact.parse_object(self.blob(digest), self._named(digest))

    def blob(self, digest: str) -> bytes:
        """Return the blob DIGEST, verified; at most `LIMIT` bytes."""
        with self._transport.exchange("GET", self._path(f"blobs/{digest}")) as answer:
            data = self._whole(answer, digest)
        self._check(digest, sha256(data), digest)
        return data

    @contextlib.contextmanager
    def stream(self, digest: str) -> Iterator[Iterator[bytes]]:
        """Give the chunks of the blob DIGEST, which are neither verified nor bounded."""
        with self._transport.exchange("GET", self._path(f"blobs/{digest}"), seconds=LAYER_PATIENCE) as answer:
            self._expect_found(answer, digest)
            yield answer.chunks

    def put_blob(self, data: bytes) -> None:
        """Store DATA, unless the registry gives it already, and read it back.

        Raises:
            errors.PushRefused: the registry does not take it.
            errors.PushLost: the registry confirmed it, and does not give it back.
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
        if not _soon(lambda: self.gives(digest, len(data))):
            raise refusal.lost(self._named(digest))

    def put_manifest(self, data: bytes, media_type: str, name: str) -> None:
        """Store DATA as the manifest under the tag or digest NAME, and read it back.

        A registry that lets no tag be overwritten is fine where the tag has DATA already.

        Raises:
            errors.PushRefused: the registry does not take it, or the tag may not be overwritten there.
            errors.PushLost: the registry confirmed it, and does not give it back.
        """
        kind = {"Content-Type": media_type}
        with self._transport.exchange("PUT", self._path(f"manifests/{name}"), headers=kind, data=data) as answer:
            if answer.status not in WRITTEN:
                held = self._holds(name) if answer.status in refusal.IMMUTABLE else ""
                if held == sha256(data):
                    return
                raise refusal.manifest(str(self.reference), answer, name, exists=held != "")
        if not _soon(lambda: self._holds(name) == sha256(data)):
            raise refusal.lost(self._named(name))

    def _holds(self, name: str) -> str:
        """Return the digest under NAME; empty if there is none, or none that can be read."""
        try:
            found = self.manifest(name)
        except errors.RegistryInvalid:
            return "?"
        return found[0].digest if found else ""

    def gives(self, digest: str, size: int) -> bool:
        """Return whether the registry gives the last byte of a blob of SIZE bytes.

        A HEAD is no proof: some registries answer it from a cache that outlives the blob.

        Raises:
            errors.RegistryUnreachable: it does not answer, or not in time.
            errors.RegistryInvalid: it answers neither that it has the blob nor that it has not.
        """
        found = self._gives(digest, size)
        if found is None:
            time.sleep(PAUSES[0])
            found = self._gives(digest, size)
        return bool(found)

    def find_record(self, tag: str) -> Record | None:
        """Return the release record under TAG, every digest verified; None where there is none.

        Raises:
            errors.RecordInvalid: something else is there.
        """
        found = self.manifest(tag)
        if found is None:
            return None
        subject, parts = artifact.decode_record(found[1], self._named(tag))
        manifest, evidence = (self.blob(parts[kind].digest) for kind in (artifact.MANIFEST, artifact.EVIDENCE))
        return Record(subject=subject, manifest=manifest, evidence=evidence)

    def put_record(self, record: Record, tag: str) -> None:
        """Store RECORD under TAG, its parts first: what the tag finds is whole."""
        for data in (b"{}", record.manifest, record.evidence):
            self.put_blob(data)
        data = artifact.encode_record(record)
        self.put_manifest(data, artifact.SINGLE[0], f"record-{sha256(data).removeprefix('sha256:')}")
        self.put_manifest(data, artifact.SINGLE[0], tag)

    def _gives(self, digest: str, size: int) -> bool | None:
        """Return what `gives` does; None if the registry announces the byte and breaks off."""
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
        self.ping()  # or else the connection is at fault, not the blob
        return None

    def _entries(self, top: Descriptor, data: bytes) -> list[artifact.Listed]:
        if top.media_type in artifact.SINGLE:
            return [artifact.Listed(media_type=top.media_type, digest=top.digest, size=top.size)]
        return [entry for entry in self._parsed(artifact.Index, top, data).manifests if entry.is_image]

    def _parsed(self, kind: type[Document], top: Descriptor, data: bytes) -> Document:
        document = artifact.parse(kind, data, self._named(top.digest))
        if document.media_type not in {"", top.media_type}:
            told = document.media_type[:80]
            raise errors.RegistryInvalid(
                f"{self._named(top.digest)}: {top.media_type}, and it says {told!a}", refusal.DAMAGED
            )
        return document

    def _platform(self, single: artifact.Single) -> artifact.Platform:
        return artifact.parse(artifact.Platform, self.blob(single.config.digest), self._named(single.config.digest))

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
            # The body is left out: whoever answers may write there what we sent, and that is the password.
            raise refusal.read(self._named(name), answer, self.reference.host)

    def _whole(self, answer: Answer, name: str) -> bytes:
        self._expect_found(answer, name)
        return whole(answer.chunks, LIMIT, self._named(name))

    def _check(self, expected: object, actual: object, name: str) -> None:
        if actual != expected:
            raise errors.RegistryInvalid(f"{self._named(name)}: expected {expected}, actual {actual}", refusal.DAMAGED)


def _soon(holds: Callable[[], bool]) -> bool:
    """Return whether HOLDS does, now or after one of `PAUSES`."""
    for pause in PAUSES:
        if holds():
            return True
        time.sleep(pause)
    return holds()


def is_plain(host: str, *, insecure: bool = False) -> bool:
    """Say whether HOST is spoken to over http: where INSECURE, or on loopback without an authority in certs.d."""
    return insecure or (is_loopback(host) and not authorities(host))


def connect(reference: Reference, *, insecure: bool = False) -> Registry:
    """Return the registry of REFERENCE, over http or https as `is_plain` says."""
    return Registry(reference, scheme="http" if is_plain(reference.host, insecure=insecure) else "https")
