"""DSSE envelopes (in-toto's Envelope layer, DSSE v1): signed here, and opened with the keys that are known."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pydantic
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature, Signer  # type: ignore[attr-defined]

from selfdeploy import errors
from selfdeploy.trust.keys import Public

TYPE = "application/vnd.in-toto+json"
"""The type of what is signed: an in-toto statement."""
LARGEST = 8 << 20
"""Bytes of an envelope, at most: an SBOM has about 300 for each package."""

Base64 = Annotated[str, pydantic.Field(max_length=LARGEST)]


class _Signature(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="ignore")
    keyid: Annotated[str, pydantic.Field(max_length=512)] = ""
    sig: Annotated[str, pydantic.Field(max_length=65_536)]


class _Envelope(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="ignore", populate_by_name=True)
    payload: Base64
    payload_type: Annotated[str, pydantic.Field(alias="payloadType", max_length=200)]
    signatures: Annotated[tuple[_Signature, ...], pydantic.Field(min_length=1, max_length=16)]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The payload of an envelope, the known keys that signed it, and the ids of the unknown ones."""

    payload: bytes
    by: tuple[Public, ...]
    strangers: tuple[str, ...]
    data: bytes
    """The envelope with the signatures of the known keys, and nothing else."""

    @property
    def valid(self) -> tuple[Public, ...]:
        """The known keys that signed it and are not revoked."""
        return tuple(key for key in self.by if not key.revoked)


def sign(payload: bytes, signer: Signer) -> bytes:
    """Return the envelope of PAYLOAD, an in-toto statement, signed by SIGNER. ECDSA gives other bytes each time."""
    made = Envelope(payload, TYPE, {})
    made.sign(signer)
    return json.dumps(made.to_dict(), sort_keys=True).encode()


def open_with(data: bytes, keys: Sequence[Public], where: str) -> Opened:
    """Return the payload of the envelope DATA, once every signature by one of KEYS is found to be that key's.

    A signature of an unknown key proves nothing and refuses nothing: keys are rotated. One without a key's id, as
    cosign makes it, has to be of one of KEYS to count.

    Raises:
        errors.SignatureInvalid: DATA is malformed, or a signature is not of the key that it names.
    """
    parsed = _parse(data, where)
    pae = Envelope(_decode(parsed.payload, where), parsed.payload_type, {}).pae()
    if parsed.payload_type != TYPE:
        raise errors.SignatureInvalid(f"{where}: its payload is {parsed.payload_type[:80]!a}, not {TYPE}", AGAIN)
    by: dict[str, Public] = {}
    kept: dict[str, Signature] = {}
    strangers = []
    for signature in parsed.signatures:
        raw = _decode(signature.sig, where).hex()
        named = [key for key in keys if signature.keyid in {"", key.id}]
        good = [key for key in named if key.has_signed(pae, raw)]
        if named and not good and signature.keyid:
            raise errors.SignatureInvalid(f"{where}: the signature by {named[0].name} is not valid", AGAIN)
        by.update((key.id, key) for key in good)
        kept.update((key.id, Signature(key.id, raw)) for key in good)
        if not good:
            strangers.append(signature.keyid or "a key without an id")
    payload = _decode(parsed.payload, where)
    data = json.dumps(Envelope(payload, TYPE, kept).to_dict(), sort_keys=True).encode()
    return Opened(payload=payload, by=tuple(by.values()), strangers=tuple(strangers), data=data)


AGAIN = "somebody else wrote it, or it was damaged; inv release --fresh where the key is makes it again"


def _parse(data: bytes, where: str) -> _Envelope:
    if len(data) > LARGEST:
        raise errors.SignatureInvalid(f"{where}: an envelope of {len(data)} bytes, at most {LARGEST}", AGAIN)
    try:
        return _Envelope.model_validate_json(data)
    except pydantic.ValidationError as exc:
        raise errors.SignatureInvalid(f"{where}: no DSSE envelope: {errors.complaint(exc)}", AGAIN) from exc


def _decode(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise errors.SignatureInvalid(f"{where}: no DSSE envelope: not base64", AGAIN) from None
