"""The local engine: the image, the one container of a vega server, and the volume with its manifest."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from selfdeploy import config, errors, probe, process, render, shipped, surroundings, tree
from selfdeploy.environments import containers, engine, volumes
from selfdeploy.environments.containers import Container
from selfdeploy.vega import live, mounts, translate
from selfdeploy.vega.container import HOLDING, LABEL, Server, read, settings_of
from selfdeploy.vega.image import Image
from selfdeploy.vega.settings import Settings
from selfdeploy.witness import Answer, Replica, Round

READ_ONLY = 91
"""The first exit code of the container that fills the volume when a folder cannot be written."""

FILE = f"{mounts.MANIFEST}/sf-release-manifest.json"


@dataclass(frozen=True, kw_only=True)
class Engine(engine.Engine):
    """The engine that the caller's docker command talks to; `name` is the server's container and Compose project."""

    project: config.Project

    def unreachable(self, why: str) -> errors.EngineUnreachable:
        """Return the error that says that the engine does not answer, and WHY."""
        return errors.EngineUnreachable(f"the Docker engine does not answer: {why}", "start it (./bootstrap does)")

    def refuse_elsewhere(self) -> None:
        """Raise `errors.EngineElsewhere` when the engine is not this host's, and `EngineUnreachable` without one."""
        if self.is_remote:
            raise errors.EngineElsewhere(
                f"the engine is at {self.host}: it has none of this host's folders",
                "unset DOCKER_HOST, or choose the local context: docker context use default",
            )
        self.ping()

    @cached_property
    def compose(self) -> bool:
        """Whether the docker command has the Compose plugin."""
        return not self.run("compose", "version", check=False).code

    def found(self) -> Server | None:
        """Return the server's container; None when there is none.

        Raises:
            errors.ContainerForeign: a container has its name and is none of ours.
        """
        there = self.container(self.name)
        return read(there, self.name) if there else None

    def container(self, name: str) -> Container | None:
        """Return the container NAME; None when there is none."""
        data = self.inspect("container", name)
        return None if data is None else containers.check(data, self.name)

    def place(self, made: live.Manifest, image: str, settings: Settings) -> str:
        """Return the volume that holds the manifest MADE, filled by a container of IMAGE that sees SETTINGS' folders.

        Raises:
            errors.EngineElsewhere: the engine does not see the checkout that this host has.
            errors.MountRefused: the server's person cannot write its workspace, or its state.
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
        """Return the manifest that SERVER was started with.

        Raises:
            errors.ManifestInvalid: it is gone, or is none.
        """
        volume = f"{self.name}-{server.release.removeprefix('sha256:')[:24]}"
        if self.inspect("volume", volume) is None:  # to mount it would make it
            raise errors.ManifestInvalid(f"{volume}: no such volume", "inv vega.up writes it anew")
        argv = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", *surroundings.inside()]
        argv += ["--entrypoint", "cat", "--volume", f"{volume}:{mounts.MANIFEST}:ro", server.image, FILE]
        return live.parse(volumes.insist(lambda: self.run(*argv)).stdout, volume)

    def render(
        self, settings: Settings, made: live.Manifest | None, image: Image, extra: Sequence[str] | None = None
    ) -> str:
        """Return the Compose file of a server with SETTINGS that runs MADE on IMAGE and answers EXTRA paths."""
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
        """Start RENDERED: with Compose where the plugin is there, with the `docker run` it describes elsewhere.

        PROJECT is Compose's name for it, where that is not the server's.

        Raises:
            errors.PortTaken: its port is held by something else.
            errors.CommandFailed: the engine would not; the end of what it said is the hint.
        """
        if self.compose:
            with contextlib.suppress(OSError):  # for people to read; Compose does not
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
        """Raise `errors.ConfigInvalid` when RENDERED is nothing that `start` could start."""
        translate.build(rendered)
        if not self.compose:
            translate.run(rendered)
            return
        told = self._compose(rendered, "config", "--quiet")
        if told.code:
            raise errors.ConfigInvalid(f"{translate.FLAVOUR}: {told.complaint}", "mend it, then again")

    def stop(self) -> None:
        """Ask the server to end, and wait until it has; nothing when there is none.

        Raises:
            errors.CommandFailed: it goes on.
        """
        told = self.run("container", "stop", self.name, timeout=120, check=False)
        server = self.found()
        if server and server.state in HOLDING:
            raise errors.CommandFailed(f"{self.name}: did not stop: it is {server.state}", told.complaint)

    def left(self) -> list[str]:
        """Return the names of what the engine still has of the server."""
        same = ("--filter", f"label={LABEL}={self.name}", "--format")
        containers = self.run("container", "ls", "--all", *same, "{{.Names}}").text.split()
        return containers + self.run("volume", "ls", *same, "{{.Name}}").text.split()

    def neighbours(self, checkout: Path) -> list[str]:
        """Return the names of other servers that run from CHECKOUT."""
        listed = self.run("container", "ls", "--quiet", "--filter", f"label={LABEL}").text.split()
        found = containers.parse(self.run("container", "inspect", *listed).stdout, self.name) if listed else ()
        mount = ("/opt/sf", str(checkout))
        seen = [one for one in found if mount in {(m.destination, m.source) for m in one.mounts or ()}]
        return sorted({one.name.removeprefix("/") for one in seen} - {self.name})

    def remove(self) -> None:
        """Remove the server's container; nothing when there is none."""
        self.run("container", "rm", "--force", "--volumes", self.name, check=False)

    def remember(self, settings: Settings) -> None:
        """Keep SETTINGS on the engine, for as long as no container has them; `forget_manifests` forgets them."""
        volume = f"{self.name}-settings"
        self.run("volume", "rm", volume, check=False)  # to create it again would leave the labels as they are
        label = f"{LABEL}.settings={settings.model_dump_json()}"
        self.run("volume", "create", "--label", f"{LABEL}={self.name}", "--label", label, volume)

    def remembered(self) -> Settings | None:
        """Return the settings that a command which was killed has left; None when there are none."""
        data = self.inspect("volume", f"{self.name}-settings") or {}
        return settings_of(data.get("Labels") or {})

    def forget_manifests(self, *, settings: bool = True) -> None:
        """Remove the volumes of manifests that no container uses, and the SETTINGS kept aside."""
        listed = self.run("volume", "ls", "--quiet", "--filter", f"label={LABEL}={self.name}").text
        kept = set() if settings else {f"{self.name}-settings"}
        for volume in set(listed.split()) - kept:
            self.run("volume", "rm", volume, check=False)

    def logs(self, lines: int) -> str:
        """Return the last LINES lines that the server wrote."""
        told = self.run("container", "logs", "--tail", str(lines), self.name, check=False)
        return (told.stdout + told.stderr).decode(errors="replace").rstrip()

    def ask(self, made: live.Manifest, url: str) -> Round:
        """Ask the server from inside, and at URL, once."""
        settings = self.project.probes
        before = self._replicas()
        answers: dict[str, dict[str, Answer]] = {}
        for replica in before:
            answers[replica.name] = self.ask_inside(made)
            answers[url] = probe.get_all(url, made.probes, settings.timeout)
        return Round(before=before, after=self._replicas(), answers=answers)

    def ask_inside(self, made: live.Manifest) -> dict[str, Answer]:
        """Return what the server answers from inside, by name: MADE's probes and those that deploy.toml adds."""
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
