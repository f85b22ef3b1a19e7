"""The local engine: the image and container of a vega server, and the volume with its manifest."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from selfdeploy import config, engine, errors, process, render, shipped, tree
from selfdeploy.engine import containers, volumes
from selfdeploy.engine.containers import Container
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer, Replica, Round
from selfdeploy.process import surroundings
from selfdeploy.vega import live, mounts, translate
from selfdeploy.vega.container import HOLDING, LABEL, Server, read, settings_of
from selfdeploy.vega.image import Image
from selfdeploy.vega.settings import Settings

READ_ONLY = 91
"""Exit code of the container filling the volume, if the first folder is not writable; 1 more per later folder."""

FILE = f"{mounts.MANIFEST}/sf-release-manifest.json"


@dataclass(frozen=True, kw_only=True)
class Engine(engine.Engine):
    """The engine of the caller's docker command; `name` is the server's container and Compose project."""

    project: config.Project

    def unreachable(self, why: str) -> errors.EngineUnreachable:
        """Return the error for an engine that does not answer, with the reason WHY."""
        return errors.EngineUnreachable(f"the Docker engine does not answer: {why}", "start it (./bootstrap does)")

    def refuse_elsewhere(self) -> None:
        """Raise `errors.EngineElsewhere` for a remote engine, and `EngineUnreachable` if none answers."""
        if self.is_remote:
            raise errors.EngineElsewhere(
                f"the engine is at {self.host}: it has none of this host's folders",
                "unset DOCKER_HOST, or choose the local context: docker context use default",
            )
        self.ping()

    @cached_property
    def compose(self) -> bool:
        """True if the docker command has the Compose plugin."""
        return not self.run("compose", "version", check=False).code

    def found(self) -> Server | None:
        """Return the server's container, or None.

        Raises:
            errors.ContainerForeign: a container has the server's name, but not its label.
        """
        there = self.container(self.name)
        return read(there, self.name) if there else None

    def container(self, name: str) -> Container | None:
        """Return the container NAME, or None."""
        data = self.inspect("container", name)
        return None if data is None else containers.check(data, self.name)

    def place(self, made: live.Manifest, image: str, settings: Settings) -> str:
        """Write the manifest MADE into a volume, from a container of IMAGE with SETTINGS' folders; return its name.

        Raises:
            errors.EngineElsewhere: the engine does not see this host's checkout.
            errors.MountRefused: the server's user cannot write to its workspace or its state folder.
            errors.CommandFailed: the container failed for another reason.
        """
        volume = f"{self.name}-{made.release.removeprefix('sha256:')[:24]}"
        self.run("volume", "create", "--label", f"{LABEL}={self.name}", volume)
        checkout = settings.source.path
        bound = [translate.mount("bind", str(checkout), "/opt/sf", read_only=True)]
        kept = ((settings.workspace, "/workspace"), (settings.state, f"{mounts.HOME}/.sf"))
        bound += [translate.mount("bind", folder.value, at, read_only=False) for folder, at in kept]
        argv = ["run", "--interactive", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"]
        argv += surroundings.inside()
        argv += ["--volume", f"{volume}:{mounts.MANIFEST}", *(word for told in bound for word in ("--mount", told))]
        argv += ["--entrypoint", "sh", image, "-c"]
        seen = '{ test -e "/opt/sf/$0" || test -L "/opt/sf/$0"; }'
        writes = "".join(f" && {{ test -w {at} || exit {READ_ONLY + n}; }}" for n, (_, at) in enumerate(kept))
        script = f"{seen}{writes} && cat >{FILE}.new && mv {FILE}.new {FILE} && cat {FILE}"
        known = min(path.name for path in checkout.iterdir())
        told = volumes.insist(lambda: self.run(*argv, script, known, stdin=made.bytes, check=False))
        if told.stdout != made.bytes:
            self.run("volume", "rm", volume, check=False)
            for n, (folder, _) in enumerate(kept):
                if told.code == READ_ONLY + n:
                    raise errors.MountRefused(
                        f"{folder.origin}: {folder.path}: user {settings.uid} cannot write there",
                        "chown it, or another",
                    )
            if "bind source path does not exist" in told.complaint or not told.complaint:
                raise errors.EngineElsewhere(f"the engine does not see {checkout}", "use this host's own engine")
            raise errors.CommandFailed(f"{volume}: the manifest was not written", told.complaint)
        return volume

    def manifest(self, server: Server) -> live.Manifest:
        """Return SERVER's manifest.

        Raises:
            errors.ManifestInvalid: its volume is missing, or holds no valid manifest.
        """
        volume = f"{self.name}-{server.release.removeprefix('sha256:')[:24]}"
        if self.inspect("volume", volume) is None:  # mounting it would create it
            raise errors.ManifestInvalid(f"{volume}: no such volume", "inv vega.up writes it anew")
        argv = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", *surroundings.inside()]
        argv += ["--entrypoint", "cat", "--volume", f"{volume}:{mounts.MANIFEST}:ro", server.image, FILE]
        return live.parse(volumes.insist(lambda: self.run(*argv)).stdout, volume)

    def render(
        self, settings: Settings, made: live.Manifest | None, image: Image, extra: Sequence[str] | None = None
    ) -> str:
        """Return the Compose file of a server with SETTINGS, MADE as its manifest, and IMAGE.

        EXTRA paths go into a label; by default those of deploy.toml.
        """
        answers = self.project.probes.extra if extra is None else extra
        release = made.release if made else ""
        revision = made.source.revision if made else ""
        labels = {
            LABEL: self.name,
            f"{LABEL}.settings": settings.model_dump_json(),
            f"{LABEL}.extra": json.dumps([*answers]),
            f"{render.LABEL}.release": release,
            "org.opencontainers.image.revision": revision,
        }
        values: dict[str, object] = {
            "name": self.name,
            "image": image.tag,
            "base": image.base,
            "context": str(shipped.find(self.project, "docker/Dockerfile.source-server").parent),
            "uid": settings.uid,
            "gid": settings.gid,
            "home": mounts.HOME,
            "manifest": mounts.MANIFEST,
            "volume": f"{self.name}-{release.removeprefix('sha256:')[:24]}",
            "bind": settings.bind.value,
            "port": settings.port.value,
            "labels": sorted(labels.items()),
            "mounts": mounts.mounts(settings),
            **settings.limits,
        }
        return render.vega(self.project, values)

    def start(self, rendered: str, project: str = "") -> None:
        """Start RENDERED with Compose, or with an equivalent `docker run` if the plugin is missing.

        PROJECT is the Compose project's name, by default the server's.

        Raises:
            errors.PortTaken: another process has its port.
            errors.CommandFailed: the engine did not start it; the message holds the end of its output.
        """
        if self.compose:
            with contextlib.suppress(OSError):  # for people; Compose does not read it
                tree.hide(self.project.work)
                tree.write_whole(self.project.work / "rendered" / "vega" / "compose.yml", rendered.encode())
            argv = ["up", "--detach", "--no-build", "--pull", "never", "--quiet-pull", "server"]
            told = self._compose(rendered, "--project-name", project or self.name, *argv, timeout=180)
            if told.code:
                raise self._not_started(told.complaint)
            return
        from python_on_whales.exceptions import DockerException  # noqa: PLC0415 -- start-up is a feature

        run = translate.run(rendered)
        try:
            self.client(180).run(run.image, run.command, detach=True, pull="never", **run.options)
        except DockerException as exc:
            raise self._not_started("\n".join((exc.stderr or "").strip().splitlines()[-12:])) from exc

    def _compose(self, rendered: str, *argv: str, timeout: float = 60) -> process.Outcome:
        prefix = ("compose", "--project-directory", str(self.project.root), "--env-file", "/dev/null", "--file", "-")
        return self.run(*prefix, *argv, timeout=timeout, stdin=rendered.encode(), check=False)

    def _not_started(self, said: str) -> errors.SelfdeployError:
        if "port is already allocated" in said or "address already in use" in said:
            return errors.PortTaken(f"{self.name}: {said.splitlines()[-1]}", "free it, or name another: --port")
        return errors.CommandFailed(f"{self.name}: the engine did not start it: {said}", "inv vega.status")

    def check(self, rendered: str) -> None:
        """Raise `errors.ConfigInvalid` unless `start` can start RENDERED."""
        translate.build(rendered)
        if not self.compose:
            translate.run(rendered)
            return
        told = self._compose(rendered, "config", "--quiet")
        if told.code:
            raise errors.ConfigInvalid(f"{translate.FLAVOUR}: {told.complaint}", "fix it and run the command again")

    def stop(self) -> None:
        """Stop the server, if there is one, and wait for its end.

        Raises:
            errors.CommandFailed: it still runs.
        """
        told = self.run("container", "stop", self.name, timeout=120, check=False)
        server = self.found()
        if server and server.state in HOLDING:
            raise errors.CommandFailed(f"{self.name}: did not stop: it is {server.state}", told.complaint)

    def left(self) -> list[str]:
        """Return the names of the server's remaining containers and volumes."""
        same = ("--filter", f"label={LABEL}={self.name}", "--format")
        containers = self.run("container", "ls", "--all", *same, "{{.Names}}").text.split()
        return containers + self.run("volume", "ls", *same, "{{.Name}}").text.split()

    def neighbours(self, checkout: Path) -> list[str]:
        """Return the names of other running servers with CHECKOUT as their source."""
        listed = self.run("container", "ls", "--quiet", "--filter", f"label={LABEL}").text.split()
        found = containers.parse(self.run("container", "inspect", *listed).stdout, self.name) if listed else ()
        mount = ("/opt/sf", str(checkout))
        seen = [one for one in found if mount in {(m.destination, m.source) for m in one.mounts or ()}]
        return sorted({one.name.removeprefix("/") for one in seen} - {self.name})

    def remove(self) -> None:
        """Remove the server's container, if there is one."""
        self.run("container", "rm", "--force", "--volumes", self.name, check=False)

    def remember(self, settings: Settings) -> None:
        """Keep SETTINGS on the engine while no container has them; `forget_manifests` deletes them."""
        volume = f"{self.name}-settings"
        self.run("volume", "rm", volume, check=False)  # creating it again would keep the old labels
        label = f"{LABEL}.settings={settings.model_dump_json()}"
        self.run("volume", "create", "--label", f"{LABEL}={self.name}", "--label", label, volume)

    def remembered(self) -> Settings | None:
        """Return the settings saved by a killed command, or None."""
        data = self.inspect("volume", f"{self.name}-settings") or {}
        return settings_of(data.get("Labels") or {})

    def forget_manifests(self, *, settings: bool = True) -> None:
        """Remove unused manifest volumes, and the saved settings unless SETTINGS is false."""
        listed = self.run("volume", "ls", "--quiet", "--filter", f"label={LABEL}={self.name}").text
        kept = set() if settings else {f"{self.name}-settings"}
        for volume in set(listed.split()) - kept:
            self.run("volume", "rm", volume, check=False)

    def logs(self, lines: int) -> str:
        """Return the last LINES lines of the server's log."""
        told = self.run("container", "logs", "--tail", str(lines), self.name, check=False)
        return (told.stdout + told.stderr).decode(errors="replace").rstrip()

    def ask(self, made: live.Manifest, url: str) -> Round:
        """Run one round of probes, from inside the server and at URL."""
        settings = self.project.probes
        before = self._replicas()
        answers: dict[str, dict[str, Answer]] = {}
        for replica in before:
            answers[replica.name] = self.ask_inside(made)
            answers[url] = probe.get_all(url, made.probes, settings.timeout)
        return Round(before=before, after=self._replicas(), answers=answers)

    def ask_inside(self, made: live.Manifest) -> dict[str, Answer]:
        """Return the answers from inside the server, by name: MADE's probes and the extra paths of deploy.toml."""
        settings = self.project.probes
        argv = ["exec", *surroundings.inside(), self.name, "node", "-e"]
        argv += [probe.SCRIPT, probe.question(made, settings)]
        try:
            told = self.run(*argv, timeout=settings.timeout * 3 + 2, check=False).stdout
        except errors.CommandTimedOut:
            return {}
        return probe.read_answers(told[: 4 * probe.LIMIT])

    def _replicas(self) -> tuple[Replica, ...]:
        server = self.found()
        if server is None:
            return ()
        digests = frozenset({server.image})
        return (Replica(name=self.name, instance=server.hostname, digests=digests, state=server.state, why=server.why),)
