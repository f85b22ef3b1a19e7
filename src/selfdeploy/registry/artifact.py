"""Values stored in a registry: descriptors, images, layers and release records; starts nothing."""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import pydantic_core
from pydantic.alias_generators import to_camel

from selfdeploy import errors
from selfdeploy.manifest import Digest

INDEX = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
SINGLE = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
CONFIG = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
"""Prefixes of the media types of an image's layers, with any compression."""
EMPTY = "application/vnd.oci.empty.v1+json"
RELEASE = "application/vnd.selfdeploy.release.v1+json"
MANIFEST = "application/vnd.selfdeploy.manifest.v1+json"
EVIDENCE = "application/vnd.selfdeploy.evidence.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
"""A signed statement of the release (DSSE)."""
ENVELOPES = 8
"""Envelopes in a record, at most."""
ENVELOPES_SIZE = 8 << 20
"""Bytes of all envelopes in a record, at most; an SBOM has about 300 for each package."""
Word = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
REFERS = "vnd.docker.reference.type"
"""Annotation of an index entry that describes an image, such as an attestation (BuildKit), and is none itself."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A repository in a registry."""

    host: str
    repository: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Return the repository named by TEXT, HOST[:PORT]/NAME.

        Raises:
            errors.ConfigInvalid: TEXT has another form.
        """
        host, slash, name = text.partition("/")
        if (
            not slash
            or not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*", name)
            or not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", host)
        ):
            raise errors.ConfigInvalid(f"{text}: no repository", "write HOST[:PORT]/NAME, without tag or digest")
        return cls(host=host, repository=name)

    def __str__(self) -> str:
        """Return HOST[:PORT]/NAME."""
        return f"{self.host}/{self.repository}"


class _Document(pydantic.BaseModel):
    """What others write: strict in the keys that are read, indifferent to all others."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="ignore", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class Descriptor(_Document):
    """What the registry holds under a digest (OCI image specification, content descriptors)."""

    media_type: str
    digest: Digest
    size: Annotated[int, pydantic.Field(ge=0)]

    def as_json(self) -> dict[str, object]:
        """Return the descriptor as JSON (OCI image specification)."""
        return self.model_dump(by_alias=True)


class Platform(_Document):
    """What an image runs on; an image's config says it with the same keys."""

    os: Word
    architecture: Word
    variant: Word | Literal[""] = ""

    def __str__(self) -> str:
        """Return the platform in the form of docker's command line, such as `linux/arm64/v8`."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class _Nowhere(_Document):
    """A platform that is written down and names none, as some tools do for an artifact."""

    os: Literal[""] = ""
    architecture: Literal[""] = ""


class Listed(Descriptor):
    """An index's entry."""

    platform: Platform | _Nowhere | None = None
    annotations: Mapping[str, str] = {}

    @property
    def place(self) -> str:
        """The platform; empty if only the image's config names it."""
        return str(self.platform) if isinstance(self.platform, Platform) else ""

    @property
    def may_be_image(self) -> bool:
        """False for an entry that no engine would run: an attestation, or another media type than a manifest's."""
        unknown = isinstance(self.platform, Platform) and "unknown" in {self.platform.os, self.platform.architecture}
        return not unknown and REFERS not in self.annotations and self.media_type in {*INDEX, *SINGLE}


class Index(_Document):
    """An index: the images of several platforms."""

    media_type: str = ""
    manifests: tuple[Listed, ...]


class Single(_Document):
    """One platform's image: its config and its layers, the lowest first."""

    media_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def what_else(self) -> str:
        """Description of an artifact, such as a signature; empty for an image."""
        if self.config.media_type not in CONFIG:
            return f"its config is {self.config.media_type[:80]!a}"
        strange = [layer.media_type for layer in self.layers if not layer.media_type.startswith(LAYERS)]
        return f"its layers are {strange[0][:80]!a}" if strange else ""


class _Record(Single):
    artifact_type: str
    subject: Descriptor


