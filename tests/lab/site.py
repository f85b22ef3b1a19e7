"""A project that releases a copy of the bundled application, in a folder of its own and under names of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from jsonschema import Draft202012Validator

from lab import children

ROOT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]

BRISK = "deadline = 60\nconsecutive = 2"
"""The probes of most tests: they wait as long as a machine with much to do may take, and ask no oftener than needed."""

IMPATIENT = "deadline = 20\nconsecutive = 2"
"""The probes of a test in which nobody answers as it should."""

QUICK = """
[gates.override.npm-ci]
command = ["cp", "-a", "{ship}/node_modules", "."]
[gates.override.web-npm-ci]
command = ["true"]
[gates.override.build-core]
command = [
    "sh", "-c", "tar -C '{ship}' --exclude=node_modules/@img -c dist packages | tar -x && node scripts/stamp.mjs"
]
[gates.override.build-web-host]
command = ["cp", "scripts/server.cjs", "dist/web/standalone/server.js"]
needs = ["build-core"]
[gates.override.typecheck]
command = ["true"]
"""
"""Gates that take what the real ones built, in SHIP, and stamp the revision at hand: seconds instead of a minute."""


EVENTS = Draft202012Validator(json.loads((ROOT / "docs" / "events.schema.json").read_text()))
"""What each line that `--json` prints has to be."""

IN_A_CONTAINER = 'if (process.env.HOME === "/home/sf")'
"""What a server begins with that is good where the gates start it, and bad where it runs."""


def call(*argv: str, cwd: Path, timeout: float = 600, env: Mapping[str, str] | None = None) -> Done:
    """Run ARGV to its end, whatever that is; what it prints with --json has to be as docs/events.schema.json says."""
    done = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=timeout, env={**person(), **(env or {})}
    )
    if "--json" in argv:
        for line in done.stdout.splitlines():
            EVENTS.validate(json.loads(line))
    return done


def person() -> dict[str, str]:
    """Return this process's environment as a person has it, who is no CI job also where the tests are one."""
    jobs = ("CI", "FORGEJO_", "GITEA_", "GITHUB_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(jobs)}


@dataclass(frozen=True, kw_only=True)
class Started:
    """A command of a site that is under way, and what it has said so far."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def progress(self) -> str:
        """What it wrote to its standard error."""
        return self.log.read_text(errors="replace")

    def says(self, text: str) -> None:
        """Wait until a line of its progress begins with TEXT."""
        children.wait_until(
            lambda: any(line.startswith(text) for line in self.progress.splitlines()), repr(text), seconds=90
        )

    def end(self, how: signal.Signals, seconds: float = 60) -> int:
        """Send HOW to it, and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(seconds)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A project folder with `deploy.toml`, and beside it in `sf` the application's checkout."""

    folder: Path
    name: str = field(default_factory=lambda: f"sf-{uuid.uuid4().hex[:8]}")
    repository: str = "127.0.0.1:5000/sf"
    ship: Path | None = None
    ports: tuple[int, int] = field(default_factory=lambda: (children.free_port(), children.free_port()))
    address: str = "127.0.0.1"
    engine: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def lay_out(self) -> None:
        """Write the project and commit the application's first revision; npm's cache is this project's own."""
        cache = ROOT / ".selfdeploy" / "npm"
        cache.mkdir(parents=True, exist_ok=True)
        (self.folder / ".selfdeploy").mkdir()
        (self.folder / ".selfdeploy" / "npm").symlink_to(cache)
        ignore = shutil.ignore_patterns("node_modules", "dist", ".next")
        shutil.copytree(ROOT / "examples" / "sf", self.folder / "sf", ignore=ignore)
        for file in ("tasks.py", "noxfile.py"):
            shutil.copy(ROOT / file, self.folder / file)
        self.configure(probes=BRISK if self.ship else "")  # what goes through the real gates takes the defaults
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("one")

    def configure(self, *, top: str = "", image: str = "", probes: str = BRISK, test: str = "", prod: str = "") -> None:
        """Write deploy.toml; TOP is added to it, the others to the tables that they name."""
        common = f'kind = "compose"\nbind = "{self.address}"\nengine = "{self.engine}"\n'
        quick = QUICK.format(ship=self.ship) if self.ship else ""
        (self.folder / "deploy.toml").write_text(f"""
[source]
path = "sf"
[image]
repository = "{self.repository}"
{image}
[probes]
{probes}
{quick}
{top}
[environments.test]
{common}project = "{self.name}-t"
port = {self.ports[0]}
{test}
[environments.prod]
{common}project = "{self.name}-p"
port = {self.ports[1]}
{prod}
""")

    def cloned(self, folder: Path) -> "Site":
        """Return the same project as somebody else has it who has just cloned it into FOLDER."""
        folder.mkdir()
        for file in ("tasks.py", "noxfile.py", "deploy.toml"):
            shutil.copy(self.folder / file, folder / file)
        call("git", "clone", "--quiet", str(self.folder / "sf"), str(folder / "sf"), cwd=folder)
        return Site(
            folder=folder,
            name=self.name,
            repository=self.repository,
            ship=self.ship,
            ports=self.ports,
            address=self.address,
            engine=self.engine,
            environment=self.environment,
        )

    def inv(self, *argv: str, **environment: str) -> Done:
        """Run a command of the project to its end."""
        given = {**self.environment, **environment}
        return call(sys.executable, "-m", "invoke", *argv, cwd=self.folder, env=given)

    @contextlib.contextmanager
    def running_first(self, code: str) -> Iterator[None]:
        """Have the project's commands run CODE before all else, until the block ends."""
        file = self.folder / "tasks.py"
        own = file.read_text()
        file.write_text(code + own)
        try:
            yield
        finally:
            file.write_text(own)

    def start(self, *argv: str, **environment: str) -> "Started":
        """Start a command of the project, alone in its process group."""
        log = self.folder / f"started-{uuid.uuid4().hex[:8]}.log"
        with log.open("wb") as progress:
            process = subprocess.Popen(
                [sys.executable, "-m", "invoke", *argv],
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=progress,
                start_new_session=True,
                env={**person(), **self.environment, **environment},
            )
        return Started(process=process, log=log)

    def attempts(self, environment: str) -> list[dict[str, Any]]:
        """Return the attempts on ENVIRONMENT, newest first, as `inv history` tells a program."""
        done = self.inv("history", "--environment", environment, "--json")
        told = json.loads(done.stdout.splitlines()[-1])
        if done.returncode:
            raise children.LabError(f"inv history: {told}")
        return list(told["items"])

    def nox(self, *argv: str) -> Done:
        """Run the session of the gates."""
        return call(sys.executable, "-m", "nox", "-s", "gates", "--", *argv, cwd=self.folder)

    def git(self, *argv: str) -> str:
        """Run git in the application's checkout and return what it printed."""
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        done = call("git", *identity, *argv, cwd=self.folder / "sf")
        if done.returncode:
            raise children.LabError(f"git {' '.join(argv)}: {done.stderr}")
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit all that is in the checkout and return the revision."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.revision

    @property
    def revision(self) -> str:
        """HEAD of the application's checkout."""
        return self.git("rev-parse", "HEAD")

    @property
    def shipped(self) -> Path:
        """What the gates left of HEAD to go into the image."""
        return self.folder / ".selfdeploy" / "trees" / self.revision / "image" / "opt" / "sf"

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace OLD, which has to be there, by NEW in FILE of the checkout."""
        path = self.folder / "sf" / file
        text = path.read_text()
        if old not in text:
            raise children.LabError(f"{file}: no {old!r} in it")
        path.write_text(text.replace(old, new))

    def answer_as_another_revision(self) -> str:
        """Commit a build that says it is another revision than it is."""
        self.edit("scripts/stamp.mjs", "process.env.SF_BUILD_REVISION", '"f".repeat(40)')
        return self.commit("says another revision")

    def never_be_ready(self) -> str:
        """Commit a server that is alive and never ready."""
        return self.begin_server('process.env.SF_WEB_PROJECT_CWD = "/nowhere";', "never ready")

    def end_when_there_is(self, file: str) -> str:
        """Commit a server that ends at once when there is FILE in its home."""
        test = f"require('node:fs').existsSync(`${{process.env.HOME}}/{file}`)"
        return self.begin_server(f"if ({test}) process.exit(1);", f"ends when there is {file}")

    def be_slow(self, seconds: int) -> str:
        """Commit a server that takes SECONDS to start in a container."""
        wait = f"Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, {seconds * 1000});"
        return self.begin_server(f"{IN_A_CONTAINER} {wait}", "slow")

    def begin_server(self, statement: str, message: str) -> str:
        """Commit a server that does STATEMENT before all else."""
        name = Path("scripts", "server.cjs")
        original = (ROOT / "examples" / "sf" / name).read_text()
        (self.folder / "sf" / name).write_text(f"{statement}\n{original}")
        return self.commit(message)

    def docker(self, *argv: str) -> Done:
        """Run docker on the site's engine."""
        host = ("--host", self.engine) if self.engine else ()
        return call("docker", *host, *argv, cwd=self.folder)

    def container(self, environment: str) -> str:
        """Return the name of the container of the environment `test` or `prod`."""
        return f"{self.name}-{environment[0]}-server-1"

    def inspect(self, environment: str) -> dict[str, Any]:
        """Return what the engine says of the container of ENVIRONMENT; nothing when there is none."""
        told = json.loads(self.docker("inspect", self.container(environment)).stdout or "[]")
        return dict(told[0]) if told else {}

    def ids(self) -> list[str]:
        """Return the full ids of the environments' containers, and when each was started."""
        found = [self.inspect(environment) for environment in ("test", "prod")]
        return [f"{one['Id']} {one['State']['StartedAt']}" for one in found if one]

    def version(self, environment: str) -> dict[str, str]:
        """Return what the server of ENVIRONMENT says it is."""
        port = self.ports[0 if environment == "test" else 1]
        told: dict[str, str] = requests.get(f"http://{self.address}:{port}/api/version", timeout=5).json()
        return told

    def swap_image(self, environment: str, reference: str) -> None:
        """Have another image run in ENVIRONMENT by hand, everything else being as it was."""
        file = self.folder / ".selfdeploy" / "rendered" / environment / "compose.yml"
        lines = [f'    image: "{reference}"' if " image: " in line else line for line in file.read_text().splitlines()]
        swapped = file.with_name("swapped.yml")
        swapped.write_text("\n".join(lines))
        project = f"{self.name}-{environment[0]}"
        done = self.docker("compose", "-p", project, "-f", str(swapped), "up", "-d", "--pull", "never")
        if done.returncode:
            raise children.LabError(done.stderr)

    def processes(self) -> list[str]:
        """Return the command lines of the processes that have to do with this project."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    place = str((entry / "cwd").readlink())
                except OSError:
                    continue
                if str(self.folder) in line or place.startswith(str(self.folder)) or f"{self.name}-" in line:
                    found.append(line)
        return found

    def close(self) -> None:
        """Remove what the site made on its engine."""
        for environment in ("t", "p"):
            project = f"{self.name}-{environment}"
            ours = f"label=com.docker.compose.project={project}"
            containers = self.docker("ps", "--all", "--quiet", "--filter", ours).stdout.split()
            self.docker("rm", "--force", "--volumes", *containers, f"{project}-lock")
            self.docker("network", "rm", f"{project}_default")
            volumes = self.docker("volume", "ls", "--quiet", "--filter", ours).stdout.split()
            self.docker("volume", "rm", f"{project}-record", *volumes)
        for environment in ("t", "p"):
            ours = f"label=dev.selfdeploy.project={self.name}-{environment}"
            releases = self.docker("volume", "ls", "--quiet", "--filter", ours).stdout.split()
            if releases:
                self.docker("volume", "rm", *releases)
