"""The release manifest, schema 1: a pure function of revision, gates and image, so equal releases are equal bytes."""

import hashlib
import json
from typing import Annotated, Any, Literal

import pydantic

from selfdeploy import errors

Digest = Annotated[str, pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Commit = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}$")]
Path = Annotated[str, pydantic.Field(pattern=r"^/[A-Za-z0-9._/-]*$")]
REQUIRED_GATES = (
    "npm-ci",
    "web-npm-ci",
    "build-core",
    "build-web-host",
    "typecheck",
    "test-unit",
    "image",
    "manifest",
)
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
PROBES = {"healthz": "/api/healthz", "ready": "/api/ready", "version": "/api/version"}


class Value(pydantic.BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, json_schema_serialization_defaults_required=True
    )


class Source(Value):
    """What was built: a revision, and the folder of it that is SF."""

    repository: str
    revision: Commit
    path: str
    tree: Commit


class Gate(Value):
    """A gate that passed; REDEFINED if it is weaker than the contract's, or another command."""

    name: str
    command: str
    redefined: bool = pydantic.Field(
        default=False, exclude_if=lambda redefined: not redefined, json_schema_extra={"const": True}
    )


class Platform(Value):
    """One platform's image: its own digest and its config's."""

    digest: Digest
    config: Digest


class Image(Value):
    """The image, by digest only."""

    repository: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9.\-\[\]:]+/[a-z0-9][a-z0-9._/-]*$")]
    digest: Digest
    mediaType: str  # noqa: N815 -- the manifest's own key
    platforms: dict[str, Platform]

    @property
    def reference(self) -> str:
        """The image as a runtime pulls it: repository and digest."""
        return f"{self.repository}@{self.digest}"

    @property
    def digests(self) -> frozenset[str]:
        """Every digest that names this image: the index's, each platform's, and each config's."""
        children = self.platforms.values()
        return frozenset({self.digest, *(c.digest for c in children), *(c.config for c in children)})


class Manifest(Value):
    """A release: what was built, what it passed, which image it is, and how to ask it."""

    schema_: Literal[1] = pydantic.Field(1, alias="schema")
    kind: Literal["image"] = "image"
    source: Source
    gates: tuple[Gate, ...] = pydantic.Field(
        json_schema_extra={
            "allOf": [{"contains": {"properties": {"name": {"const": name}}}} for name in REQUIRED_GATES]
        }
    )
    image: Image
    probes: dict[str, Path] = pydantic.Field(json_schema_extra={"required": [*PROBES]})

    @pydantic.model_validator(mode="after")
    def _whole(self) -> "Manifest":
        names = [gate.name for gate in self.gates]
        missing = [name for name in REQUIRED_GATES if name not in names]
        if missing:
            raise ValueError(f"gates: {', '.join(missing)} missing")
        if len(set(names)) != len(names):
            raise ValueError("gates: a name stands twice")
        if unasked := sorted(PROBES.keys() - self.probes.keys()):
            raise ValueError(f"probes: {', '.join(unasked)} missing")
        return self

    @property
    def bytes(self) -> bytes:
        """The manifest as it is stored and mounted: JSON with sorted keys, one line feed at the end."""
        data = self.model_dump(by_alias=True, mode="json")
        return (json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()

    @property
    def release(self) -> str:
        """The release's id: the sha256 of the manifest's bytes."""
        return "sha256:" + hashlib.sha256(self.bytes).hexdigest()

    @property
    def redefined(self) -> tuple[str, ...]:
        """The contract's gates that were redefined."""
        return tuple(gate.name for gate in self.gates if gate.redefined)

    @property
    def version(self) -> dict[str, object]:
        """What `/api/version` has to say of this release."""
        return {"revision": self.source.revision, "release": self.release, "image": self.image.reference}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the manifest's bytes, where every key has to stand."""
    told = Manifest.model_json_schema(by_alias=True, mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:selfdeploy:release-manifest:1",
        **told,
    }


def parse(data: bytes, where: str = "manifest") -> Manifest:
    """Return the manifest that DATA holds.

    Raises:
        errors.ManifestInvalid: no JSON, unknown keys, tags for digests, missing gates or probes, or not its own bytes.
    """
    try:
        manifest = Manifest.model_validate_json(data)
    except pydantic.ValidationError as exc:
        raise errors.ManifestInvalid(f"{where}: {errors.complaint(exc)}", "run inv manifest again") from exc
    if manifest.bytes != data:
        raise errors.ManifestInvalid(f"{where}: not the bytes that its values make", "run inv manifest again")
    return manifest


def stand_in(source: Source, digest: str = f"sha256:{'0' * 64}") -> Manifest:
    """Return a manifest of SOURCE for a server that is tried before there is an image: DIGEST is of no registry."""
    return Manifest(
        schema=1,
        source=source,
        gates=tuple(Gate(name=name, command=name) for name in REQUIRED_GATES),
        image=Image(repository="localhost/sf", digest=digest, mediaType=MEDIA_TYPE, platforms={}),
        probes=PROBES,
    )
