"""The OCI distribution API: resolve by digest, read labels, attach and find release records."""

import base64
import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from selfdeploy import errors, process

INDEX = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
SINGLE = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
RELEASE = "application/vnd.selfdeploy.release.v1+json"
MANIFEST = "application/vnd.selfdeploy.manifest.v1+json"
EVIDENCE = "application/vnd.selfdeploy.evidence.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LIMIT = 8 << 20
TIMEOUT = (10, 60)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A repository in a registry."""

    host: str
    repository: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Return the repository that TEXT, HOST[:PORT]/NAME, names."""
        host, slash, name = text.partition("/")
        if (
            not slash
            or not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*", name)
            or not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", host)
        ):
            raise errors.ConfigInvalid(f"{text}: no repository", "write HOST[:PORT]/NAME, without tag or digest")
        return cls(host=host, repository=name)

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.host}/{self.repository}"


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """What the registry holds under a digest."""

    media_type: str
    digest: str
    size: int

    def as_json(self) -> dict[str, object]:
        """Return it as the OCI image specification writes it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, kw_only=True)
class Child:
    """One platform's image: its manifest's digest and its config's."""

    digest: str
    config: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image: what it is addressed by, and its platforms."""

    digest: str
    media_type: str
    platforms: Mapping[str, Child]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The commit point of a release: the image it is of, its manifest and its evidence."""

    subject: Descriptor
    manifest: bytes
    evidence: bytes


def sha256(data: bytes) -> str:
    """Return the digest of DATA."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode_record(record: Record) -> bytes:
    """Return the OCI image manifest that RECORD is stored as (OCI image specification, artifacts)."""
    layers = [
        Descriptor(media_type=kind, digest=sha256(data), size=len(data)).as_json()
        for kind, data in ((MANIFEST, record.manifest), (EVIDENCE, record.evidence))
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


def decode_record(data: bytes, where: str) -> tuple[Descriptor, dict[str, str]]:
    """Return the subject of the record DATA, and the digests of its parts by media type."""
    try:
        value = json.loads(data)
        if value["artifactType"] != RELEASE:
            raise ValueError(f"artifactType: expected {RELEASE}, actual {value['artifactType']}")
        subject = value["subject"]
        parts = {str(layer["mediaType"]): str(layer["digest"]) for layer in value["layers"]}
        if set(parts) != {MANIFEST, EVIDENCE}:
            raise ValueError(f"layers: expected a manifest and its evidence, actual {sorted(parts)}")
        return Descriptor(
            media_type=str(subject["mediaType"]), digest=str(subject["digest"]), size=int(subject["size"])
        ), parts
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.RecordInvalid(f"{where}: no release record: {exc}", "somebody else wrote that tag") from exc


def credentials(host: str, folder: Path) -> tuple[str, str] | None:
    """Return the user and password that Docker's config in FOLDER, or its credential helper, has for HOST."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    helper = config.get("credHelpers", {}).get(host) or config.get("credsStore")
    if helper:
        told = process.run([f"docker-credential-{helper}", "get"], timeout=20, stdin=host, check=False)
        if told.code == 0:
            found = json.loads(told.stdout)
            return found["Username"], found["Secret"]
    auth = config.get("auths", {}).get(host, {}).get("auth")
    if not auth:
        return None
    user, _, password = base64.b64decode(auth).decode().partition(":")
    return user, password


