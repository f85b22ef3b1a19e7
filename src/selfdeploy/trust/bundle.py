"""A release in one file: manifest, evidence and envelopes, to be verified without a registry."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import pydantic

from selfdeploy import errors

MEDIA_TYPE: Final = "application/vnd.selfdeploy.bundle.v1+json"
LARGEST = 24 << 20
"""Bytes of a bundle, at most: the largest parts that a registry gives, in base64."""
ENVELOPES = 8
"""Envelopes in a bundle, at most, as in a record."""


class Bundle(pydantic.BaseModel):
    """The parts of a release, each byte as it was signed; base64 in the file."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)
    media_type: Literal["application/vnd.selfdeploy.bundle.v1+json"] = pydantic.Field(alias="mediaType")
    version: Literal[1]
    manifest: pydantic.Base64Bytes
    evidence: pydantic.Base64Bytes
    envelopes: Annotated[tuple[pydantic.Base64Bytes, ...], pydantic.Field(max_length=ENVELOPES)]


def encode(manifest: bytes, evidence: bytes, envelopes: Sequence[bytes]) -> bytes:
    """Return the bundle of MANIFEST, EVIDENCE and ENVELOPES; equal input gives equal bytes."""
    made = Bundle.model_construct(
        media_type=MEDIA_TYPE, version=1, manifest=manifest, evidence=evidence, envelopes=tuple(envelopes)
    )
    return made.model_dump_json(by_alias=True, indent=2).encode() + b"\n"


def read(path: Path) -> Bundle:
    """Return the bundle in the file PATH; nothing in it is verified.

    Raises:
        errors.RecordInvalid: it is not a bundle, or not all of one, or too large.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise errors.RecordInvalid(f"{path}: no bundle: more than {LARGEST} bytes", AGAIN)
    try:
        return Bundle.model_validate_json(data)
    except pydantic.ValidationError as exc:
        raise errors.RecordInvalid(f"{path}: no bundle: {errors.complaint(exc)}", AGAIN) from exc


AGAIN = "inv bundle writes it again, where the registry is in reach"
