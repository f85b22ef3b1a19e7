"""Images that need no registry to come from: one static busybox (Debian's busybox-static)."""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from lab import children

BUSYBOX = Path(shutil.which("busybox") or "/bin/busybox")


def busybox_layer() -> bytes:
    """Return a tar file, the same every time, that has a shell and its commands in /bin; `docker import` takes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        program = tarfile.TarInfo("bin/busybox")
        content = BUSYBOX.read_bytes()
        program.size, program.mode = len(content), 0o755
        tar.addfile(program, io.BytesIO(content))
        for command in ("sh", "cat", "echo", "httpd", "ls", "sleep"):
            link = tarfile.TarInfo(f"bin/{command}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


def forget(reference: str) -> None:
    """Remove the names that begin with REFERENCE from the engine of this machine, and images that have no other.

    By name, for an id is everybody's: a base image has a name in each repository that it was pushed to.
    """
    argv = ["docker", "images", "--digests", "--filter", f"reference={reference}/*"]
    told = children.run([*argv, "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"]).decode().splitlines()
    for repository, tag, digest in (line.split() for line in told):
        name = f"{repository}@{digest}" if tag == "<none>" else f"{repository}:{tag}"
        subprocess.run(["docker", "image", "rm", name], capture_output=True, check=False)


def oci_layout(folder: Path, *, labels: Mapping[str, str] | None = None) -> str:
    """Write an image as an OCI image layout into FOLDER (`skopeo copy oci:FOLDER ...`) and return its digest."""
    tar = busybox_layer()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(content: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    layers = [keep(gzip.compress(tar, mtime=0), "layer.v1.tar+gzip")]  # skopeo would compress it, to another digest
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["/bin/sh"], "Labels": dict(labels or {})},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": keep(json.dumps(config).encode(), "config.v1+json"),
        "layers": layers,
    }
    top = keep(json.dumps(manifest).encode(), "manifest.v1+json")
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return str(top["digest"])
