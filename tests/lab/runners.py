"""A checkout whose gates are the commands that a test names, run with the pinned Node."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.children import LabError
from lab.site import ROOT, Site
from selfdeploy import source
from selfdeploy.config import deploy_toml
from selfdeploy.config.surroundings import INHERITED
from selfdeploy.gates import counting, runner
from selfdeploy.gates.room import Room

Commands = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A project with a checkout, and the folder of the pinned Node's commands."""

    site: Site
    node: Path

    @property
    def room(self) -> Room:
        """Where the gates that are named run."""
        return Room(folder=self.site.folder / ".selfdeploy" / "trees" / "some")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a program of the pinned Node that is no gate."""
        names = (*INHERITED, "TMPDIR")
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        cache = str(self.site.folder / ".selfdeploy" / "npm")
        path = f"{self.node}:/usr/bin:/bin"
        return {**inherited, "PATH": path, "HOME": str(self.site.folder), "npm_config_cache": cache}

    def run(self, commands: Commands, *, minimum: int = 1, keys: str = "", programs: Path | None = None) -> None:
        """Run COMMANDS, gates by name that have to run MINIMUM tests; KEYS are added to each of them in deploy.toml.

        PROGRAMS, if given, takes the place of the folder of the pinned Node's commands.
        """
        self.configure(commands, minimum=minimum, keys=keys)
        project = deploy_toml.load(self.site.folder)
        revision = source.read(project.source_path(), "")
        runner.run(project, revision, programs or self.node, names=list(commands))

    def configure(self, commands: Commands, *, minimum: int = 1, keys: str = "") -> None:
        """Write a deploy.toml whose gates are COMMANDS, besides the contract's."""
        tables = [
            f"[gates.override.{name}]\ncommand = {json.dumps(list(command))}\nminimum_tests = {minimum}\n{keys}\n"
            for name, command in commands.items()
        ]
        self.site.configure(top="\n".join(tables))

    def count(self, commands: Commands, *, minimum: int = 1, keys: str = "") -> dict[str, dict[str, Any]]:
        """Run COMMANDS, which pass, and return what the evidence says of the tests of each."""
        self.run(commands, minimum=minimum, keys=keys)
        logs = {name: self.room.log(name).read_text() for name in commands}
        counts = {name: counting.count(log) for name, log in logs.items()}
        return {name: count.as_data() if count else {} for name, count in counts.items()}


@contextlib.contextmanager
def bench(folder: Path, files: Mapping[str, str]) -> Iterator[Bench]:
    """Open a bench in FOLDER, whose checkout has FILES; the session of the gates installs its Node."""
    site = Site(folder=folder)
    for name, text in files.items():
        (folder / "sf" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "sf" / name).write_text(text)
    for name in ("tasks.py", "noxfile.py"):
        shutil.copy(ROOT / name, folder / name)
    cache = ROOT / ".selfdeploy" / "npm"
    cache.mkdir(parents=True, exist_ok=True)
    (folder / ".selfdeploy").mkdir()
    (folder / ".selfdeploy" / "npm").symlink_to(cache)
    site.git("init", "--quiet", "--initial-branch", "main")
    site.commit("one")
    site.configure(top='[gates.override.node]\ncommand = ["node", "--version"]\n')
    done = site.nox("node")
    if done.returncode:
        raise LabError(done.stderr)
    yield Bench(site=site, node=folder / ".nox" / "gates" / "programs")
