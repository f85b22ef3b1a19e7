"""Which releases are believed: those that a key of deploy.toml's `[trust]` has signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfdeploy import config, errors, provenance
from selfdeploy.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Signed:
    """Who signed a release, by the names of keys in deploy.toml, and the envelope that says so; both may be empty."""

    by: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    """Keys that signed it and are revoked, each with the day."""
    envelope: str = ""
    sbom: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    """The SBOM of the image (CycloneDX), signed by a key of `by` or another valid one; None if there is none."""


NOBODY = Signed()


def is_asked(project: config.Project) -> bool:
    """Return whether PROJECT believes signed releases only."""
    return bool(project.trust.keys)


def load(project: config.Project) -> None:
    """Read the keys of PROJECT into memory: `verify` needs no file from then on.

    Raises:
        errors.KeyUnusable: a key of deploy.toml cannot be read.
    """
    if is_asked(project):
        from selfdeploy.trust import keys  # noqa: PLC0415 -- cryptography loads where signatures are in use

        keys.read(project)


def sign(
    project: config.Project, manifest: Manifest, evidence: bytes, sbom: Mapping[str, Any] | None = None
) -> tuple[bytes, ...]:
    """Return the envelopes of the release of MANIFEST and EVIDENCE, by this machine's key.

    None if it has no key, or if PROJECT asks for no signature.

    The first is of the release itself, the second its SLSA provenance, the third SBOM (CycloneDX), if it is given.

    Raises:
        errors.SbomUnusable: SBOM is too large for a record.
        errors.KeyUnusable: the key cannot be read or cannot sign, or is not trusted.
    """
    if not is_asked(project):
        return ()
    from selfdeploy.trust import envelope, keys, statement  # noqa: PLC0415 -- cryptography loads where it is in use

    signer = keys.signer(project)
    if signer is None:
        return ()
    told = provenance.decode(evidence)
    statements = [statement.release(manifest, evidence), statement.provenance(manifest, told)]
    statements += [statement.sbom(manifest, sbom)] if sbom is not None else []
    made = tuple(envelope.sign(each, signer) for each in statements)
    if (size := sum(map(len, made))) > envelope.LARGEST:
        hint = "ship fewer packages: docs/contents.md"
        raise errors.SbomUnusable(f"the SBOM makes signatures of {size} bytes, at most {envelope.LARGEST}", hint)
    return made


def sign_bytes(project: config.Project, payload: bytes) -> tuple[str, str]:
    """Return the id of this machine's key and its signature of PAYLOAD, in hex.

    Both are empty if PROJECT asks for no signature, or if no key is here or the key cannot sign: a signature must not
    keep an environment's record from being written.
    """
    if not is_asked(project):
        return "", ""
    from selfdeploy.trust import keys  # noqa: PLC0415 -- cryptography loads where signatures are in use

    try:
        signer = keys.signer(project)
        signature = signer.sign(payload) if signer else None
    except errors.KeyUnusable:
        return "", ""
    return (signature.keyid, signature.signature) if signature else ("", "")


def signer_of(project: config.Project, payload: bytes, key: str, signature: str) -> tuple[str, bool]:
    """Return the name of the signer of PAYLOAD, by the id KEY and the SIGNATURE in hex; and whether PROJECT trusts it.

    The name is empty if nobody signed it.

    Raises:
        errors.SignatureInvalid: the signature is not of the key it names.
        errors.KeyUnusable: a key of deploy.toml cannot be read.
    """
    if not key:
        return "", False
    from selfdeploy.trust import keys  # noqa: PLC0415 -- cryptography loads where signatures are in use

    known = next((public for public in keys.read(project) if public.id == key), None)
    if known is None:
        return f"an unknown key {key[:12]}", False
    if not known.has_signed(payload, signature):
        raise errors.SignatureInvalid(f"its signature is not of {known.name}")
    return (f"{known.name}, revoked since {known.revoked}", False) if known.revoked else (known.name, True)


def verify(
    project: config.Project, manifest: Manifest, evidence: bytes | None, envelopes: Sequence[bytes], where: str
) -> Signed:
    """Return who signed the release of MANIFEST and EVIDENCE, by ENVELOPES; nobody where PROJECT asks for no signature.

    EVIDENCE is None where only the manifest is at hand.

    Raises:
        errors.SignatureInvalid: a signature is not of the key it names, or one of our keys signed another release.
        errors.KeyUnusable: a key of deploy.toml cannot be read.
    """
    if not is_asked(project):
        return NOBODY
    from selfdeploy.trust import envelope, keys, statement  # noqa: PLC0415 -- cryptography loads where it is in use

    known = keys.read(project)
    by: dict[str, str] = {}
    best: envelope.Opened | None = None
    sbom: dict[str, Any] | None = None
    for data in envelopes:
        opened = envelope.open_with(data, known, where)
        if not opened.by:
            continue
        statement.refuse_other(opened.payload, manifest, where)
        if not statement.is_release(opened.payload):
            sbom = sbom or (statement.read_sbom(opened.payload) if opened.valid else None)
            continue
        statement.check(opened.payload, manifest, evidence, where)
        by.update((key.name, key.revoked) for key in opened.by)
        best = max(best or opened, opened, key=lambda each: len(each.valid))
    valid = tuple(name for name, since in by.items() if not since)
    revoked = tuple(f"{name}, revoked since {since}" for name, since in by.items() if since)
    return Signed(by=valid, revoked=revoked, envelope=best.data.decode() if best else "", sbom=sbom)


def lacking(project: config.Project, signed: Signed) -> str:
    """Return what keeps an environment of PROJECT from accepting a release with the signers SIGNED; empty if nothing.

    It ends a sentence about the release: `not signed`, or `signed by` whom.
    """
    wanted = [project.signed_by(name) for name in project.environments]
    return "" if all(set(keys) & set(signed.by) for keys in wanted if keys) else describe(signed)


def describe(signed: Signed) -> str:
    """Return the signers in words, to end a sentence about a release."""
    names = signed.by + signed.revoked
    return f"signed by {', '.join(names)}" if names else "not signed"


def keyless(project: config.Project) -> errors.Unsigned:
    """Return the error that this machine has no key to sign releases of PROJECT with."""
    from selfdeploy.trust import keys  # noqa: PLC0415 -- cryptography loads where signatures are in use

    told = f"set {keys.KEY} or {keys.FILE}: docs/trust.md"
    return errors.Unsigned(f"a release is to be signed by {' or '.join(project.trust.valid)}; no key is here", told)


def require(project: config.Project, environment: str, signed: Signed, what: str) -> None:
    """Raise `errors.Unsigned` unless a key that ENVIRONMENT asks for is among those of SIGNED, the signers of WHAT."""
    wanted = project.signed_by(environment)
    if not wanted or set(wanted) & set(signed.by):
        return
    raise errors.Unsigned(
        f"{environment}: {what} is {describe(signed)}; it takes what is signed by {' or '.join(wanted)}",
        "release it where that key is: docs/trust.md",
    )


def require_ours(project: config.Project, environment: str) -> None:
    """Raise `errors.Unsigned` if ENVIRONMENT would refuse a release for want of a key on this machine.

    Raises:
        errors.KeyUnusable: there is a key, and it cannot be read or is not trusted.
    """
    wanted = project.signed_by(environment)
    if not wanted:
        return
    from selfdeploy.trust import keys  # noqa: PLC0415 -- cryptography loads where signatures are in use

    signer = keys.signer(project)
    names = [key.name for key in keys.read(project) if signer and key.id == signer.public_key.keyid]
    if not set(names) & set(wanted):
        have = f"this machine signs with {names[0]}" if names else "this machine has no key to sign with"
        raise errors.Unsigned(
            f"{environment}: takes what is signed by {' or '.join(wanted)}; {have}",
            f"release where that key is, or set {keys.FILE}: docs/trust.md",
        )
