"""The SBOM of an image (CycloneDX 1.5): npm packages, Debian packages and Node; equal images give equal bytes."""

import contextlib
import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from selfdeploy import errors, registry, tree
from selfdeploy.registry import layers

STATUS, PARTS, RELEASES = "var/lib/dpkg/status", "var/lib/dpkg/status.d", ("usr/lib/os-release", "etc/os-release")
"""dpkg's list of packages, the folder that takes its place in images without a dpkg, and the name of the system."""

FIELD = re.compile(r"^(Package|Version|Architecture|Status):[ \t]*(\S.*?)\s*$", re.MULTILINE)
SYSTEM = re.compile(r"""^(ID|VERSION_ID)=["']?([a-z0-9._-]{1,40})["']?\s*$""", re.MULTILINE)
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200} [A-Za-z0-9.+:~-]{1,200} [a-z0-9-]{1,40}")
"""A package's name, version and architecture (Debian policy, 5.6)."""


VERSION = 1
"""Version of the form in which `find_debian` keeps a list."""


def find_debian(
    store: registry.Registry, image: registry.Image, bases: Mapping[str, str], kept: Path
) -> list[dict[str, Any]]:
    """Return the components of `read_debian`; keep them below KEPT if BASES (by platform) are known.

    An image built here of a gated tree has the packages of its base. So its layers are read once for each base.
    """
    if not all(bases.values()):
        return read_debian(store, image)
    file = kept / registry.sha256(json.dumps([VERSION, sorted(bases.items())]).encode()).removeprefix("sha256:")
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if isinstance(found := json.loads(file.read_bytes()), list):
            return found
    read = read_debian(store, image)
    tree.write_whole(file, json.dumps(read).encode())
    return read


def read_debian(store: registry.Registry, image: registry.Image) -> list[dict[str, Any]]:
    """Return the components of IMAGE that dpkg lists, of all platforms; empty if it has no list of dpkg's.

    Raises:
        errors.RegistryInvalid: a layer does not match its digest, or is malformed.
        errors.SbomUnusable: dpkg's list is malformed.
    """
    found: dict[str, dict[str, Any]] = {}
    for platform, child in image.platforms.items():
        files = layers.contents(store, child.digest, (STATUS, PARTS, *RELEASES)) or {}
        found |= {each["bom-ref"]: each for each in debian(files, f"{image.digest}: {platform}")}
    return list(found.values())


def debian(files: Mapping[str, bytes], where: str) -> Iterator[dict[str, Any]]:
    """Yield the components that dpkg lists in FILES of an image called WHERE, and first the system.

    Raises:
        errors.SbomUnusable: the list is malformed.
    """
    system = dict(SYSTEM.findall("\n".join(_text(files[name]) for name in RELEASES if name in files)))
    name, version = system.get("ID", "debian"), system.get("VERSION_ID", "")
    told = [_text(files[path]) for path in files if path == STATUS or path.startswith(f"{PARTS}/")]
    if told:
        more = {"version": version} if version else {}
        yield {"bom-ref": f"os:{name}@{version}", "type": "operating-system", "name": name, **more}
    for stanza in re.split(r"\n\s*\n", "\n\n".join(told)):
        fields = dict(FIELD.findall(stanza))
        if "Package" not in fields or not fields.get("Status", "ok installed").endswith(" installed"):
            continue
        parts = [fields.get(key, "") for key in ("Package", "Version", "Architecture")]
        if not PACKAGE.fullmatch(" ".join(parts)):
            hint = "repair dpkg's list in the base image"
            raise errors.SbomUnusable(f"{where}: {STATUS}: no package: {' '.join(parts)[:200]!a}", hint)
        distribution = f"&distro={name}-{version}" if version else ""
        purl = f"pkg:deb/{name}/{quote(parts[0])}@{quote(parts[1], safe=':')}?arch={parts[2]}{distribution}"
        yield {"bom-ref": purl, "type": "library", "name": parts[0], "version": parts[1], "purl": purl}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def make(packages: Mapping[str, Any], gated: str, system: list[dict[str, Any]], node: str) -> dict[str, Any]:
    """Return the SBOM of the npm PACKAGES in the tree GATED (a digest), the components SYSTEM, and NODE's version.

    NODE is empty if it is not known. The serial number is made from the content, and there is no time.
    """
    binary = {"bom-ref": f"node@{node}", "type": "application", "name": "node", "version": node}
    extra = [*system, *([{**binary, "purl": f"pkg:generic/node@{node}"}] if node else [])]
    root = {**packages["component"], "type": "application", "properties": [{"name": "selfdeploy:tree", "value": gated}]}
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"tools": [{"name": "npm sbom"}, {"name": "selfdeploy"}], "component": root},
        "components": sorted([*packages["components"], *extra], key=lambda each: str(each["bom-ref"])),
        "dependencies": packages["dependencies"],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(encode(content)).hexdigest())
    return {**content, "serialNumber": f"urn:uuid:{serial}"}


def encode(content: Mapping[str, Any]) -> bytes:
    """Return the SBOM CONTENT as JSON with sorted keys, and a line feed at the end."""
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def count(content: Mapping[str, Any]) -> str:
    """Return the number of packages in the SBOM CONTENT by kind, in words."""
    kinds = [str(each.get("purl", "")).partition("/")[0] for each in content.get("components", [])]
    return f"{kinds.count('pkg:npm')} npm packages, {kinds.count('pkg:deb')} Debian packages"
