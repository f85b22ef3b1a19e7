"""The OCI distribution API: resolve by digest, read labels, attach and find release records."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from selfdeploy import errors
from selfdeploy.registry import artifact, refusal
from selfdeploy.registry.artifact import Child, Descriptor, Image, Record, Reference, sha256
from selfdeploy.registry.blobs import LIMIT, WRITTEN, Blobs, soon
from selfdeploy.registry.connections import authorities
from selfdeploy.registry.transport import is_loopback

__all__ = [
    "LIMIT",
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

LISTED = 256
"""Most manifests in one index, those of nested indexes included."""
Document = TypeVar("Document", artifact.Index, artifact.Single)

PUSHES = 2
"""Attempts to push a manifest while its tag shows another; the second shows whether others move the tag."""


class Registry(Blobs):
    """One repository of a registry, over HTTP: its blobs, images and release records."""

    def manifest(self, name: str) -> tuple[Descriptor, bytes] | None:
        """Return the manifest under the tag or digest NAME; None if there is none."""
        accept = {"Accept": ", ".join((*artifact.INDEX, *artifact.SINGLE))}
        with self._transport.exchange("GET", self._path(f"manifests/{name}"), headers=accept) as answer:
            found = None if answer.status == HTTPStatus.NOT_FOUND else self._whole(answer, name)
        if found is None:
            if not self._is_registry:  # other servers answer 404, too
                self.ping()
            return None
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if name.startswith("sha256:"):
            self._check(name, sha256(found), name)
        if kind not in {*artifact.INDEX, *artifact.SINGLE}:
            raise errors.RegistryInvalid(f"{self._named(name)}: no image's media type: {kind[:80]!a}", refusal.DAMAGED)
        return Descriptor(media_type=kind, digest=sha256(found), size=len(found)), found

    def digest(self, name: str) -> str:
        """Return the digest of the manifest under NAME; empty if there is none."""
        found = self.manifest(name)
        return found[0].digest if found else ""

    def family(self, name: str) -> list[tuple[Descriptor, bytes]]:
        """Return the manifest NAME, then all manifests it lists, as far as the registry has them.

        Raises:
            errors.RegistryInvalid: there are more than `LISTED` manifests, or one is malformed.
        """
        found: dict[str, tuple[Descriptor, bytes]] = {}
        names = [name]
        for each in names:
            manifest = self.manifest(each)
            if manifest is None or manifest[0].digest in found:
                continue
            found[manifest[0].digest] = manifest
            if manifest[0].media_type in artifact.INDEX:
                listed = self._parsed(artifact.Index, *manifest).manifests
                names += [entry.digest for entry in listed if entry.media_type in {*artifact.INDEX, *artifact.SINGLE}]
            if len(names) > LISTED:
                raise errors.RegistryInvalid(
                    f"{self._named(name)}: more than {LISTED} manifests", "push a smaller index"
                )
        return list(found.values())

    def image(self, name: str) -> Image | None:
        """Return the image under the tag or digest NAME, with its platforms; None if there is none.

        Raises:
            errors.ImageMismatch: NAME is not an image, or has a platform twice.
        """
        found = self.manifest(name)
        if found is None:
            return None
        top, _ = found
        children: dict[str, Child] = {}
        for entry in self._entries(*found):
            whole_image = top.media_type in artifact.SINGLE
            single = self._parsed(artifact.Single, *found) if whole_image else self._listed(entry)
            if single.what_else:
                self._refuse_artifact(entry, single.what_else, alone=whole_image)
                continue
            platform = entry.place or str(self._platform(single))
            if platform in children:
                raise errors.ImageMismatch(f"{self._named(name)}: two images for {platform[:80]!a}", "push one of them")
            children[platform] = Child(digest=entry.digest, config=single.config.digest)
        if not children:
            raise errors.ImageMismatch(f"{self._named(name)}: an index without an image", "push it again")
        return Image(digest=top.digest, media_type=top.media_type, platforms=children)

    def _refuse_artifact(self, entry: artifact.Listed, what: str, *, alone: bool) -> None:
        """Accept ENTRY, an artifact in an index, only without a platform: engines choose by platform.

        Raises:
            errors.ImageMismatch: it stands ALONE, or for a platform.
        """
        if alone:
            raise errors.ImageMismatch(f"{self._named(entry.digest)}: no image: {what}", "push one")
        if entry.place:
            raise errors.ImageMismatch(
                f"{self._named(entry.digest)}: no image, and the index lists it for {entry.place}: {what}",
                "list it without a platform, or attach it to the image instead (oras attach, cosign)",
            )

    def _listed(self, entry: artifact.Listed) -> artifact.Single:
        if entry.media_type in artifact.INDEX:
            raise errors.ImageMismatch(
                f"{self._named(entry.digest)}: an index inside an index, which engines do not pull",
                "list its images in one index: docker buildx imagetools create",
            )
        return self.single(entry.digest, entry.size)

    def single(self, digest: str, size: int | None = None) -> artifact.Single:
        """Return the image manifest DIGEST of one platform; SIZE, if given, must match.

        Raises:
            errors.ImageGone: the registry does not have it.
        """
        found = self.manifest(digest)
        if found is None:
            raise errors.ImageGone(f"{self._named(digest)}: the registry does not have it", refusal.AGAIN)
        self._check(found[0].size if size is None else size, found[0].size, digest)
        if found[0].media_type not in artifact.SINGLE:
            raise errors.RegistryInvalid(f"{self._named(digest)}: an index where an image has to be", "push it again")
        return self._parsed(artifact.Single, *found)

    def absent(self, digest: str) -> list[str]:
        """Return the digests of the parts of the image DIGEST that the registry does not deliver."""
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
            if single.what_else:
                continue
            parts = (single.config, *single.layers)
            absent += [part.digest for part in parts if not self.gives(part.digest, part.size)]
        return absent

    def labels(self, image: Image) -> Mapping[str, Mapping[str, str]]:
        """Return IMAGE's labels by platform."""
        labels: dict[str, Mapping[str, str]] = {}
        for platform, child in image.platforms.items():
            inner = self.config(child.config).get("config") or {}
            told = (inner.get("Labels") or {}) if isinstance(inner, dict) else None
            if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
                raise errors.RegistryInvalid(f"{self._named(child.config)}: config.Labels: no labels", "push it again")
            labels[platform] = told
        return labels

    def config(self, digest: str) -> dict[str, Any]:
        """Return the image config DIGEST."""
        return artifact.parse_object(self.blob(digest), self._named(digest))

    def put_manifest(self, data: bytes, media_type: str, name: str) -> None:
        """Store DATA as the manifest under the tag or digest NAME, and read it back.

        A refusal to overwrite a tag is no failure if the tag already has DATA. Nor is it a failure if the tag was
        moved by another process before the read: two machines may release one revision at the same time.

        Raises:
            errors.PushRefused: the registry does not accept DATA, or does not let the tag be overwritten.
            errors.PushLost: the registry confirmed the push, and does not give the manifest back.
        """
        kind, digest = {"Content-Type": media_type}, sha256(data)
        before = digest
        for _ in range(PUSHES):
            with self._transport.exchange("PUT", self._path(f"manifests/{name}"), headers=kind, data=data) as answer:
                if answer.status not in WRITTEN:
                    held = self._holds(name) if answer.status in refusal.IMMUTABLE else ""
                    if held == digest:
                        return
                    raise refusal.manifest(str(self.reference), answer, name, exists=held != "")
            if soon(lambda: self._holds(name) == digest):
                return
            now = self._holds(name)
            if now not in {"", before, digest} and before != digest and self._holds(digest) == digest:
                return
            before = now
        raise refusal.lost(self._named(name))

    def _holds(self, name: str) -> str:
        """Return the digest under NAME; empty if there is none, `?` if it cannot be read."""
        try:
            found = self.manifest(name)
        except errors.RegistryInvalid:
            return "?"
        return found[0].digest if found else ""

    def find_record(self, tag: str) -> Record | None:
        """Return the release record under TAG, every digest verified; None if there is none.

        Raises:
            errors.RecordInvalid: TAG has something else.
        """
        found = self.manifest(tag)
        if found is None:
            return None
        parts = artifact.decode_record(found[1], self._named(tag))
        envelopes = tuple(self.blob(part.digest) for part in parts.envelopes)
        manifest, evidence = self.blob(parts.manifest.digest), self.blob(parts.evidence.digest)
        return Record(subject=parts.subject, manifest=manifest, evidence=evidence, envelopes=envelopes)

    def put_record(self, record: Record, *tags: str) -> None:
        """Store RECORD's parts, then RECORD under each of TAGS, in order: a tag never leads to a partial record."""
        for data in (b"{}", record.manifest, record.evidence, *record.envelopes):
            self.put_blob(data)
        for tag in tags:
            self.put_manifest(artifact.encode_record(record), artifact.SINGLE[0], tag)

    def _entries(self, top: Descriptor, data: bytes) -> list[artifact.Listed]:
        if top.media_type in artifact.SINGLE:
            return [artifact.Listed(media_type=top.media_type, digest=top.digest, size=top.size)]
        return [entry for entry in self._parsed(artifact.Index, top, data).manifests if entry.may_be_image]

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


def is_plain(host: str, *, insecure: bool = False) -> bool:
    """Return whether to use http for HOST: with INSECURE, or on loopback without an authority in certs.d."""
    return insecure or (is_loopback(host) and not authorities(host))


def connect(reference: Reference, *, insecure: bool = False, patience: float = 60.0) -> Registry:
    """Return the registry of REFERENCE, over http if `is_plain`, else https; PATIENCE is seconds for one exchange."""
    scheme = "http" if is_plain(reference.host, insecure=insecure) else "https"
    return Registry(reference, scheme=scheme, patience=patience)
