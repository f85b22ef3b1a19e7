"""Signatures of releases: made, verified, and refused when any part is exchanged. Keys are made for each test."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from nacl.secret import SecretBox

from lab.values import INDEX, a_manifest, a_project, an_environment
from selfdeploy import config, errors, manifest, provenance, trust
from selfdeploy.trust import envelope, keys, statement

RUN = provenance.Run(authority="forgejo", id="1", url="https://f/1")
EVIDENCE = provenance.encode("2026-01-01T00:00:00Z", provenance.Holder(who="w", run="https://f/1"), RUN, tree="t")
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (keys.KEY, keys.FILE, keys.PASSWORD):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sign_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def choose(name: str) -> None:
        if not (tmp_path / f"{name}.key").exists():
            keys.make(tmp_path / name, "")
        monkeypatch.setenv(keys.FILE, str(tmp_path / f"{name}.key"))

    return choose


def a_site(root: Path, *names: str, **more: Any) -> config.Project:  # noqa: ANN401 -- keys of deploy.toml
    for name in names:
        if not (root / f"{name}.pub").exists():
            keys.make(root / name, "")
    environments = {"test": an_environment(4101), "prod": an_environment(4100, **more.pop("prod", {}))}
    return a_project(root, trust={"keys": [f"{name}.pub" for name in names], **more}, environments=environments)


def test_a_release_is_signed_and_believed_by_its_key_alone(tmp_path: Path, sign_with: Callable[[str], None]) -> None:
    project, made = a_site(tmp_path, "ours", "other", prod={"signed_by": ["other.pub"]}), a_manifest()
    sign_with("ours")

    envelopes = trust.sign(project, made, EVIDENCE)
    signed = trust.verify(project, made, EVIDENCE, envelopes, "x")

    assert signed.by == ("ours.pub",)
    assert signed.envelope == envelopes[0].decode()
    trust.require(project, "test", signed, "it")
    with pytest.raises(
        errors.Unsigned, match=r"^prod: it is signed by ours.pub; it takes what is signed by other.pub$"
    ):
        trust.require(project, "prod", signed, "it")
    with pytest.raises(errors.Unsigned, match="not signed"):
        trust.require(project, "test", trust.verify(project, made, EVIDENCE, (), "x"), "it")


def test_without_keys_nothing_is_signed_verified_or_refused(tmp_path: Path, sign_with: Callable[[str], None]) -> None:
    project = a_project(tmp_path)

    sign_with("ours")
    assert trust.sign(project, a_manifest(), EVIDENCE) == ()
    assert trust.verify(project, a_manifest(), EVIDENCE, (b"no envelope",), "x") == trust.NOBODY
    trust.require(project, "test", trust.NOBODY, "it")
    trust.require_ours(project, "test")


def another(made: manifest.Manifest, **image: Any) -> manifest.Manifest:  # noqa: ANN401 -- keys of the image
    return made.model_copy(update={"image": made.image.model_copy(update=image)})


def exchanged(named: tuple[str, manifest.Platform]) -> tuple[str, manifest.Platform]:
    return named[0], named[1].model_copy(update={"digest": OTHER})


OTHER = "sha256:" + "e" * 64
EXCHANGED: dict[str, Callable[[manifest.Manifest], tuple[manifest.Manifest, bytes]]] = {
    "the evidence of another run": lambda made: (made, EVIDENCE.replace(b"f/1", b"f/2")),
    "another repository": lambda made: (another(made, repository="r.lan/evil"), EVIDENCE),
    "another digest": lambda made: (another(made, digest=OTHER), EVIDENCE),
    "another platform's child": lambda made: (
        another(
            made,
            platforms={
                name: child.model_copy(update={"digest": OTHER}) for name, child in made.image.platforms.items()
            },
        ),
        EVIDENCE,
    ),
    "another revision": lambda made: (
        made.model_copy(update={"source": made.source.model_copy(update={"revision": "d" * 40})}),
        EVIDENCE,
    ),
    "a gate less": lambda made: (made.model_copy(update={"gates": made.gates[1:]}), EVIDENCE),
}


@pytest.mark.parametrize("what", EXCHANGED)
def test_a_signature_of_another_release_is_refused(tmp_path: Path, sign_with: Callable[[str], None], what: str) -> None:
    project, made = a_site(tmp_path, "ours"), a_manifest()
    sign_with("ours")
    envelopes = trust.sign(project, made, EVIDENCE)

    with pytest.raises(errors.SignatureInvalid, match="of another release"):
        trust.verify(project, *EXCHANGED[what](made), envelopes, "x")


def changed(data: bytes, **values: object) -> bytes:
    return json.dumps({**json.loads(data), **values}).encode()


def test_a_damaged_or_foreign_envelope_is_refused_in_our_words(
    tmp_path: Path, sign_with: Callable[[str], None]
) -> None:
    project, made = a_site(tmp_path, "ours"), a_manifest()
    sign_with("ours")
    good = trust.sign(project, made, EVIDENCE)[0]
    told = json.loads(good)
    flipped = base64.b64encode(bytes([base64.b64decode(told["signatures"][0]["sig"])[0] ^ 1]) + b"0" * 63).decode()
    id_of = told["signatures"][0]["keyid"]
    bad = {
        "truncated": good[:-10],
        "too large": b" " * (envelope.LARGEST + 1),
        "no JSON": b"{",
        "no signature": changed(good, signatures=[]),
        "not base64": changed(good, payload="%%%"),
        "another payload": changed(good, payload=base64.b64encode(b"{}").decode()),
        "another type": changed(good, payloadType="text/plain"),
        "a bad signature": changed(good, signatures=[{"keyid": id_of, "sig": flipped}]),
        "one good, one bad": changed(good, signatures=[told["signatures"][0], {"keyid": id_of, "sig": flipped}]),
    }

    for name, data in bad.items():
        with pytest.raises(errors.SignatureInvalid) as refused:
            trust.verify(project, made, EVIDENCE, (data,), "x")
        assert refused.value.message.startswith("x: "), name
        assert refused.value.hint


def test_a_signature_by_an_unknown_key_proves_nothing_and_hides_no_other(
    tmp_path: Path, sign_with: Callable[[str], None]
) -> None:
    project, made = a_site(tmp_path, "ours"), a_manifest()
    sign_with("ours")
    good = json.loads(trust.sign(project, made, EVIDENCE)[0])
    sign_with("stranger")
    strange = json.loads(trust.sign(a_site(tmp_path, "stranger"), made, EVIDENCE)[0])
    both = json.dumps({**good, "signatures": [*strange["signatures"], *good["signatures"]]}).encode()
    bare = json.dumps({**good, "signatures": [{"sig": good["signatures"][0]["sig"]}]}).encode()

    assert trust.verify(project, made, EVIDENCE, (json.dumps(strange).encode(),), "x").by == ()
    assert trust.verify(project, made, EVIDENCE, (both,), "x").by == ("ours.pub",)
    assert trust.verify(project, made, EVIDENCE, (bare,), "x").by == ("ours.pub",)  # as cosign writes it: no keyid


def test_a_statement_of_another_kind_is_no_release(tmp_path: Path, sign_with: Callable[[str], None]) -> None:
    project, made = a_site(tmp_path, "ours"), a_manifest()
    sign_with("ours")
    _, slsa = trust.sign(project, made, EVIDENCE)
    malformed = statement.release(made, EVIDENCE).replace(b'"evidence"', b'"evidences"')
    signer = keys.signer(project)
    assert signer

    assert trust.verify(project, made, EVIDENCE, (slsa,), "x").by == ()
    with pytest.raises(errors.SignatureInvalid, match="no release's statement: predicate"):
        trust.verify(project, made, EVIDENCE, (envelope.sign(malformed, signer),), "x")
    assert not statement.is_release(b"{")


def test_the_provenance_says_what_was_built_from_what_and_where() -> None:
    made = a_manifest()
    evidence = {**provenance.decode(EVIDENCE), "base": {"linux/amd64": f"r.lan/base@{OTHER}"}, "tree": "t"}

    told = json.loads(statement.provenance(made, evidence))
    person = json.loads(statement.provenance(made, {}))

    assert told["predicateType"] == "https://slsa.dev/provenance/v1"
    assert told["subject"][0]["digest"]["sha256"] == INDEX.removeprefix("sha256:")
    assert told["predicate"]["runDetails"]["builder"]["id"].endswith("/forgejo")
    assert person["predicate"]["runDetails"]["builder"]["id"].endswith("/person")
    assert person["predicate"]["runDetails"]["metadata"] == {}
    assert told["predicate"]["runDetails"]["metadata"]["finishedOn"] == "2026-01-01T00:00:00Z"
    uris = [each["uri"] for each in told["predicate"]["buildDefinition"]["resolvedDependencies"]]
    assert uris == [f"git+{made.source.repository}", "oci:r.lan/base"]
    assert statement.provenance(made, evidence) == statement.provenance(made, evidence)


def test_a_revoked_key_refuses_what_it_alone_signed_with_the_day(
    tmp_path: Path, sign_with: Callable[[str], None]
) -> None:
    made = a_manifest()
    before = a_site(tmp_path, "old", "new")
    sign_with("old")
    envelopes = trust.sign(before, made, EVIDENCE)
    project = a_site(tmp_path, "old", "new", revoked=[{"key": "old.pub", "since": "2026-11-30"}])

    signed = trust.verify(project, made, EVIDENCE, envelopes, "x")

    with pytest.raises(errors.Unsigned, match=r"signed by old.pub, revoked since 2026-11-30; it takes .* by new.pub"):
        trust.require(project, "test", signed, "it")
    with pytest.raises(errors.KeyUnusable, match="is old.pub, revoked since 2026-11-30"):
        trust.sign(project, made, EVIDENCE)


def test_a_machine_without_the_key_is_refused_before_the_gates(
    tmp_path: Path, sign_with: Callable[[str], None]
) -> None:
    project = a_site(tmp_path, "ours", "other", prod={"signed_by": ["other.pub"]})

    with pytest.raises(errors.Unsigned, match="this machine has no key to sign with"):
        trust.require_ours(project, "test")
    sign_with("ours")
    trust.require_ours(project, "test")
    with pytest.raises(errors.Unsigned, match=r"^prod: takes .*other.pub; this machine signs with ours.pub$"):
        trust.require_ours(project, "prod")


def test_a_key_that_is_not_trusted_does_not_sign(tmp_path: Path, sign_with: Callable[[str], None]) -> None:
    project = a_site(tmp_path, "ours")
    sign_with("stranger")

    with pytest.raises(errors.KeyUnusable, match="is not one of trust.keys"):
        keys.signer(project)
    with pytest.raises(errors.KeyUnusable, match="both set"):
        keys.signer(project, {keys.KEY: "x", keys.FILE: "y"})


def pem(private: Any, password: str = "") -> bytes:  # noqa: ANN401 -- of several libraries
    secret = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return bytes(private.private_bytes(PEM, PKCS8, secret))


def cosigns(private: Any, password: str) -> bytes:  # noqa: ANN401 -- of several libraries
    """Return PRIVATE as cosign encrypts it (its cost parameters are smaller here)."""
    salt, cost = b"s" * 32, {"N": 1024, "r": 8, "p": 1}
    key = hashlib.scrypt(password.encode(), salt=salt, n=cost["N"], r=cost["r"], p=cost["p"], dklen=32)
    der = private.private_bytes(serialization.Encoding.DER, PKCS8, serialization.NoEncryption())
    sealed = SecretBox(key).encrypt(der, b"n" * 24)
    text = {
        "kdf": {"name": "scrypt", "params": cost, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(sealed.nonce).decode()},
        "ciphertext": base64.b64encode(sealed.ciphertext).decode(),
    }
    inner = base64.encodebytes(json.dumps(text).encode())
    return b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n%b-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n" % inner


def test_private_keys_are_read_as_their_tools_write_them(tmp_path: Path) -> None:
    p256 = ec.generate_private_key(ec.SECP256R1())
    public = p256.public_key().public_bytes(PEM, SPKI)
    (tmp_path / "p256.pub").write_bytes(public)
    project = a_project(tmp_path, trust={"keys": ["p256.pub"]})

    for data, password in (
        (pem(p256), ""),
        (pem(p256, "pw"), "pw"),
        (cosigns(p256, "pw"), "pw"),
        (cosigns(p256, ""), ""),
    ):
        signer = keys.signer(project, {keys.KEY: data.decode(), keys.PASSWORD: password})
        assert signer
        signed = envelope.sign(statement.release(a_manifest(), EVIDENCE), signer)
        assert trust.verify(project, a_manifest(), EVIDENCE, (signed,), "x").by == ("p256.pub",)


def test_what_is_no_key_is_refused_and_says_why(tmp_path: Path) -> None:
    p256, big = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    strong = rsa.generate_private_key(65537, 2048)
    cosign = cosigns(p256, "pw")
    cases = [
        (b"", "", "not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "", "not a private key"),
        (pem(p256, "pw"), "", "the key is encrypted"),
        (pem(p256, "pw"), "other", "the password is wrong"),
        (pem(strong), "", "neither an ed25519 nor an ECDSA P-256 key"),
        (pem(big), "", "neither an ed25519 nor an ECDSA P-256 key"),
        (cosign, "other", "the password is wrong"),
        (cosigns(big, "pw"), "pw", "neither an ed25519"),
        (cosign.replace(base64.encodebytes(b"{")[:1], b"!", 1), "pw", "not a key that cosign encrypted"),
    ]

    for data, password, why in cases:
        with pytest.raises(errors.KeyUnusable, match=why) as refused:
            keys.load_private(data, password, "key")
        assert "pw" not in refused.value.message
        assert refused.value.hint
    for text, why in ((pem(p256), "not a public key"), (b"x" * 70_000, "larger than any key")):
        (tmp_path / "k.pub").write_bytes(text)
        with pytest.raises(errors.KeyUnusable, match=why):
            keys.read(a_project(tmp_path, trust={"keys": ["k.pub"]}))
    with pytest.raises(errors.KeyUnusable, match="No such file"):
        keys.read(a_project(tmp_path, trust={"keys": ["none.pub"]}))


def test_a_new_pair_is_private_and_never_overwritten(tmp_path: Path) -> None:
    private, public = keys.make(tmp_path / "keys" / "new", "pw")

    assert private.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in private.read_bytes()
    assert keys.load_private(private.read_bytes(), "pw", "x")
    assert public.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    with pytest.raises(errors.FileUnusable, match="exists already"):
        keys.make(tmp_path / "keys" / "new", "")


def test_deploy_toml_names_keys_that_agree(tmp_path: Path) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"signer": ["x"]}, "signer and signer_key come together"),
        ({"keys": ["a"], "signer": ["x"], "signer_key": "b"}, "signer_key: b is not one of keys"),
        ({"keys": ["a"], "revoked": [{"key": "a", "since": "2026-01-01"}]}, "none that is not revoked"),
        ({"revoked": [{"key": "a", "since": "2026-01-01"}]}, "none that is not revoked"),
        ({"keys": ["a\0"]}, "trust.keys.0"),
        ({"keys": ["a"], "revoked": [{"key": "b", "since": "soon"}]}, "trust.revoked.0.since"),
    ]
    for given, why in bad:
        with pytest.raises(errors.ConfigInvalid, match=why):
            a_project(tmp_path, trust=given)
    for key, why in (("b", "b is not one of trust.keys"), ("old", "old is revoked")):
        with pytest.raises(errors.ConfigInvalid, match=f"environments.test.signed_by: {why}"):
            a_project(
                tmp_path,
                trust={"keys": ["a", "old"], "revoked": [{"key": "old", "since": "2026-01-01"}]},
                environments={"test": an_environment(4101, signed_by=[key])},
            )


def test_an_environment_for_what_forgejo_built_needs_a_key(tmp_path: Path) -> None:
    places = {"test": an_environment(4101), "prod": an_environment(4100, authority="forgejo")}

    with pytest.raises(errors.ConfigInvalid, match=r"environments\.prod\.authority: .* without trust\.keys") as refused:
        a_project(tmp_path, environments=places)

    assert "inv keys.new --output keys/forgejo" in refused.value.hint
    assert '[trust] with keys = ["keys/forgejo.pub"]' in refused.value.hint
    assert a_project(tmp_path, environments=places, trust={"keys": ["keys/forgejo.pub"]}).signed_by("prod")


def test_what_is_kept_of_an_envelope_is_its_valid_signatures_and_no_padding(
    tmp_path: Path, sign_with: Callable[[str], None]
) -> None:
    project, made = a_site(tmp_path, "old", "new"), a_manifest()
    sign_with("old")
    old = trust.sign(project, made, EVIDENCE)[0]
    sign_with("new")
    new = changed(trust.sign(project, made, EVIDENCE)[0], padding="x" * 10_000)
    rotated = a_site(tmp_path, "old", "new", revoked=[{"key": "old.pub", "since": "2026-11-30"}])

    signed = trust.verify(rotated, made, EVIDENCE, (old, new), "x")
    again = trust.verify(rotated, made, None, (signed.envelope.encode(),), "x")

    assert (signed.by, signed.revoked) == (("new.pub",), ("old.pub, revoked since 2026-11-30",))
    assert again.by == ("new.pub",)
    assert "padding" not in signed.envelope


def test_one_key_under_two_names_and_a_key_in_place_of_its_file_are_refused(tmp_path: Path) -> None:
    project = a_site(tmp_path, "ours", "copy")
    (tmp_path / "copy.pub").write_bytes((tmp_path / "ours.pub").read_bytes())
    text = (tmp_path / "ours.key").read_text()

    with pytest.raises(errors.KeyUnusable, match="are the same key"):
        keys.read(project)
    with pytest.raises(errors.KeyUnusable) as refused:
        keys.signer(project, {keys.FILE: text})
    assert text.splitlines()[1] not in refused.value.message + refused.value.hint
    with pytest.raises(errors.KeyUnusable, match="names no file"):
        keys.make(Path(), "")


def test_keys_that_were_read_verify_when_the_folder_is_gone(tmp_path: Path, sign_with: Callable[[str], None]) -> None:
    project, made = a_site(tmp_path, "ours"), a_manifest()
    sign_with("ours")
    envelopes = trust.sign(project, made, EVIDENCE)
    trust.load(project)
    (tmp_path / "ours.pub").unlink()

    assert trust.verify(project, made, EVIDENCE, envelopes, "x").by == ("ours.pub",)


def test_a_release_has_to_satisfy_every_environment_with_one_key(tmp_path: Path) -> None:
    project = a_site(tmp_path, "ours", "other", prod={"signed_by": ["other.pub"]})

    assert trust.lacking(project, trust.Signed(by=("other.pub",))) == ""
    assert trust.lacking(project, trust.Signed(by=("ours.pub",))) == "signed by ours.pub"
    assert trust.lacking(project, trust.NOBODY) == "not signed"
    assert trust.lacking(a_project(tmp_path), trust.NOBODY) == ""
    with pytest.raises(errors.ConfigInvalid, match="no key is accepted by all of them"):
        a_project(
            tmp_path,
            trust={"keys": ["a", "b"]},
            environments={
                "test": an_environment(4101, signed_by=["a"]),
                "prod": an_environment(4100, signed_by=["b"]),
            },
        )
