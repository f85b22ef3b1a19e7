"""Make an image of one program, as `docker load` takes it: `image.py OUT.tar NAME:TAG PROGRAM`."""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def archive(files: dict[str, bytes]) -> bytes:
    """Return FILES as a tar archive that is the same for equal files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def image(name: str, program: Path) -> bytes:
    """Return an image called NAME that runs PROGRAM and holds nothing else."""
    layer = archive({program.name: program.read_bytes()})
    settings = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    }
    config = json.dumps(settings).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    return archive({config_name: config, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()})


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(image(sys.argv[2], Path(sys.argv[3])))