def is_loopback(host: str) -> bool:
    """Say whether HOST, with or without a port, is this machine's loopback."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(kw_only=True)
class Registry:
    """One repository of a registry, spoken to over HTTP."""

    reference: Reference
    scheme: str
    session: requests.Session = field(default_factory=requests.Session, repr=False)
    token: str = field(default="", repr=False)

    def _url(self, path: str) -> str:
        return f"{self.scheme}://{self.reference.host}/v2/{path}"

    def _send(self, method: str, url: str, **given: Any) -> requests.Response:  # noqa: ANN401 -- passed on to requests
        ours = urlsplit(url).netloc == self.reference.host
        for _ in range(2):
            headers = dict(given.get("headers", {}))
            if self.token and ours:
                headers["Authorization"] = self.token
            try:
                response = self.session.request(
                    method,
                    url,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                    **{**given, "headers": headers, "auth": lambda request: request},
                )
            except requests.RequestException as exc:
                raise errors.RegistryUnreachable(
                    f"{self.reference.host}: the registry does not answer ({type(exc).__name__})",
                    "start it (inv registry.up for the local one), or see image.repository in deploy.toml",
                ) from exc
            if response.status_code == 401 and ours and self._log_in(response.headers.get("WWW-Authenticate", "")):  # noqa: PLR2004
                continue
            break
        if response.status_code in (401, 403):
            raise errors.RegistryDenied(
                f"{self.reference}: the registry refuses {method} ({response.status_code})",
                f"docker login {self.reference.host}",
            )
        if response.status_code in (302, 307) and method == "GET":
            return self._send("GET", urljoin(url, response.headers["Location"]))
        if response.status_code >= 500:  # noqa: PLR2004 -- HTTP's server errors
            raise errors.RegistryUnreachable(
                f"{self.reference.host}: the registry answers {response.status_code}", "see its log"
            )
        return response

    def _log_in(self, challenge: str) -> bool:
        found = credentials(self.reference.host, Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")))
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and found and not self.token:
            self.token = "Basic " + base64.b64encode(":".join(found).encode()).decode()
            return True
        if kind.lower() != "bearer":
            return False
        told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = told.get("realm", "")
        if urlsplit(realm).scheme != "https" and self.scheme == "https":
            return False
        scope = f"repository:{self.reference.repository}:pull,push"
        try:
            response = self.session.get(
                realm, params={"service": told.get("service", ""), "scope": scope}, auth=found, timeout=TIMEOUT
            )
            answer = response.json()
            self.token = f"Bearer {answer.get('token') or answer['access_token']}"
        except (requests.RequestException, ValueError, KeyError) as exc:
            raise errors.RegistryDenied(
                f"{self.reference}: no token from {urlsplit(realm).netloc}", f"docker login {self.reference.host}"
            ) from exc
        return True

    def ping(self) -> None:
        """Raise `errors.RegistryUnreachable` or `errors.RegistryDenied` unless the registry takes us."""
        self._send("GET", self._url(""))

    def may_push(self) -> None:
        """Raise `errors.RegistryDenied` unless we may push: an upload is begun, and given up."""
        begun = self._send("POST", self._url(f"{self.reference.repository}/blobs/uploads/"))
        location = begun.headers.get("Location")
        if location:
            self._send("DELETE", urljoin(begun.url, location))

    def manifest(self, name: str) -> tuple[Descriptor, bytes] | None:
        """Return what the registry has under the tag or digest NAME; None where it has nothing."""
        response = self._send(
            "GET",
            self._url(f"{self.reference.repository}/manifests/{name}"),
            headers={"Accept": ", ".join((*INDEX, *SINGLE))},
            stream=True,
        )
        if response.status_code == 404:  # noqa: PLR2004 -- HTTP's not found
            return None
        data = response.raw.read(LIMIT + 1, decode_content=True)
        if response.status_code != 200 or len(data) > LIMIT:  # noqa: PLR2004 -- HTTP's OK
            raise errors.RecordInvalid(f"{self.reference}: {name}: HTTP {response.status_code}", "see its log")
        digest = sha256(data)
        if name.startswith("sha256:") and name != digest:
            raise errors.RecordInvalid(f"{self.reference}: expected {name}, actual {digest}", "the registry is damaged")
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        return Descriptor(media_type=kind, digest=digest, size=len(data)), data

    def image(self, name: str) -> Image | None:
        """Return the image under the tag or digest NAME: index, platforms and configs kept apart."""
        found = self.manifest(name)
        if found is None:
            return None
        descriptor, data = found
        value = json.loads(data)
        if descriptor.media_type not in INDEX:
            config = str(value["config"]["digest"])
            told = self.config(config)
            platform = f"{told.get('os')}/{told.get('architecture')}"
            children = {platform: Child(digest=descriptor.digest, config=config)}
            return Image(digest=descriptor.digest, media_type=descriptor.media_type, platforms=children)
        children = {}
        for entry in value["manifests"]:
            place = entry.get("platform", {})
            if place.get("os") == "unknown":
                continue
            inner = self.manifest(entry["digest"])
            if inner is None:
                raise errors.RecordInvalid(f"{self.reference}: {entry['digest']} is gone", "push the image again")
            config = str(json.loads(inner[1])["config"]["digest"])
            name = "/".join(filter(None, (place.get("os"), place.get("architecture"), place.get("variant"))))
            children[name] = Child(digest=str(entry["digest"]), config=config)
        return Image(digest=descriptor.digest, media_type=descriptor.media_type, platforms=children)

    def blob(self, digest: str) -> bytes:
        """Return the blob DIGEST, verified; at most `LIMIT` bytes."""
        response = self._send("GET", self._url(f"{self.reference.repository}/blobs/{digest}"), stream=True)
        data: bytes = response.raw.read(LIMIT + 1, decode_content=True)
        if response.status_code != 200 or sha256(data) != digest:  # noqa: PLR2004 -- HTTP's OK
            raise errors.RecordInvalid(
                f"{self.reference}: blob {digest}: HTTP {response.status_code}, actual {sha256(data)}", "push it again"
            )
        return data

    def config(self, digest: str) -> dict[str, Any]:
        """Return an image's config."""
        value = json.loads(self.blob(digest))
        return value if isinstance(value, dict) else {}

    def put_blob(self, data: bytes) -> None:
        """Store DATA."""
        digest = sha256(data)
        path = f"{self.reference.repository}/blobs/"
        if self._send("HEAD", self._url(path + digest)).status_code == 200:  # noqa: PLR2004 -- HTTP's OK
            return
        begun = self._send("POST", self._url(path + "uploads/"))
        url = urljoin(begun.url, begun.headers["Location"])
        url += ("&" if "?" in url else "?") + f"digest={digest}"
        self._send("PUT", url, data=data, headers={"Content-Type": "application/octet-stream"})

    def put_manifest(self, data: bytes, media_type: str, name: str) -> None:
        """Store DATA as the manifest under the tag or digest NAME."""
        url = self._url(f"{self.reference.repository}/manifests/{name}")
        response = self._send("PUT", url, data=data, headers={"Content-Type": media_type})
        if response.status_code != 201:  # noqa: PLR2004 -- HTTP's created
            raise errors.RegistryDenied(
                f"{self.reference}: {name}: HTTP {response.status_code}: {response.text[:200]}", "see its log"
            )

    def find_record(self, tag: str) -> Record | None:
        """Return the release record under TAG, every digest verified; None where there is none."""
        found = self.manifest(tag)
        if found is None:
            return None
        subject, parts = decode_record(found[1], f"{self.reference}:{tag}")
        return Record(subject=subject, manifest=self.blob(parts[MANIFEST]), evidence=self.blob(parts[EVIDENCE]))

    def put_record(self, record: Record, tag: str) -> None:
        """Store RECORD under TAG, its parts first: what the tag finds is whole."""
        for data in (b"{}", record.manifest, record.evidence):
            self.put_blob(data)
        data = encode_record(record)
        self.put_manifest(data, SINGLE[0], f"record-{sha256(data).removeprefix('sha256:')}")
        self.put_manifest(data, SINGLE[0], tag)


def connect(reference: Reference, *, insecure: bool = False) -> Registry:
    """Return the registry of REFERENCE: http on loopback or where INSECURE, https elsewhere."""
    authority = Path("/etc/docker/certs.d") / reference.host / "ca.crt"
    scheme = "http" if insecure or (is_loopback(reference.host) and not authority.exists()) else "https"
    registry = Registry(reference=reference, scheme=scheme)
    if authority.exists():
        registry.session.verify = str(authority)
    return registry
