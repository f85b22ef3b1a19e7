"""What builds images, for real: a buildkitd of its own, kaniko's executor as an image, and a flake for nix."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from lab import children

TOOLS = Path(__file__).with_name("tools")


def compiled(*tools: str) -> Path:
    """Return the folder with TOOLS (`buildkit`, `kaniko`), compiled where they are not yet."""
    return Path(children.run([str(TOOLS / "build"), *tools], timeout=1800).decode().split()[-1])


class BuildKit(children.Part):
    """A buildkitd that has nothing to do with a Docker engine; a context manager.

    It is reached at `address` (BUILDKIT_HOST) by the `buildctl` in `path`.
    """

    def __init__(self) -> None:
        self.path = compiled("buildkit")
        self.folder = children.new_folder("buildkit", Path(tempfile.gettempdir()))
        self.log = self.folder / "buildkitd.log"
        self.address = f"unix://{self.folder}/socket"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = self.folder / "buildkitd.toml"
        settings.write_text(f"""
root = "{self.folder}/root"
[grpc]
address = ["{self.address}"]
[worker.oci]
enabled = true
networkMode = "host"
[worker.containerd]
enabled = false
""")
        self.spawn([str(self.path / "buildkitd"), "--config", str(settings)])
        self.wait_until(self._answers, "buildkitd")

    def close(self) -> None:
        """Stop it and remove everything it kept."""
        self.end()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        argv = [str(self.path / "buildctl"), "--addr", self.address, "debug", "workers"]
        return subprocess.run(argv, capture_output=True, check=False, timeout=20).returncode == 0


EXECUTOR = """\
FROM scratch
COPY executor /kaniko/executor
ENV HOME=/root USER=root PATH=/usr/local/bin:/kaniko SSL_CERT_DIR=/kaniko/ssl/certs
WORKDIR /workspace
ENTRYPOINT ["/kaniko/executor"]
"""
"""The executor's image as upstream lays it out."""


def executor_context(folder: Path) -> Path:
    """Return FOLDER, in which the executor's image can be built."""
    shutil.copy(compiled("kaniko") / "executor", folder / "executor")
    (folder / "Dockerfile").write_text(EXECUTOR)
    return folder


FLAKE = """\
{
  inputs = {
    tree = { url = "path:/nowhere"; flake = false; };
    labels = { url = "path:/nowhere"; flake = false; };
  };
  outputs = { self, tree, labels }:
    let
      system = "x86_64-linux";
      run = name: script: derivation {
        inherit name system tree labels;
        builder = "/bin/sh";
        args = [ "-ec" ("PATH=/bin:/usr/bin:/usr/local/bin\n" + script) ];
      };
      layer = run "layer" ''
        @LAYER@
      '';
    in {
      packages.${system}.image.copyTo = run "copy-to" ''
        mkdir -p $out/bin
        { echo "#!/bin/sh"; echo "exec python3 ${./copy_to.py} @BASE@ ${layer} $labels \\"\\$@\\""; } >$out/bin/copy-to
        chmod +x $out/bin/copy-to
      '';
    };
}
"""
"""A flake in the shape of one that uses nix2container, without nixpkgs: LAYER makes the layer, BASE is beneath it."""

LAYER = "tar --create --file $out --directory $tree --sort=name --mtime=@1 --owner=0 --group=0 --mode=u+w opt"

COPY_TO = """\
import hashlib, json, os, pathlib, subprocess, sys, tempfile

base, layer, labels, *more = sys.argv[1:]
with tempfile.TemporaryDirectory() as scratch:
    image = pathlib.Path(scratch, "image")
    source = ["docker://" + base, f"oci:{image}:it", "--src-tls-verify=false"]
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet", *source], check=True)
    blobs = image / "blobs" / "sha256"

    def keep(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    def read(told):
        return json.loads((blobs / told["digest"].partition(":")[2]).read_bytes())

    index = json.loads((image / "index.json").read_bytes())
    manifest = read(index["manifests"][0])
    config = read(manifest["config"])
    data = pathlib.Path(layer).read_bytes()
    manifest["layers"].append(keep(data, "layer.v1.tar"))
    config["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(data).hexdigest())
    config.pop("history", None)
    config["config"] = {
        "User": "1000:1000",
        "WorkingDir": "/workspace",
        "Env": [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "HOME=/home/sf",
            "SF_RELEASE_MANIFEST=/run/selfdeploy/sf-release-manifest.json",
        ],
        "Entrypoint": ["tini", "--"],
        "Cmd": "node /opt/sf/dist/loader.js server /workspace --host 0.0.0.0 --port 4000".split(),
        "Labels": json.loads(pathlib.Path(labels, "labels.json").read_text()),
    }
    manifest["config"] = keep(json.dumps(config).encode(), "config.v1+json")
    index["manifests"][0] |= keep(json.dumps(manifest).encode(), "manifest.v1+json")
    (image / "index.json").write_text(json.dumps(index))
    sys.exit(subprocess.run(["skopeo", "--insecure-policy", "copy", f"oci:{image}:it", *more]).returncode)
"""
"""What nix2container's copyTo does at the end: skopeo copies the image that nix has built to where it is told."""


def write_flake(folder: Path, base: str, layer: str = LAYER) -> None:
    """Write into FOLDER a flake whose image is what the shell command LAYER makes of the gated tree, on BASE."""
    (folder / "flake.nix").write_text(FLAKE.replace("@BASE@", base).replace("@LAYER@", layer))
    (folder / "copy_to.py").write_text(COPY_TO)


NIX = {"NIX_CONFIG": "sandbox = false\nsubstituters =\nbuild-users-group =\n"}
"""The environment in which nix builds as root, without a daemon and without a network."""
