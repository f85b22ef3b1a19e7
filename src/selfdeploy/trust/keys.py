"""Keys: the public ones of deploy.toml, the private one that signs here, and new pairs."""

import base64
import binascii
import functools
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cryptography.exceptions
import pydantic_core
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from nacl import exceptions as nacl_exceptions
from nacl.secret import SecretBox
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature, Signer, SSlibKey  # type: ignore[attr-defined]

from selfdeploy import config, errors, process, tree
from selfdeploy.process import surroundings

KEY, FILE, PASSWORD = "SF_SIGNING_KEY", "SF_SIGNING_KEY_FILE", "SF_SIGNING_PASSWORD"
"""Variables with a private key in PEM, with the path of its file, and with the password of either."""

COSIGN = re.compile(rb"-----BEGIN ENCRYPTED (?:COSIGN|SIGSTORE) PRIVATE KEY-----(.*?)-----END ", re.DOTALL)
LARGEST = 65_536
"""Bytes of a key file, at most."""
MEMORY = 256 * 1024 * 1024
"""Bytes of memory that a cosign key's scrypt may ask for."""
SECONDS = 60.0
"""Seconds for a command that signs."""

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, kw_only=True)
class Public:
    """A public key; NAME is its file in deploy.toml, REVOKED the day since when it is believed no longer."""

    name: str
    key: SSlibKey
    revoked: str = ""

    @property
    def id(self) -> str:
        """The sha256 of its DER form (SubjectPublicKeyInfo), in hex: an envelope's `keyid`."""
        return str(self.key.keyid)

    def has_signed(self, payload: bytes, signature: str) -> bool:
        """Return whether SIGNATURE, in hex, is this key's signature of PAYLOAD."""
        try:
            self.key.verify_signature(Signature(self.id, signature), payload)
        except UnverifiedSignatureError:
            return False
        return True


def read(project: config.Project) -> tuple[Public, ...]:
    """Return the keys that PROJECT's deploy.toml trusts or has revoked.

    Raises:
        errors.KeyUnusable: a file is missing, is not a public key in PEM, or of another kind than ed25519 or P-256.
    """
    since = tuple((revoked.key, revoked.since) for revoked in project.trust.revoked)
    return _read_all(project.root, project.trust.keys, since)


@functools.cache
def _read_all(root: Path, names: tuple[str, ...], since: tuple[tuple[str, str], ...]) -> tuple[Public, ...]:
    """Return what `read` does, from memory the second time: a cancelled run's folder may be gone."""
    days = dict(since)
    found = tuple(
        Public(name=name, key=_public(root, name), revoked=days.get(name, ""))
        for name in dict.fromkeys((*names, *days))
    )
    for key in found:
        if twin := next((other.name for other in found if other.id == key.id and other is not key), ""):
            raise errors.KeyUnusable(f"trust: {key.name} and {twin} are the same key", "name it once")
    return found


def signer(project: config.Project, environment: Mapping[str, str] | None = None) -> Signer | None:
    """Return the signer of this machine: of the variables above, or deploy.toml's command; None if there is neither.

    Raises:
        errors.KeyUnusable: the key cannot be read, or its public half is not one of deploy.toml's keys.
    """
    given = os.environ if environment is None else environment
    text, path = given.get(KEY, ""), given.get(FILE, "")
    if text and path:
        raise errors.KeyUnusable(f"{KEY} and {FILE} are both set", "set one of them")
    if text or path:
        if "\n" in path or "-----" in path:
            raise errors.KeyUnusable(f"{FILE}: holds a key, and not the path of its file", f"set {KEY} to it instead")
        data = text.encode() if text else _read(Path(path), FILE)
        private = load_private(data, given.get(PASSWORD, ""), KEY if text else path)
        found: Signer = CryptoSigner(private, _of(private.public_key(), KEY))
    elif project.trust.signer and project.trust.signer_key:
        found = Command(project.trust.signer, _public(project.root, project.trust.signer_key), project.root)
    else:
        return None
    known = {public.id: public for public in read(project)}
    ours = known.get(found.public_key.keyid)
    if known and (ours is None or ours.revoked):
        why = f"is {ours.name}, revoked since {ours.revoked}" if ours else "is not one of trust.keys"
        raise errors.KeyUnusable(
            f"the signing key {found.public_key.keyid[:12]} {why}", "set the private key of one of trust.keys"
        )
    return found


class Command(Signer):
    """A signer that hands the bytes to a command: a key management service, a token, an agent."""

    def __init__(self, argv: tuple[str, ...], key: SSlibKey, folder: Path) -> None:
        """Sign with ARGV, run in FOLDER, for KEY."""
        self._argv, self._key, self._folder = argv, key, folder

    @property
    def public_key(self) -> SSlibKey:
        """The key that verifies the signatures."""
        return self._key

    @classmethod
    def from_priv_key_uri(cls, *_: Any, **__: Any) -> "Command":  # noqa: ANN401 -- of the base class
        """Raise: a command has no address."""
        raise NotImplementedError

    def sign(self, payload: bytes) -> Signature:
        """Return the command's signature of PAYLOAD.

        Raises:
            errors.KeyUnusable: the command fails, prints no base64, or its signature is not of the key.
        """
        env = surroundings.read("command")
        try:
            done = process.run(self._argv, timeout=SECONDS, stdin=payload, cwd=self._folder, env=env)
            raw = base64.b64decode(done.stdout.strip(), validate=True)
            signature = Signature(self._key.keyid, raw.hex())
            self._key.verify_signature(signature, payload)
        except errors.SelfdeployError as exc:
            raise errors.KeyUnusable(f"trust.signer: {exc.message}", exc.hint) from exc
        except (binascii.Error, ValueError):
            raise errors.KeyUnusable(
                f"trust.signer: {self._argv[0]} printed no base64", "print the signature alone"
            ) from None
        except Exception as exc:
            if type(exc).__module__.startswith("securesystemslib"):
                told = "have it sign its standard input with the private key of signer_key"
                raise errors.KeyUnusable("trust.signer: its signature is not of trust.signer_key", told) from exc
            raise
        return signature