@dataclass(frozen=True, kw_only=True)
class Child:
    """One platform's image: the digests of its manifest and its config."""

    digest: str
    config: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image: its digest and media type, and its platforms."""

    digest: str
    media_type: str
    platforms: Mapping[str, Child]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The commit point of a release: its image, its manifest and its evidence."""

    subject: Descriptor
    manifest: bytes
    evidence: bytes
    envelopes: tuple[bytes, ...] = ()
    """The signed statements of the release; none if nobody signed it."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a release record names: the image it is of, and where its parts are."""

    subject: Descriptor
    manifest: Descriptor
    evidence: Descriptor
    envelopes: tuple[Descriptor, ...]


LISTS = frozenset({"layers", "manifests"})
"""Keys whose null is an empty list."""
Kind = TypeVar("Kind", bound=_Document)


def sha256(data: bytes) -> str:
    """Return the digest of DATA."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def parse(kind: type[Kind], data: bytes, where: str) -> Kind:
    """Return DATA, parsed as a document of KIND.

    Raises:
        errors.RegistryInvalid: DATA has another shape; WHERE is its name in the message.
    """
    try:
        return kind.model_validate_json(_without_nulls(data))
    except pydantic.ValidationError as exc:
        why = errors.complaint(exc, kind.__name__.lower())
        raise errors.RegistryInvalid(f"{where}: {why}", "push it again, with another tool") from exc


def _without_nulls(data: bytes) -> bytes:
    """Return the JSON text DATA without nulls: Go's tools write them, and read them as absent keys."""
    if b"null" not in data:
        return data
    with contextlib.suppress(ValueError):  # the caller refuses invalid JSON
        return pydantic_core.to_json(_dropped(pydantic_core.from_json(data)))
    return data


def _dropped(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(value, list):
        return [_dropped(each) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: [] if each is None and key in LISTS else each for key, each in value.items()}
    return {key: _dropped(each) for key, each in value.items() if each is not None}


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Return DATA, parsed as a JSON object.

    Raises:
        errors.RegistryInvalid: DATA is not a JSON object; WHERE is its name in the message.
    """
    try:
        value = pydantic_core.from_json(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise errors.RegistryInvalid(f"{where}: no JSON object", "push it again, with another tool")
    return value


def encode_record(record: Record) -> bytes:
    """Return RECORD as an OCI image manifest (OCI image specification, artifacts)."""
    layers = [
        Descriptor(media_type=kind, digest=sha256(data), size=len(data)).as_json()
        for kind, data in (
            (MANIFEST, record.manifest),
            (EVIDENCE, record.evidence),
            *((ENVELOPE, envelope) for envelope in record.envelopes),
        )
    ]
    value = {
        "schemaVersion": 2,
        "mediaType": SINGLE[0],
        "artifactType": RELEASE,
        "config": Descriptor(media_type=EMPTY, digest=sha256(b"{}"), size=2).as_json(),
        "layers": layers,
        "subject": record.subject.as_json(),
    }
    return json.dumps(value, sort_keys=True).encode()


def decode_record(data: bytes, where: str) -> Parts:
    """Return the parts of the release record DATA.

    Raises:
        errors.RecordInvalid: it is no release record; WHERE names it.
    """
    try:
        value = parse(_Record, data, where)
    except errors.RegistryInvalid as exc:
        raise errors.RecordInvalid(f"no release record: {exc.message}", "somebody else wrote that tag") from exc
    parts = [[layer for layer in value.layers if layer.media_type == kind] for kind in (MANIFEST, EVIDENCE, ENVELOPE)]
    manifests, evidences, envelopes = parts
    fits = (len(manifests), len(evidences), sum(map(len, parts))) == (1, 1, len(value.layers))
    if value.artifact_type != RELEASE or not fits:
        raise errors.RecordInvalid(
            f"{where}: no release record: artifactType {value.artifact_type[:80]!a}, {len(value.layers)} layers",
            "somebody else wrote that tag",
        )
    size = sum(layer.size for layer in envelopes)
    if len(envelopes) > ENVELOPES or size > ENVELOPES_SIZE:
        raise errors.RecordInvalid(
            f"{where}: {len(envelopes)} signatures of {size} bytes; at most {ENVELOPES} of {ENVELOPES_SIZE} together",
            "somebody else wrote that tag",
        )
    return Parts(subject=value.subject, manifest=manifests[0], evidence=evidences[0], envelopes=tuple(envelopes))
