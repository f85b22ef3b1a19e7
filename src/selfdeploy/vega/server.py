"""The shared server: start or replace it, prove it, restore the previous one, report on it."""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from selfdeploy import config, errors, process, tree
from selfdeploy.config import deploy_toml
from selfdeploy.console import Console
from selfdeploy.engine import connect
from selfdeploy.environments import fitness
from selfdeploy.vega import aside, bind, dist, image, live, lock, mounts, replacement, report, settings
from selfdeploy.vega.container import HOLDING, Server
from selfdeploy.vega.engine import Engine
from selfdeploy.vega.gap import Gap
from selfdeploy.vega.swap import Swap, recover

ENDED = ("created", "exited", "dead")
"""Container states without a running process."""


@dataclass(frozen=True)
class Vega:
    """The vega server of one project."""

    project: config.Project
    console: Console

    @cached_property
    def engine(self) -> Engine:
        """This host's engine, on which it runs."""
        name = self.project.vega.name
        found = connect(name, "")
        engine = Engine(name=name, project=self.project, host=found.host, context=found.context)
        engine.refuse_elsewhere()
        return engine

    def up(
        self, flags: settings.Flags, *, build: bool = False, environment: Mapping[str, str] = os.environ
    ) -> report.Told:
        """Start the server, or replace the running one, and return a summary.

        Raises:
            errors.BuildStale: dist/ is not a build of the checkout's files, and BUILD is not set.
            errors.MountRefused, errors.BindRefused, errors.EngineElsewhere, errors.PortTaken, errors.LockHeld: a check
                failed before any change.
            errors.PutBack, errors.PutBackUnproven, errors.WentDown: the new server did not start, or did not prove
                itself.
        """
        chosen = settings.choose(self.project, flags, environment, settings.person(environment))
        chosen = self.checked(chosen)
        moves = self._agree(chosen)
        with lock.hold(self.engine.name), lock.hold_folder(chosen.source.path):
            return report.moved(self._replace(chosen, build=build), moves)

    def _agree(self, chosen: settings.Settings) -> list[str]:
        """Return a line for each unrequested change of a setting by CHOSEN, with the person's consent.

        Raises:
            errors.Declined: the person at the terminal declined.
        """
        before = self.engine.found()
        lines = settings.moves(before.settings, chosen) if before and before.settings else []
        for line in lines:
            self.console.note(line)
        if lines and not self.console.agrees("replace the server so?"):
            raise errors.Declined(f"{self.engine.name}: left as it is", "inv vega.restart keeps its settings")
        return lines

    def restart(self, *, build: bool = False) -> report.Told:
        """Replace the server with the current checkout's build, keeping the settings of `present`."""
        with lock.hold(self.engine.name):
            chosen = self.present()
            with lock.hold_folder(chosen.source.path):
                return self._replace(chosen, build=build)

    def present(self) -> settings.Settings:
        """Return the server's settings, with limits and access control from the current deploy.toml.

        If a killed command removed the server, use the settings saved by that command.

        Raises:
            errors.NotRunning: there is no server, and no saved settings.
        """
        left = None if self.engine.found() else self.engine.remembered()
        chosen = left or self.running()[1]
        now = {name: getattr(self.project.vega, name) for name in ("access_control", "memory", "cpus")}
        return self.checked(chosen.model_copy(update=now))

    def status(self) -> report.Told:
        """Report the server: its build, the origin of each setting, and its answers."""
        return report.status(self.project, self.engine)

    def running(self) -> tuple[Server, settings.Settings]:
        """Return the server's container and its settings.

        Raises:
            errors.NotRunning: there is no server, or another version started it.
        """
        found = self.engine.found()
        if found is None:
            raise errors.NotRunning(f"{self.engine.name}: there is no such server", "inv vega.up starts one")
        if found.settings is None:
            raise errors.NotRunning(f"{self.engine.name}: another version started it", "inv vega.up replaces it")
        return found, found.settings

    def down(self) -> bool:
        """Stop and remove the server and its manifests; return whether there was one.

        The workspaces and ~/.sf stay.

        Raises:
            errors.CommandFailed: a container or volume of it remains.
        """
        with lock.hold(self.engine.name):
            found = self.engine.found() is not None
            if found:
                with contextlib.suppress(errors.CommandFailed, errors.CommandTimedOut):
                    self.engine.stop()
                self.engine.remove()
            aside.drop(self.engine)
            self.engine.forget_manifests()
            left = self.engine.left()
        if left:
            raise errors.CommandFailed(f"{self.engine.name}: still there: {', '.join(left)}", "inv vega.down again")
        return found

    def follow_logs(self, lines: int, *, follow: bool) -> None:
        """Replace this process with `docker logs` of the server."""
        more = ["--follow"] if follow else []
        process.become(self.engine.argv("logs", "--tail", str(lines), *more, self.running()[0].container))

    def shell(self) -> None:
        """Replace this process with a shell in the server's workspace."""
        process.become(self.engine.argv(*self.shell_command()))

    def shell_command(self) -> list[str]:
        """Return docker's arguments for a shell in the server's workspace.

        Raises:
            errors.NotRunning: there is no server, or it does not run.
        """
        server, _ = self.running()
        if server.state != "running":
            hint = "inv vega.logs shows what it said last; inv vega.restart starts it"
            raise errors.NotRunning(f"{self.engine.name}: it is {server.state}", hint)
        terminal = ["--tty"] if sys.stdin.isatty() else []
        script = "command -v bash >/dev/null && exec bash; exec sh"
        return ["exec", "--interactive", *terminal, server.container, "sh", "-c", script]

    def probe(self) -> report.Told:
        """Prove that the server runs its current checkout, and return a summary.

        Raises:
            errors.NotProven: it runs another build, or the checkout has changed since.
        """
        server, chosen = self.running()
        self._refuse_unreachable(server, chosen)
        made = self.checkout(chosen)
        why, built = live.why_stale(made), live.read_stamp(made.revision.checkout)
        if why or built is None:
            raise errors.NotProven(f"vega: does not run the checkout as it is: {why}", "inv vega.restart --build")
        found = image.identify(self.engine, image.choose(self.project, chosen).tag)
        if not found:
            raise errors.NotProven("vega: the image it should run is not there", "inv vega.restart")
        wanted = live.describe(made, built, self.engine.name, found)
        with self.console.stage(self.engine.name):
            replacement.prove(self.engine, chosen.url, wanted, self.project.probes.extra)
        return report.summary(chosen, wanted)

    def checkout(self, chosen: settings.Settings) -> live.Live:
        """Return the current checkout of CHOSEN."""
        source = self.project.source
        return live.read(chosen.source.path, source.repository, submodules=source.submodules)

    def _refuse_unreachable(self, server: Server, chosen: settings.Settings) -> None:
        """Raise `errors.NotProven` if SERVER cannot answer, so that waiting is pointless."""
        if server.state in ENDED:
            raise errors.NotProven(f"vega: it is {server.state} since {server.since}", "inv vega.restart")
        try:
            bind.check(bind.parse(chosen.bind.value), chosen.access_control)
        except errors.BindRefused as exc:
            raise errors.NotProven(f"vega: nobody reaches it: {exc.message}", exc.hint) from exc

    def checked(self, chosen: settings.Settings) -> settings.Settings:
        """Check CHOSEN's folders, address and CPUs, and return it with a normalized address.

        Raises:
            errors.MountRefused: a folder is missing, was replaced by a link, or would hide another mount.
            errors.BindRefused: the address is not this host's, or is public without access control.
            errors.ConfigInvalid: the engine has fewer CPUs.
        """
        settings.verify(chosen)
        mounts.mounts(chosen)
        address = bind.parse(chosen.bind.value)
        bind.check(address, chosen.access_control)
        fitness.refuse_few_cpus(self.engine, chosen.cpus, "vega.cpus")
        return chosen.model_copy(update={"bind": chosen.bind.model_copy(update={"value": str(address)})})

    def _replace(self, chosen: settings.Settings, *, build: bool) -> report.Told:
        aside.recover(self.engine)
        before = self.engine.found()
        left = None if before else self.engine.remembered()
        refuse_taken_port(chosen, before)
        recover(chosen.source.path)
        tree.hide(self.project.work)
        swap: Swap | None = None
        if build:
            self._refuse_neighbours(chosen)
            with self.console.stage("build"):
                swap, made, built = dist.build(self.project, chosen.source.path, self.console.note)
        else:
            made = self.checkout(chosen)
            built = live.require_current(made)
        with self.console.stage("image"):
            tag = image.choose(self.project, chosen, self.console.note)
            first = self.engine.render(chosen, None, tag)
            self.engine.check(first)
            found = image.build(self.engine, first, self.project.image.timeout, self.console.note)
        made_of = live.describe(made, built, self.engine.name, found)
        wanted = replacement.Wanted(
            settings=chosen,
            manifest=made_of,
            rendered=self.engine.render(chosen, made_of, tag),
            extra=self.project.probes.extra,
        )
        keep_state(chosen)
        self.engine.place(made_of, tag.tag, chosen)
        old = self._as_it_was(before) if before else None
        with (
            self.console.stage(self.engine.name),
            Gap(*((before.url,) if before and before.url else ()), chosen.url) as gap,
        ):
            self.console.note("by Compose" if self.engine.compose else "by docker run")
            replacement.Replacement(engine=self.engine, old=old, new=wanted, swap=swap, left=left).make()
        self.engine.forget_manifests()
        return report.summary(chosen, made_of, gap.seconds if before else None)

    def _refuse_neighbours(self, chosen: settings.Settings) -> None:
        others = self.engine.neighbours(chosen.source.path)
        if others:
            raise errors.LockHeld(
                f"{chosen.source.path}: {', '.join(others)} runs from it, and a build would change it under way",
                "take that down, or give this one a checkout of its own: git worktree add",
            )

    def _as_it_was(self, before: Server) -> replacement.Wanted | replacement.Kept:
        """Return the means to restore BEFORE: settings and manifest, or its container if they are unreadable."""
        try:
            known = self.engine.manifest(before)
        except (errors.CommandFailed, errors.ManifestInvalid):
            return replacement.Kept(url=before.url, manifest=None)
        if before.settings is None:
            return replacement.Kept(url=before.url, manifest=known, extra=before.extra)
        rendered = self.engine.render(before.settings, known, image.Image(tag=before.tag, base=""), before.extra)
        return replacement.Wanted(settings=before.settings, manifest=known, rendered=rendered, extra=before.extra)


def keep_state(chosen: settings.Settings) -> None:
    """Create the host folder of the server's ~/.sf if it is missing, private to its user."""
    if not chosen.state.path.exists():
        chosen.state.path.mkdir(parents=True, mode=0o700)
        os.chown(chosen.state.path, chosen.uid, chosen.gid)


def refuse_taken_port(chosen: settings.Settings, before: Server | None) -> None:
    """Raise `errors.PortTaken` if a process other than BEFORE has the server's port."""
    port = int(chosen.port.value)
    if before and before.state in HOLDING and before.port == chosen.port.value:
        everywhere = {"0.0.0.0", "::"}  # noqa: S104 -- compared, not bound
        if before.address == chosen.bind.value or everywhere & {before.address, chosen.bind.value}:
            return
    if why := fitness.why_taken(chosen.bind.value, port):
        raise errors.PortTaken(
            f"{chosen.bind.value}:{port} ({chosen.port.origin}): {why}", "free it, or name another: --port"
        )


def load(console: Console, source: str = "") -> Vega:
    """Return the vega server of the current folder's project; SOURCE overrides its checkout."""
    return Vega(deploy_toml.load(source=source or None), console)
