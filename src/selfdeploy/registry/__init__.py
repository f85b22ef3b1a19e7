"""The OCI distribution API: resolve by digest, read labels, attach and find release records."""

import contextlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from selfdeploy import errors
from selfdeploy.registry import artifact
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
DAMAGED = "the registry or what is before it is damaged: push again, or see its log"


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
        with contextlib.suppress(errors.RegistryDenied), self._transport.exchange("DELETE", location):
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
            raise errors.RegistryInvalid(f"{self._named(name)}: no image's media type: {kind[:80]!a}", DAMAGED)
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
            absent += [part.digest for part in (single.config, *single.layers) if not self._has_blob(part.digest)]
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
            self._expect(answer, HTTPStatus.OK, digest)
            yield answer.chunks

    def put_blob(self, data: bytes) -> None:
        """Store DATA."""
        digest = sha256(data)
        if self._has_blob(digest):
            return
        url = self._begin_upload()
        url += ("&" if "?" in url else "?") + f"digest={digest}"
        kind = {"Content-Type": "application/octet-stream"}
        with self._transport.exchange("PUT", url, headers=kind, data=data) as answer:
            self._expect(answer, HTTPStatus.CREATED, digest)

    def put_manifest(self, data: bytes, media_type: str, name: str) -> None:
        """Store DATA as the manifest under the tag or digest NAME."""
        kind = {"Content-Type": media_type}
        with self._transport.exchange("PUT", self._path(f"manifests/{name}"), headers=kind, data=data) as answer:
            self._expect(answer, HTTPStatus.CREATED, name)

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

    def _has_blob(self, digest: str) -> bool:
        with self._transport.exchange("HEAD", self._path(f"blobs/{digest}")) as answer:
            return answer.status == HTTPStatus.OK

    def _entries(self, top: Descriptor, data: bytes) -> list[artifact.Listed]:
        if top.media_type in artifact.SINGLE:
            return [artifact.Listed(media_type=top.media_type, digest=top.digest, size=top.size)]
        return [entry for entry in self._parsed(artifact.Index, top, data).manifests if entry.is_image]

    def _parsed(self, kind: type[Document], top: Descriptor, data: bytes) -> Document:
        document = artifact.parse(kind, data, self._named(top.digest))
        if document.media_type not in {"", top.media_type}:
            told = document.media_type[:80]
            raise errors.RegistryInvalid(f"{self._named(top.digest)}: {top.media_type}, and it says {told!a}", DAMAGED)
        return document

    def _platform(self, single: artifact.Single) -> artifact.Platform:
        return artifact.parse(artifact.Platform, self.blob(single.config.digest), self._named(single.config.digest))

    def _begin_upload(self) -> str:
        with self._transport.exchange("POST", self._path("blobs/uploads/")) as answer:
            self._expect(answer, HTTPStatus.ACCEPTED, "upload")
            return self._transport.target(answer.url, answer.headers.get("Location", NOWHERE))

    def _path(self, rest: str) -> str:
        return f"{self.reference.repository}/{rest}"

    def _named(self, name: str) -> str:
        return f"{self.reference}{'@' if name.startswith('sha256:') else ':'}{name}"

    def _expect(self, answer: Answer, status: HTTPStatus, name: str) -> None:
        if answer.status != status:
            # The body is left out: whoever answers may write there what we sent, and that is the password.
            raise errors.RegistryInvalid(
                f"{self._named(name)}: expected HTTP {status}, actual {answer.status}", DAMAGED
            )

    def _whole(self, answer: Answer, name: str) -> bytes:
        self._expect(answer, HTTPStatus.OK, name)
        return whole(answer.chunks, LIMIT, self._named(name))

    def _check(self, expected: object, actual: object, name: str) -> None:
        if actual != expected:
            raise errors.RegistryInvalid(f"{self._named(name)}: expected {expected}, actual {actual}", DAMAGED)


def is_plain(host: str, *, insecure: bool = False) -> bool:
    """Say whether HOST is spoken to over http: where INSECURE, or on loopback without an authority in certs.d."""
    return insecure or (is_loopback(host) and not authorities(host))


def connect(reference: Reference, *, insecure: bool = False) -> Registry:
    """Return the registry of REFERENCE, over http or https as `is_plain` says."""
    return Registry(reference, scheme="http" if is_plain(reference.host, insecure=insecure) else "https")
