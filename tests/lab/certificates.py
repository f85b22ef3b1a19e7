"""Certificates of an authority that exists for one test (made by openssl)."""

from dataclasses import dataclass
from pathlib import Path

from lab import children

DAYS = "2"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its private key, both in PEM files."""

    certificate: Path
    key: Path


def authority(folder: Path, name: str = "lab authority") -> Pair:
    """Make a certificate authority in FOLDER; its certificate is alone in `trust/`, as clients want to be given it."""
    (folder / "trust").mkdir()
    pair = Pair(certificate=folder / "trust" / "ca.crt", key=folder / "ca.key")
    _request(pair.key, pair.certificate, name, "-x509", "-days", DAYS)
    return pair


def server(folder: Path, issuer: Pair, address: str) -> Pair:
    """Make a server's certificate for ADDRESS (an IP) and this machine's loopback names, signed by ISSUER."""
    pair = Pair(certificate=folder / "server.crt", key=folder / "server.key")
    request, extensions = folder / "server.csr", folder / "server.ext"
    _request(pair.key, request, address)
    names = ["DNS:localhost", *(f"IP:{ip}" for ip in sorted({"127.0.0.1", address}))]
    extensions.write_text(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth\n")
    signed_by = ["-CA", str(issuer.certificate), "-CAkey", str(issuer.key), "-CAcreateserial"]
    sign = ["openssl", "x509", "-req", "-in", str(request), "-days", DAYS, *signed_by, "-extfile", str(extensions)]
    children.run([*sign, "-out", str(pair.certificate)])
    return pair


def signer(folder: Path) -> Pair:
    """Make a self-signed RSA pair that signs tokens (RS256)."""
    pair = Pair(certificate=folder / "tokens.crt", key=folder / "tokens.key")
    _request(pair.key, pair.certificate, "lab tokens", "-x509", "-days", DAYS, key=("-newkey", "rsa:2048"))
    return pair


_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def _request(keyout: Path, out: Path, name: str, *options: str, key: tuple[str, ...] = _CURVE) -> None:
    children.run(
        ["openssl", "req", *key, "-nodes", "-keyout", str(keyout), "-out", str(out), "-subj", f"/CN={name}", *options]
    )
