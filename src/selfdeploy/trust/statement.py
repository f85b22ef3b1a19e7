"""In-toto statements of a release (in-toto Statement v1): the release itself, and its SLSA provenance v1."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic
import pydantic_core

from selfdeploy import errors
from selfdeploy.manifest import Manifest

STATEMENT = "https://in-toto.io/Statement/v1"
RELEASE = "https://selfdeploy.dev/release/v1"
"""The predicate's type of a release: the digests of its manifest and of its evidence."""
PROVENANCE = "https://slsa.dev/provenance/v1"
SBOM = "https://cyclonedx.org/bom"
"""The predicate's type of an SBOM (CycloneDX)."""
BUILD = "https://selfdeploy.dev/gates-and-image/v1"
"""SLSA's `buildType`: six gates on an export of the revision, then one image of the gated tree."""
BUILDERS = {"forgejo": "https://selfdeploy.dev/builder/forgejo", "github": "https://selfdeploy.dev/builder/github"}
PERSON = "https://selfdeploy.dev/builder/person"
"""SLSA's `builder.id` of a build on a person's machine, outside CI."""

Hex = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)


class _Digest(_Strict):
    sha256: Hex


class _Subject(_Strict):
    name: Annotated[str, pydantic.Field(max_length=1000)]
    digest: _Digest


class _Of(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="ignore")
    subject: Annotated[tuple[_Subject, ...], pydantic.Field(min_length=1, max_length=64)]


class _Release(_Strict):
    manifest: _Digest
    evidence: _Digest


class _Statement(_Strict):
    type: Literal["https://in-toto.io/Statement/v1"] = pydantic.Field(alias="_type")
    subject: Annotated[tuple[_Subject, ...], pydantic.Field(min_length=1, max_length=64)]
    predicate_type: Literal["https://selfdeploy.dev/release/v1"] = pydantic.Field(alias="predicateType")
    predicate: _Release


def release(manifest: Manifest, evidence: bytes) -> bytes:
    """Return the statement that MANIFEST and EVIDENCE belong to MANIFEST's image; equal input gives equal bytes."""
    return _encode(manifest, RELEASE, {"manifest": _digest(manifest.bytes), "evidence": _digest(evidence)})


def provenance(manifest: Manifest, evidence: Mapping[str, Any]) -> bytes:
    """Return the SLSA provenance of MANIFEST's image, as far as EVIDENCE tells it; equal input gives equal bytes."""
    source, run = manifest.source, evidence.get("run")
    run = run if isinstance(run, Mapping) else {}
    bases = evidence.get("base")
    dependencies: list[dict[str, Any]] = [
        {"uri": f"git+{source.repository}", "digest": {"gitCommit": source.revision, "gitTree": source.tree}}
    ]
    for base in sorted(set(bases.values()) if isinstance(bases, Mapping) else []):
        name, _, digest = str(base).partition("@sha256:")
        dependencies += [{"uri": f"oci:{name}", "digest": {"sha256": digest}}] if digest else []
    predicate = {
        "buildDefinition": {
            "buildType": BUILD,
            "externalParameters": {
                "repository": source.repository,
                "revision": source.revision,
                "path": source.path,
                "gates": [{"name": gate.name, "command": gate.command} for gate in manifest.gates],
            },
            "internalParameters": {"surroundings": evidence.get("surroundings"), "tree": evidence.get("tree")},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": BUILDERS.get(str(run.get("authority", "")), PERSON)},
            "metadata": {
                key: str(value)
                for key, value in (("invocationId", run.get("url")), ("finishedOn", evidence.get("builtAt")))
                if value
            },
        },
    }
    return _encode(manifest, PROVENANCE, predicate)


def sbom(manifest: Manifest, content: Mapping[str, Any]) -> bytes:
    """Return the statement that CONTENT (CycloneDX) is the SBOM of MANIFEST's image; equal input gives equal bytes."""
    return _encode(manifest, SBOM, content)


def is_release(payload: bytes) -> bool:
    """Return whether PAYLOAD says that it is a release's statement; others may lie beside it."""
    return _read(payload).get("predicateType") == RELEASE


def read_sbom(payload: bytes) -> dict[str, Any] | None:
    """Return the SBOM in PAYLOAD; None if it is a statement of another kind."""
    told = _read(payload)
    found = told.get("predicate") if told.get("predicateType") == SBOM else None
    return found if isinstance(found, dict) else None


def _read(payload: bytes) -> dict[str, Any]:
    try:
        value = pydantic_core.from_json(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def refuse_other(payload: bytes, manifest: Manifest, where: str) -> None:
    """Raise `errors.SignatureInvalid` if PAYLOAD, a statement of any kind, is of other images than MANIFEST's."""
    try:
        told = _Of.model_validate_json(payload)
    except pydantic.ValidationError as exc:
        raise errors.SignatureInvalid(f"{where}: no in-toto statement: {errors.complaint(exc)}", OTHER) from exc
    if _named(told.subject) != _subjects(manifest):
        raise errors.SignatureInvalid(f"{where}: the signature is of another release: its image", OTHER)


def check(payload: bytes, manifest: Manifest, evidence: bytes | None, where: str) -> None:
    """Raise `errors.SignatureInvalid` unless PAYLOAD is the statement of MANIFEST and EVIDENCE (None: not compared)."""
    try:
        told = _Statement.model_validate_json(payload)
    except pydantic.ValidationError as exc:
        raise errors.SignatureInvalid(f"{where}: no release's statement: {errors.complaint(exc)}", OTHER) from exc
    differs = [
        what
        for what, same in (
            ("its image", _named(told.subject) == _subjects(manifest)),
            ("the manifest", told.predicate.manifest.model_dump() == _digest(manifest.bytes)),
            ("the evidence", evidence is None or told.predicate.evidence.model_dump() == _digest(evidence)),
        )
        if not same
    ]
    if differs:
        raise errors.SignatureInvalid(f"{where}: the signature is of another release: {' and '.join(differs)}", OTHER)


OTHER = "somebody exchanged a part of the release; inv release --fresh where the key is makes it again"


def _subjects(manifest: Manifest) -> dict[str, str]:
    children = {f"{manifest.image.repository} {name}": child.digest for name, child in manifest.image.platforms.items()}
    return {manifest.image.repository: manifest.image.digest, **children}


def _named(subjects: Sequence[_Subject]) -> dict[str, str]:
    return {subject.name: f"sha256:{subject.digest.sha256}" for subject in subjects}


def _digest(data: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(data).hexdigest()}


def _encode(manifest: Manifest, kind: str, predicate: Mapping[str, Any]) -> bytes:
    subjects = [
        {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
        for name, digest in _subjects(manifest).items()
    ]
    value = {"_type": STATEMENT, "subject": subjects, "predicateType": kind, "predicate": predicate}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
