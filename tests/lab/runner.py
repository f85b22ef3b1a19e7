"""A workflow runner: act, which Forgejo's own is built on, with the steps on this machine (host mode).

act sets GITHUB_* and ignores `concurrency`; of what Forgejo's runner adds (FORGEJO_*, the same values again) those that
matter are given here. Forgejo's runner itself is not run.
"""

import json
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab import children
from lab.forge import NAME, Forge
from lab.site import person

TOOLS = Path(__file__).parent / "tools" / "build"
WORKFLOW = Path(".forgejo/workflows/self-deploy.yml")
MISSING = [tool for tool in ("go", "git", "setpriv", "flock") if not shutil.which(tool)]


def tool(name: str) -> str:
    """Return the path of the tool NAME, compiled first where it has to be."""
    return f"{children.run([str(TOOLS), name], timeout=900).decode().strip()}/{name}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the workflow that is under way, or was."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """What its page shows so far."""
        return self.log.read_text(errors="replace")

    def says(self, text: str, seconds: float = 240) -> None:
        """Wait until the page shows TEXT."""
        with children.explained_by(self.log):
            children.wait_until(
                lambda: text in self.text or self.process.poll() is not None, repr(text), seconds=seconds
            )
            if text not in self.text:
                raise children.LabError(f"{text!r}: never said")

    def cancel(self) -> None:
        """Cancel it, as from its page."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds: float = 400) -> int:
        """Return 0 when the run was green, once it has ended."""
        return self.process.wait(seconds)

    def step(self, name: str) -> str:
        """Return what the page shows of the step NAME."""
        lines = self.text.splitlines()
        start = next((i for i, line in enumerate(lines) if f"⭐ Run Main {name}" in line), None)
        if start is None:
            return ""
        ends = [i for i, line in enumerate(lines) if i > start and ("⭐ Run " in line)]
        return "\n".join(lines[start : ends[0] if ends else None])

    def passed(self, name: str) -> bool:
        """Say whether the step NAME was green."""
        return f"✅  Success - Main {name} " in self.text


@dataclass(kw_only=True)
class Runner:
    """One registered runner with a home of its own, that takes the workflow of FORGE's repository."""

    folder: Path
    forge: Forge
    token: str
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    act: str = field(default_factory=lambda: tool("act"))
    runs: list[Run] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The runner's home, with what it keeps between runs."""
        return self.folder / "home"

    def start(
        self, checkout: Path, event: str = "push", *, inputs: Mapping[str, str] | None = None, forgejo: bool = True
    ) -> Run:
        """Start the workflow that CHECKOUT has at HEAD, as EVENT does; without FORGEJO's variables it is act's."""
        number = str(len(self.runs) + 1)
        place = self.folder / f"run-{number}-{uuid.uuid4().hex[:6]}"
        children.run(["git", "clone", "--quiet", str(checkout), str(place)])
        (self.home).mkdir(exist_ok=True)
        secrets = {"GITHUB_TOKEN": self.token, **self.secrets}
        for name, values in ((".secrets", secrets), (".vars", self.variables)):
            file = self.folder / f"{place.name}{name}"
            lines = {key: json.dumps(value) if "\n" in value else value for key, value in values.items()}
            file.write_text("".join(f"{key}={line}\n" for key, line in lines.items()))
        told = {"SERVER_URL": self.forge.url, "REPOSITORY": NAME, "RUN_ID": f"90{number}", "RUN_NUMBER": number}
        given = {f"GITHUB_{key}": value for key, value in told.items()}
        given |= {f"FORGEJO_{key}": value for key, value in told.items()} if forgejo else {}
        tokens = ("GITHUB", "ACTIONS_RUNTIME", *(["FORGEJO"] if forgejo else []))
        own = self.folder / f"{place.name}.env"  # as the runner gives them to every step
        own.write_text("".join(f"{name}_TOKEN={self.token}\n" for name in tokens))
        argv = [self.act, event, "--workflows", str(WORKFLOW), "--platform", "self-deploy=-self-hosted"]
        argv += ["--rm", "--insecure-secrets"]  # no secret is hidden: that none is shown is ours to see to
        argv += ["--secret-file", str(self.folder / f"{place.name}.secrets"), "--no-cache-server"]
        argv += ["--env-file", str(own)]
        argv += [
            "--var-file",
            str(self.folder / f"{place.name}.vars"),
            "--action-cache-path",
            str(self.folder / "work"),
        ]
        argv += [part for key, value in given.items() for part in ("--env", f"{key}={value}")]
        argv += [part for key, value in (inputs or {}).items() for part in ("--input", f"{key}={value}")]
        home = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config"), "XDG_CACHE_HOME": ""}
        log = self.folder / f"{place.name}.log"
        with log.open("wb") as page:
            process = subprocess.Popen(
                argv, cwd=place, stdout=page, stderr=page, env={**person(), **home, **self.environment}
            )
        self.runs.append(Run(process=process, log=log))
        return self.runs[-1]

    @property
    def left(self) -> list[Path]:
        """What the jobs left in the folders where they worked."""
        work = self.folder / "work"
        return [path for path in work.rglob("*") if path.is_file()] if work.is_dir() else []

    def close(self) -> None:
        """End what still runs."""
        for run in self.runs:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()


def kept_in(folder: Path, secret: str) -> list[Path]:
    """Return the files below FOLDER that have SECRET in them."""
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
