"""What a release costs at the size of the real application: against an older revision, and against a plain script."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.application import GATES, LINE, Maker
from benchmarks.sizes import Report, Turn
from lab.children import LabError
from lab.registry import Registry
from lab.site import call
from selfdeploy import process

ROOT = Path(__file__).parents[1]
LIMIT = 3600.0
"""Seconds for one command."""

GATE = """
[gates.override.{name}]
command = ["sh", "-c", "{command}"]
needs = {needs}
"""
NEEDS = {"build-core": ["npm-ci"], "build-web-host": ["build-core", "web-npm-ci"], "test-unit": ["build-core"]}
BUILT = {
    "build-core": f"; cp {LINE} dist/line.js; echo $SF_BUILD_REVISION >dist/revision",
    "test-unit": "; printf '# tests 1\\\\n# pass 1\\\\n# fail 0\\\\n'",
}


@dataclass(frozen=True, kw_only=True)
class Side:
    """One version of the tool: a project folder of its own that releases the application into a registry of its own."""

    name: str
    tool: Path
    python: Path
    folder: Path
    store: Registry
    _usage: list[Mapping[str, float]] = field(default_factory=list)

    def lay_out(self, made: Path) -> None:
        """Write the project: gates that take what MADE has for them, a folder a gate."""
        self.folder.mkdir()
        shutil.copytree(made.parent / "sf", self.folder / "sf")
        for file in ("tasks.py", "noxfile.py"):
            shutil.copy(self.tool / file, self.folder / file)
        gates = [
            GATE.format(
                name=name,
                needs=json.dumps(NEEDS.get(name, [])),
                command=f"cp -a {made / name}/. .{BUILT.get(name, '')}",
            )
            for name in GATES
        ]
        (self.folder / "deploy.toml").write_text(
            f'[source]\npath = "sf"\n[image]\nrepository = "{self.store.name}/sf"\ntimeout = 1800\n{"".join(gates)}'
            '[environments.test]\nkind = "compose"\nport = 4000\n'
        )
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *argv: str) -> str:
        """Run git in the checkout."""
        return process.run(
            ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", *argv], timeout=300, cwd=self.folder / "sf"
        ).text

    def commit(self, number: int) -> None:
        """Change one line, and commit it."""
        (self.folder / "sf" / LINE).write_text(f"export const line = {number};\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"line {number}")

    def run(self, *argv: str) -> tuple[float, float, int]:
        """Run a command of the tool's: its seconds, the CPU seconds and the largest memory (bytes) of its Pythons."""
        usage = self.folder / "usage.jsonl"
        usage.unlink(missing_ok=True)
        env = {"PYTHONPATH": str(ROOT / "benchmarks" / "usage"), "SELFDEPLOY_USAGE": str(usage)}
        env["PYTHONDONTWRITEBYTECODE"] = ""  # or each start compiles all that it imports
        began = time.monotonic()
        done = call(str(self.python), "-m", *argv, cwd=self.folder, timeout=LIMIT, env=env)
        took = time.monotonic() - began
        if done.returncode:
            raise LabError(f"{self.name}: {' '.join(argv)}: exit code {done.returncode}: {done.stderr[-3000:]}")
        used = [json.loads(line) for line in usage.read_text(encoding="utf-8").splitlines()]
        return took, sum(each["cpu"] for each in used), max(each["peak"] for each in used)

    def stored(self) -> int:
        """Return how many bytes the registry has."""
        return sum(path.stat().st_size for path in self.store.data.rglob("*") if path.is_file())

    def turn(self, number: int) -> Turn:
        """Gate, build and push a new commit; then have the receipt honoured."""
        self.commit(number)
        gates = self.run("invoke", "gates", "--quiet")
        before = self.stored()
        build = self.run("invoke", "build", "--quiet")
        pushed = self.stored() - before
        receipt = self.run("nox", "-s", "gates")
        return Turn(
            gates=gates[0],
            build=build[0],
            pushed=pushed,
            cpu=gates[1] + build[1],
            receipt=receipt[0],
            peak=max(gates[2], build[2], receipt[2]),
        )


