"""An environment on a Docker engine, run by Compose: one replica, replaced by each release."""

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import python_on_whales
from python_on_whales.exceptions import DockerException, NoSuchContainer

from selfdeploy import config, errors, probe, process, render, tree
from selfdeploy.environments import record
from selfdeploy.manifest import Manifest

PATIENCE = 30
"""Seconds without a heartbeat after which a lock frees itself."""

HOLD = f"""
let t; const beat = () => {{ clearTimeout(t); t = setTimeout(() => process.exit(0), {PATIENCE * 1000}); }};
beat(); process.stdin.on("data", beat).on("end", () => process.exit(0)); process.stdout.write("held\\n");
"""

WRITE = """
const fs = require("fs"); const [path] = process.argv.slice(1); const data = fs.readFileSync(0);
const fd = fs.openSync(path + ".new", "w", 0o644); fs.writeSync(fd, data); fs.fsyncSync(fd); fs.closeSync(fd);
fs.renameSync(path + ".new", path); process.stdout.write(fs.readFileSync(path));
"""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The environment, held by this process until it lets go or dies."""

    container: str
    holder: process.Child

    def check(self) -> None:
        """Raise `errors.LockLost` when it is no longer held."""
        if self.holder.poll() is not None:
            raise errors.LockLost(f"{self.container}: the lock went away", "run the command again")


@dataclass(frozen=True)
class Compose:
    """One environment of kind `compose`."""

    project: config.Project
    name: str

    @property
    def settings(self) -> config.Environment:
        """What deploy.toml says of it."""
        return self.project.environment(self.name)

    @property
    def compose_project(self) -> str:
        """The Compose project's name."""
        return self.project.compose_project(self.name)

    @cached_property
    def host(self) -> str:
        """The engine's address; empty for the one the caller's docker command uses."""
        return self.settings.engine or os.environ.get("DOCKER_HOST", "")

    def _argv(self, *argv: str) -> list[str]:
        return ["docker", *(["--host", self.host] if self.host else []), *argv]

    def _docker(
        self, *argv: str, timeout: float = 60, stdin: bytes | None = None, check: bool = True
    ) -> process.Outcome:
        try:
            return process.run(self._argv(*argv), timeout=timeout, stdin=stdin, check=check)
        except (errors.CommandFailed, errors.CommandTimedOut) as exc:
            if "Cannot connect" in exc.hint or "error during connect" in exc.hint:
                raise self._unreachable(exc.hint) from exc
            raise

    def _unreachable(self, why: str) -> errors.EngineUnreachable:
        return errors.EngineUnreachable(
            f"{self.name}: the Docker engine {self.host or 'of this machine'} does not answer: {why}",
            "start it, or name another: environments.*.engine in deploy.toml",
        )

    def _client(self, seconds: float, file: Path | None = None) -> python_on_whales.DockerClient:
        return python_on_whales.DockerClient(
            client_call=[*process.guard(seconds), "docker"],
            host=self.host or None,
            compose_project_name=self.compose_project,
            compose_files=[file] if file else [],
        )

    def ping(self) -> None:
        """Raise `errors.EngineUnreachable` when the engine does not answer."""
        if self._docker("version", "--format", "{{.Server.Version}}", timeout=20, check=False).code:
            raise self._unreachable("docker version failed")

    def containers(self) -> list[python_on_whales.Container]:
        """Return the environment's containers, running or not."""
        filters: list[tuple[Literal["label"], str]] = [
            ("label", f"com.docker.compose.project={self.compose_project}"),
            ("label", "com.docker.compose.service=server"),
        ]
        try:
            return self._client(30).container.list(all=True, filters=filters)
        except DockerException as exc:
            raise self._unreachable(str(exc.stderr)) from exc

    def replicas(self) -> tuple[probe.Replica, ...]:
        """Return what the engine runs here, each with every digest the engine knows its image by."""
        found = []
        for container in self.containers():
            try:
                image = container.image
                inspected = self._client(30).image.inspect(image)
                digests = {inspected.id, *(d.rpartition("@")[2] for d in inspected.repo_digests)}
                state, hostname = container.state.status or "unknown", container.config.hostname or ""
            except (DockerException, NoSuchContainer):
                continue
            found.append(
                probe.Replica(
                    name=container.name,
                    instance=hostname,
                    digests=frozenset(str(d) for d in digests),
                    state=state,
                )
            )
        return tuple(found)

    def desired(self) -> str:
        """Return the release that the running container was made for; empty when there is none."""
        for container in self.containers():
            return (container.config.labels or {}).get(f"{render.LABEL}.release", "")
        return ""

    def ask(self, manifest: Manifest) -> probe.Round:
        """Ask every replica from inside, and the public way, once."""
        settings = self.project.probes
        before = self.replicas()
        answers: dict[str, Mapping[str, probe.Answer]] = {}
        given = json.dumps([4000, settings.timeout * 1000, dict(manifest.probes)])
        for replica in before:
            argv = ["exec", replica.name, "node", "--input-type=module", "-e", probe.SCRIPT, given]
            with contextlib.suppress(errors.CommandTimedOut):
                told = self._docker(*argv, timeout=settings.timeout * 3 + 2, check=False).stdout
                answers[replica.name] = probe.read_answers(told[: 4 * probe.LIMIT])
            answers.setdefault(replica.name, {})
        if before:
            answers[self.url] = {n: probe.get(self.url + p, settings.timeout) for n, p in manifest.probes.items()}
        return probe.Round(before=before, after=self.replicas(), answers=answers)

    @property
    def url(self) -> str:
        """The public way to it."""
        host = f"[{self.settings.bind}]" if ":" in self.settings.bind else self.settings.bind
        return self.settings.url.rstrip("/") or f"http://{host}:{self.settings.port}"

    def pull(self, image: str) -> None:
        """Have the engine hold IMAGE, by digest; from the registry unless it is there."""
        if self._docker("image", "inspect", image, check=False).code:
            self._docker("pull", "--quiet", image, timeout=600)

    @contextlib.contextmanager
    def lock(self, image: str, who: str, run: str) -> Iterator[Lock]:
        """Hold the environment; IMAGE is one the engine has, WHO and RUN are what others are told.

        The lock is a container whose name is unique and whose stdin this process holds: it is gone a moment after
        its holder is, or when no heartbeat came for `PATIENCE` seconds.

        Raises:
            errors.LockHeld: somebody else holds it.
        """
        name = f"{self.compose_project}-lock"
        token = secrets.token_hex(8)
        argv = ["run", "--interactive", "--rm", "--name", name, "--network", "none", "--read-only"]
        argv += ["--user", "0:0", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        argv += ["--label", f"{render.LABEL}.who={who}", "--label", f"{render.LABEL}.run={run}"]
        argv += ["--label", f"{render.LABEL}.token={token}", "--volume", f"{self.compose_project}-record:/record"]
        argv += ["--entrypoint", "node", image, "-e", HOLD]
        self._docker("volume", "create", "--label", f"{render.LABEL}.image={image}", f"{self.compose_project}-record")
        holder = self._take(name, argv)
        stop = threading.Event()
        beat = threading.Thread(target=_beat, args=(holder, stop), daemon=True)
        beat.start()
        try:
            yield Lock(container=name, holder=holder)
        finally:
            stop.set()
            beat.join()
            if holder.stdin:
                with contextlib.suppress(OSError):
                    holder.stdin.close()
            process.end(holder, patience=10)

    def _take(self, name: str, argv: list[str]) -> process.Child:
        ends = time.monotonic() + 10
        while True:
            holder = process.start(self._argv(*argv), timeout=86_400, stdin=process.PIPE)
            if holder.stdout and holder.stdout.readline() == b"held\n":
                return holder
            said = holder.communicate()[1].decode(errors="replace").strip()
            if "is already in use" not in said and "is being removed" not in said:
                raise errors.EngineUnreachable(f"{self.name}: no lock could be made: {said[-500:]}", "inv status")
            found = self._docker("inspect", name, check=False)
            other = (json.loads(found.stdout or b"[]") or [{}])[0]
            if other.get("State", {}).get("Status") in ("created", "exited", "dead") and time.monotonic() > ends - 5:
                self._docker("rm", "--force", name, check=False)
            if time.monotonic() > ends or other.get("State", {}).get("Status") == "running":
                labels = other.get("Config", {}).get("Labels", {})
                held = f"{labels.get(f'{render.LABEL}.who', 'somebody')} since {other.get('Created', '?')[:19]}Z"
                raise errors.LockHeld(
                    f"{self.name}: held by {held} {labels.get(f'{render.LABEL}.run', '')}".rstrip(),
                    "wait until it is done; the lock frees itself when its holder ends",
                )
            time.sleep(0.2)

    def read(self, lock: Lock | None = None) -> record.Record:
        """Return the environment's record; through LOCK where it is held."""
        if lock:
            told = self._docker("exec", lock.container, "cat", "/record/record.json", check=False)
        else:
            volume = f"{self.compose_project}-record"
            found = self._docker("volume", "inspect", volume, check=False)
            if found.code:
                return record.Record()
            image = json.loads(found.stdout)[0]["Labels"][f"{render.LABEL}.image"]
            argv = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--pull", "missing"]
            argv += ["--volume", f"{volume}:/record:ro", "--entrypoint", "cat", image, "/record/record.json"]
            told = self._docker(*argv, check=False)
        if told.code and b"No such file" not in told.stderr:
            raise errors.RecordInvalid(f"{self.name}: the record cannot be read: {told.complaint}", "inv status")
        return record.parse(told.stdout if not told.code else b"", f"{self.name}: record")

    def write(self, lock: Lock, value: record.Record) -> None:
        """Make VALUE the environment's record; a reader sees it whole or not at all."""
        lock.check()
        data = value.model_dump_json().encode()
        self._docker("exec", "--interactive", lock.container, "node", "-e", WRITE, "/record/record.json", stdin=data)

    def _place_manifest(self, manifest: Manifest) -> None:
        volume = render.manifest_volume(manifest)
        self._docker("volume", "create", "--label", f"{render.LABEL}.release={manifest.release}", volume)
        argv = ["run", "--interactive", "--rm", "--network", "none", "--read-only", "--user", "0:0"]
        argv += ["--cap-drop", "ALL", "--volume", f"{volume}:/m", "--entrypoint", "node", manifest.image.reference]
        told = self._docker(*argv, "-e", WRITE, "/m/sf-release-manifest.json", stdin=manifest.bytes)
        if told.stdout != manifest.bytes:
            raise errors.ManifestInvalid(f"{self.name}: {volume}: not the bytes that were written", "inv rollout")

    def secrets(self) -> dict[str, str]:
        """Return the secrets by name; read now, from the files or the environment that deploy.toml names."""
        values = {}
        for name, secret in self.settings.secrets.items():
            try:
                found = os.environ[secret.env] if secret.env else Path(secret.file or "").read_text().rstrip("\n")
            except (KeyError, OSError) as exc:
                where = secret.env or secret.file
                raise errors.ConfigInvalid(
                    f"deploy.toml: environments.{self.name}.secrets.{name}: {where} is not there", f"provide {where}"
                ) from exc
            values[name] = found
        return values

    def apply(self, lock: Lock, manifest: Manifest, rendered: str) -> None:
        """Have Compose run RENDERED, the release of MANIFEST."""
        values = self.secrets()
        self._place_manifest(manifest)
        file = self.project.work / "rendered" / self.name / "compose.yml"
        tree.write_whole(file, rendered.encode())
        lock.check()
        argv = self._argv("compose", "--project-name", self.compose_project, "--file", str(file), "up", "--detach")
        env = {**os.environ, **values}
        outcome = process.run(
            [*argv, "--no-build", "--pull", "never", "--remove-orphans", "server"], timeout=180, env=env, check=False
        )
        if outcome.code:
            if "port is already allocated" in outcome.complaint or "address already in use" in outcome.complaint:
                raise errors.PortTaken(f"{self.name}: port {self.settings.port} is taken", "free it or name another")
            raise errors.CommandFailed(f"{self.name}: docker compose up: exit code {outcome.code}", outcome.complaint)

    def logs(self, lines: int = 60) -> str:
        """Return the last LINES lines that the replicas wrote."""
        told = []
        for container in self.containers():
            outcome = self._docker("logs", "--tail", str(lines), container.name, check=False)
            told.append((outcome.stdout + outcome.stderr).decode(errors="replace"))
        return "\n".join(told)

    def down(self) -> None:
        """Stop and remove the replica and its network; volumes and the record stay."""
        self._client(120).compose.down(remove_orphans=True, quiet=True)


def _beat(holder: process.Child, stop: threading.Event) -> None:
    while not stop.wait(PATIENCE / 6) and holder.stdin:
        try:
            holder.stdin.write(b"\n")
            holder.stdin.flush()
        except OSError:
            return
