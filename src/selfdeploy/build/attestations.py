"""The signatures of an image where cosign looks for them: the tag `sha256-<digest>.att`, which all signers share."""

import json
from collections.abc import Mapping, Sequence

import pydantic

from selfdeploy import errors, registry
from selfdeploy.registry import artifact
from selfdeploy.trust import statement

KINDS = (statement.RELEASE, statement.PROVENANCE, statement.SBOM)
"""The predicate types of the envelopes of `trust.sign`, in order; the last may be missing."""
OTHERS = 64
"""Signatures by others to keep, at most: the last."""
SIGNATURE = "dev.cosignproject.cosign/signature"
"""Annotation by which cosign knows an attestation; its value is empty, as the signature is in the envelope."""


class _Layer(artifact.Descriptor):
    model_config = pydantic.ConfigDict(extra="allow")
    annotations: Mapping[str, str] = {}


class _Attestations(artifact.Single):
    layers: tuple[_Layer, ...]


def tag(digest: str) -> str:
    """Return the tag of the attestations of the image DIGEST."""
    return f"{digest.replace(':', '-')}.att"


def attach(store: registry.Registry, digest: str, envelopes: Sequence[bytes]) -> None:
    """Add ENVELOPES, of `trust.sign`, to the attestations of the image DIGEST in STORE, unless they are there.

    Raises:
        errors.RegistryInvalid: the tag has something else.
        errors.PushRefused: the registry does not let the tag be written.
    """
    present = _read(store, tag(digest))
    ours = [
        _Layer(
            media_type=artifact.ENVELOPE,
            digest=registry.sha256(data),
            size=len(data),
            annotations={SIGNATURE: "", "predicateType": kind},
        )
        for kind, data in zip(KINDS, envelopes, strict=False)
    ]
    known = {layer.digest for layer in ours}
    if known <= {layer.digest for layer in present}:
        return
    others = [layer for layer in present if layer.digest not in known][-OTHERS:]
    others = [layer for layer in others if store.gives(layer.digest, layer.size)]  # a clean-up may have deleted one
    for data in (b"{}", *envelopes):
        store.put_blob(data)
    value = {
        "schemaVersion": 2,
        "mediaType": artifact.SINGLE[0],
        "config": artifact.Descriptor(media_type=artifact.EMPTY, digest=registry.sha256(b"{}"), size=2).as_json(),
        "layers": [layer.as_json() for layer in (*others, *ours)],
    }
    store.put_manifest(json.dumps(value, sort_keys=True).encode(), artifact.SINGLE[0], tag(digest))


def _read(store: registry.Registry, name: str) -> tuple[_Layer, ...]:
    found = store.manifest(name)
    if found is None:
        return ()
    try:
        return artifact.parse(_Attestations, found[1], f"{store.reference}:{name}").layers
    except errors.RegistryInvalid as exc:
        raise errors.RegistryInvalid(
            f"no attestations: {exc.message}", "somebody else wrote that tag; delete it"
        ) from exc
