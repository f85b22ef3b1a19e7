"""One server in the place of another: proven, or what ran before is put back, whatever comes between."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from selfdeploy import errors, probe, tree
from selfdeploy.vega import dist, live, report, settings
from selfdeploy.vega.engine import Engine

LINES = 40
"""How many lines of a server's log are shown when it did not come up."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A server as it can be started: its settings, what it runs, and the Compose file that says so."""

    settings: settings.Settings
    manifest: live.Manifest
    rendered: str


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """NEW in the place of OLD (None when what it takes to start it is lost), with what SWAP has ready."""

    engine: Engine
    old: Wanted | None
    new: Wanted
    swap: dist.Swap | None

    def make(self) -> None:
        """Replace the server. The one that ran has ended before a file under it is changed.

        Raises:
            errors.PutBack, errors.PutBackUnproven, errors.WentDown: the new one did not prove itself.
            KeyboardInterrupt: somebody interrupted this; what ran before was put back all the same.
        """
        swapped = False
        settings.verify(self.new.settings)
        self.engine.remember(self.new.settings)
        try:
            self.engine.stop()
            if self.swap:
                swapped = True
                self.swap.apply()
            self.engine.remove()
            self._start_new()
            prove(self.engine, self.new.settings, self.new.manifest)
        except (errors.SelfdeployError, OSError, KeyboardInterrupt) as exc:
            with uninterrupted():
                ending = self._put_back(exc, self.swap if swapped else None)
            if isinstance(exc, KeyboardInterrupt):
                raise
            raise ending from exc

    def _start_new(self) -> None:
        with uninterrupted() as came:  # the engine's client would go on without us
            self._start(self.new)
        if came:
            raise KeyboardInterrupt

    def _start(self, wanted: Wanted) -> None:
        settings.verify(wanted.settings)
        self.engine.start(wanted.rendered)

    def _put_back(self, why: BaseException, swap: dist.Swap | None) -> errors.SelfdeployError:
        message, log = str(why) or "interrupted", ""
        with contextlib.suppress(errors.SelfdeployError):
            log = self.engine.logs(400)
        wrong: errors.SelfdeployError | OSError | None = None
        steps = [self.engine.remove, *([swap.undo] if swap else [])]
        if self.old:
            before = self.old
            steps += [lambda: self.engine.remember(before.settings), lambda: self._start(before)]
            steps += [lambda: prove(self.engine, before.settings, before.manifest)]
        for step in steps:
            try:
                step()
            except (errors.SelfdeployError, OSError) as exc:
                wrong = wrong or exc
        with contextlib.suppress(errors.SelfdeployError):
            if not wrong:
                self.engine.forget_manifests()
        told = "\n".join([message, *log.splitlines()[-LINES:], *self._evidence(f"{message}\n\n{log}\n")])
        if self.old is None:
            return errors.WentDown(
                f"{told}\nvega is down: nothing ran before that could be put back", "mend it, then again"
            )
        if wrong:
            return errors.PutBackUnproven(f"{told}\nput back what ran before, but: {wrong}", getattr(wrong, "hint", ""))
        runs = report.revision(self.old.manifest)
        return errors.PutBack(f"{told}\nvega runs {runs} again, proven", "mend it, then again")

    def _evidence(self, text: str) -> list[str]:
        """Keep TEXT, where the disk takes it, and return the line that says where."""
        at = self.engine.project.work / "evidence" / "vega.log"
        try:
            tree.write_whole(at, text.encode())
        except OSError as exc:
            return [f"no evidence: {exc}"]
        return [f"evidence: {at}"]


def prove(engine: Engine, chosen: settings.Settings, made: live.Manifest) -> None:
    """Raise `errors.NotProven` unless the server on ENGINE with the settings CHOSEN runs MADE."""
    try:
        probe.until_settled(made, engine.project.probes, lambda: engine.ask(made, chosen.url), engine.name)
    except errors.NotProven as exc:
        raise errors.NotProven(exc.message, "inv vega.logs shows what it says; inv vega.status what runs") from exc


@contextlib.contextmanager
def uninterrupted() -> Iterator[list[int]]:
    """Let neither Ctrl-C nor SIGTERM end what is inside; yield a list of those that came."""
    # A handler and not SIG_IGN, which the processes started inside would inherit.
    came: list[int] = []
    kept = {number: signal.signal(number, lambda n, _: came.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