def load_private(data: bytes, password: str, where: str) -> Private:
    """Return the private key in DATA: PEM, encrypted or not, or cosign's own encrypted form.

    Raises:
        errors.KeyUnusable: it is not one, the password is wrong or missing, or its kind is not ed25519 or P-256.
    """
    if cosign := COSIGN.search(data):
        loaded: Any = _cosign(cosign[1], password, where)
    else:
        try:
            secret = password.encode() if b"ENCRYPTED" in data else None
            loaded = serialization.load_pem_private_key(data, secret or None)
        except TypeError:
            raise errors.KeyUnusable(f"{where}: the key is encrypted", f"set {PASSWORD}") from None
        except (ValueError, cryptography.exceptions.UnsupportedAlgorithm):
            told = f"set the right {PASSWORD}" if b"ENCRYPTED" in data else "inv keys.new makes one"
            raise errors.KeyUnusable(f"{where}: not a private key in PEM, or the password is wrong", told) from None
    _of(getattr(loaded, "public_key", lambda: None)(), where)
    return loaded  # type: ignore[no-any-return] # _of has refused all other kinds


def names(path: Path) -> tuple[Path, Path]:
    """Return the files of the pair PATH: its private and its public key."""
    return path.parent / f"{path.name}.key", path.parent / f"{path.name}.pub"


def make(path: Path, password: str) -> tuple[Path, Path]:
    """Write a new ed25519 pair, PATH.key (mode 0600, encrypted if PASSWORD is not empty) and PATH.pub; return both.

    Raises:
        errors.FileUnusable: one of the files exists; nothing was written.
    """
    if not path.name:
        raise errors.KeyUnusable(f"{path}: names no file", "name the pair, as in --output keys/release")
    files = names(path)
    for file in files:
        if file.exists() or file.is_symlink():
            raise errors.FileUnusable(f"{file}: exists already", "name another; a key is never overwritten")
    private = ed25519.Ed25519PrivateKey.generate()
    secret = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(files[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as secret_file:
        secret_file.write(private.private_bytes(pem, pkcs8, secret))
    tree.write_whole(files[1], public)
    return files


def _public(root: Path, name: str) -> SSlibKey:
    data = _read(root / config.place(name, f"{config.FILE}: trust.keys"), f"trust.keys: {name}")
    try:
        loaded = serialization.load_pem_public_key(data)
    except (ValueError, cryptography.exceptions.UnsupportedAlgorithm):
        told = "the private key stays out of the repository" if b"PRIVATE" in data else "inv keys.new makes a pair"
        raise errors.KeyUnusable(f"trust.keys: {name}: not a public key in PEM", told) from None
    return _of(loaded, f"trust.keys: {name}")


def _of(loaded: object, where: str) -> SSlibKey:
    is_p256 = isinstance(loaded, ec.EllipticCurvePublicKey) and isinstance(loaded.curve, ec.SECP256R1)
    if not is_p256 and not isinstance(loaded, ed25519.Ed25519PublicKey):
        raise errors.KeyUnusable(f"{where}: neither an ed25519 nor an ECDSA P-256 key", "inv keys.new makes one")
    der = loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return SSlibKey.from_crypto(loaded, keyid=hashlib.sha256(der).hexdigest())  # type: ignore[arg-type]


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as exc:
        raise errors.KeyUnusable(
            f"{what}: {path}: {exc.strerror}", "name a key file; inv keys.new makes a pair"
        ) from exc
    if len(data) > LARGEST:
        raise errors.KeyUnusable(f"{what}: {path}: larger than any key", "name a key file")
    return data


def _cosign(text: bytes, password: str, where: str) -> object:
    """Return the private key that cosign has encrypted: scrypt, then NaCl's secretbox, around PKCS 8."""
    try:
        box = pydantic_core.from_json(base64.b64decode(text, validate=False))
        cost = {name: int(box["kdf"]["params"][name]) for name in ("N", "r", "p")}
        salt, nonce, sealed = (
            base64.b64decode(value, validate=True)
            for value in (box["kdf"]["salt"], box["cipher"]["nonce"], box["ciphertext"])
        )
        known = (box["kdf"]["name"], box["cipher"]["name"]) == ("scrypt", "nacl/secretbox")
        secret = hashlib.scrypt(
            password.encode(), salt=salt, n=cost["N"], r=cost["r"], p=cost["p"], maxmem=MEMORY, dklen=SecretBox.KEY_SIZE
        )
        opened = SecretBox(secret).decrypt(sealed, nonce)
        return serialization.load_der_private_key(opened, None) if known else None
    except nacl_exceptions.CryptoError:
        raise errors.KeyUnusable(f"{where}: cosign's key: the password is wrong", f"set the right {PASSWORD}") from None
    except (ValueError, KeyError, TypeError, OverflowError, cryptography.exceptions.UnsupportedAlgorithm):
        raise errors.KeyUnusable(f"{where}: not a key that cosign encrypted", "cosign generate-key-pair") from None
