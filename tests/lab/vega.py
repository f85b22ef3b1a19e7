"""A project of its own whose vega server runs a live checkout; a context manager that leaves nothing."""

import json
import shutil
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import children
from lab.checkout import GATES, Checkout
from lab.site import person

ROOT = Path(__file__).parents[2]
OUR_DOCKER = {"DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "SF_SOURCE_DIR", "SF_WORKSPACE_DIR", "SUDO_UID"}

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, kw_only=True)
class Site:
    """The project's folder, the checkout in it, and the server's name and port."""

    folder: Path
    checkout: Checkout
    name: str = field(default_factory=lambda: f"vega-{uuid.uuid4().hex[:8]}")
    port: int = field(default_factory=children.free_port)

    def settle(self, vega: str = "", more: str = GATES, *, probes: str = "deadline = 60") -> None:
        """Write deploy.toml with VEGA's and PROBES' lines in their sections, and what MORE says."""
        for file in ("tasks.py", "noxfile.py"):
            shutil.copy(ROOT / file, self.folder / file)
        (self.folder / "deploy.toml").write_text(f"""
[source]
path = {json.dumps(str(self.checkout.folder))}
[probes]
{probes}
[vega]
name = "{self.name}"
state = {json.dumps(str(self.folder / "state"))}
port = {self.port}
{vega}
{more}""")

    def environment(self, **variables: str) -> dict[str, str]:
        """Return an environment for `inv` that names no engine and no folder but VARIABLES'."""
        return {**{name: value for name, value in person().items() if name not in OUR_DOCKER}, **variables}

    def start(self, *argv: str, prefix: Sequence[str] = (), **variables: str) -> subprocess.Popen[str]:
        """Start `inv ARGV` here and return it."""
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "invoke", *argv],
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def inv(self, *argv: str, prefix: Sequence[str] = (), **variables: str) -> Done:
        """Run `inv ARGV` here to its end."""
        with self.start(*argv, prefix=prefix, **variables) as child:
            stdout, stderr = child.communicate(timeout=300)
        return subprocess.CompletedProcess(argv, child.returncode, stdout, stderr)

    def good(self, *argv: str, prefix: Sequence[str] = (), **variables: str) -> str:
        """Run `inv ARGV` here and return what it printed; it has to end well."""
        done = self.inv(*argv, prefix=prefix, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str, host: str = "127.0.0.1") -> dict[str, Any]:
        """Return what the server answers to PATH."""
        with urllib.request.urlopen(f"http://{host}:{self.port}{path}", timeout=5) as response:
            told: dict[str, Any] = json.load(response)
            return told

    def inspect(self) -> dict[str, Any]:
        """Return what `docker inspect` says of the server's container."""
        told: dict[str, Any] = json.loads(docker("container", "inspect", self.name))[0]
        return told

    def running(self) -> str:
        """Return the id of the server's container that runs; empty when none does."""
        return docker("ps", "--quiet", "--no-trunc", "--filter", f"name={self.name}")

    def left(self) -> dict[str, list[str]]:
        """Return what there is of this server on the engine, and which processes name it, its port or its folder."""
        same = ("--filter", f"name={self.name}")
        return {
            "containers": docker("ps", "--all", "--quiet", *same).split(),
            "networks": docker("network", "ls", "--quiet", *same).split(),
            "volumes": docker("volume", "ls", "--quiet", *same).split(),
            "processes": [line for process in Path("/proc").glob("[0-9]*") if (line := self._of_ours(process))],
        }

    def _of_ours(self, process: Path) -> str:
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            inside = (process / "cwd").readlink().is_relative_to(self.folder)
        except OSError:  # it has ended
            return ""
        return line if inside or self.name in line or f"-host-port {self.port} " in line else ""

    def close(self) -> None:
        """Remove what there is of this server."""
        for container in self.left()["containers"]:
            docker("rm", "--force", "--volumes", container)
        for volume in self.left()["volumes"]:
            docker("volume", "rm", volume)
        for image in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", self.name).split():
            docker("image", "rm", image)


def docker(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Run the docker command and return what it printed."""
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def without(plugins: Sequence[str], folder: Path) -> dict[str, str]:
    """Return the variables under which the docker command lacks PLUGINS; FOLDER is where their place is taken."""
    for plugin in plugins:
        stub = folder / "cli-plugins" / f"docker-{plugin}"
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text("#!/bin/sh\nexit 1\n")
        stub.chmod(0o755)
    return {"DOCKER_CONFIG": str(folder)}


def starting_by(command: str, folder: Path) -> dict[str, str]:
    """Return the variables under which Compose, where it is to start something, runs COMMAND; FOLDER is for it."""
    known = '{"SchemaVersion": "0.1.0", "Vendor": "test", "Version": "1"}'
    stub = folder / "cli-plugins" / "docker-compose"
    stub.parent.mkdir(parents=True)
    stub.write_text(f"""#!/bin/sh\ncase "$*" in *metadata) echo '{known}';; *" up "*) exec {command};; esac\n""")
    stub.chmod(0o755)
    return {"DOCKER_CONFIG": str(folder)}