@dataclass(frozen=True, kw_only=True)
class Script:
    """The plain script's stage `image`, on a folder in which the same gates have run."""

    folder: Path
    made: Path
    base: str
    store: Registry

    def image(self, number: int) -> float:
        """Return the seconds of the stage, after a commit that changed one line."""
        gated = self.folder / "gated"
        if not gated.exists():
            gated.mkdir(parents=True)
            shutil.copy(self.made.parent / "sf" / "package.json", gated)
            for gate in ("npm-ci", "build-core", "build-web-host"):
                process.run(["cp", "-a", f"{self.made / gate}/.", str(gated)], timeout=LIMIT)
            for name in json.loads((gated / "package.json").read_bytes())["devDependencies"]:
                shutil.rmtree(gated / "node_modules" / name)
        (gated / "dist" / "line.js").write_text(f"export const line = {number};\n")
        dockerfile = ROOT / "docker" / "Dockerfile.sf-server"
        argv = [
            gated,
            self.folder / "ship",
            dockerfile,
            self.base,
            1_700_000_000 + number,
            f"{self.store.name}/script:{number}",
        ]
        began = time.monotonic()
        process.run([str(ROOT / "benchmarks" / "image.sh"), *map(str, argv)], timeout=LIMIT)
        return time.monotonic() - began


@contextlib.contextmanager
def older(revision: str, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Check REVISION of this project out below FOLDER, with an environment of its own: its folder, its Python."""
    there = folder / "tool"
    git = ["git", "-C", str(ROOT), "worktree"]
    process.run([*git, "add", "--detach", str(there), revision], timeout=120)
    try:
        uv = [sys.executable, "-m", "uv"]
        python = folder / "venv" / "bin" / "python"
        process.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], timeout=120)
        install = [*uv, "pip", "install", "--quiet", "--python", str(python)]
        process.run([*install, "--require-hashes", "-r", str(there / "requirements.lock")], timeout=600)
        process.run([*install, "--no-deps", "--no-build-isolation", "-e", str(there)], timeout=300)
        yield there, python
    finally:
        process.run([*git, "remove", "--force", str(there)], timeout=120, check=False)


def compare(folder: Path, against: str, rounds: int, scale: float, say: Callable[[str], None]) -> Report:
    """Return how this tool, the one AGAINST and the script did in so many ROUNDS, working below FOLDER."""
    say(f"making the application, at scale {scale:g}")
    Maker(seed=1, scale=scale).make(folder / "application")
    made = folder / "application" / "made"
    (folder / "older").mkdir()
    with (
        older(against, folder / "older") as (tool, python),
        Registry() as ours,
        Registry() as theirs,
        Registry() as plain,
    ):
        now = Side(name="now", tool=ROOT, python=Path(sys.executable), folder=folder / "now", store=ours)
        then = Side(name=against, tool=tool, python=python, folder=folder / "then", store=theirs)
        try:
            for side in (now, then):
                side.lay_out(made)
            say("warming up: a release of each, not counted")
            for side in (now, then):
                side.turn(0)
            based = call(str(now.python), "-m", "invoke", "base", "--quiet", cwd=now.folder)
            script = Script(folder=folder / "script", made=made, base=based.stdout.strip(), store=plain)
            script.image(0)
            return _measure(now, then, script, rounds, say)
        finally:
            for store in (ours, theirs, plain):
                _forget(store)


def _measure(now: Side, then: Side, script: Script, rounds: int, say: Callable[[str], None]) -> Report:
    report = Report(against=then.name)
    for number in range(1, rounds + 1):
        order: Sequence[str] = ("script", "then", "now") if number % 2 else ("now", "then", "script")
        for name in order:
            say(f"round {number} of {rounds}: {name}")
            if name == "script":
                report.script.append(script.image(number))
            else:
                (report.now if name == "now" else report.then).append((now if name == "now" else then).turn(number))
    return report


def _forget(store: Registry) -> None:
    """Remove from the engine the images of STORE's repositories."""
    listed = call("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", cwd=ROOT).stdout.split()
    images = [image for image in listed if image.startswith(f"{store.name}/")]
    if images:
        call("docker", "image", "rm", "--force", *images, cwd=ROOT)


def machine_is_busy() -> bool:
    """Return whether more runs here than there are cores: seconds then say less than CPU seconds and bytes."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)
