"""The replacement of a server: the new one is proven, or the previous one restored."""

import contextlib
import signal
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from selfdeploy import errors, tree
from selfdeploy.probes import probe
from selfdeploy.vega import aside, live, report, settings
from selfdeploy.vega.engine import Engine
from selfdeploy.vega.swap import Swap

LINES = 40
"""Lines of the log to show if the new server fails."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A server to start: its settings, its manifest and its Compose file."""

    settings: settings.Settings
    manifest: live.Manifest
    rendered: str
    extra: tuple[str, ...] = ()
    """The extra paths it has to answer."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A server without readable settings or manifest, as of another version: only its own container can be restored."""

    url: str
    manifest: live.Manifest | None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """NEW in place of OLD (None if nothing ran), with the staged build SWAP, if there is one.

    LEFT are the settings saved by a killed command, if no server exists.
    """

    engine: Engine
    old: Wanted | Kept | None
    new: Wanted
    swap: Swap | None
    left: settings.Settings | None = None

    def make(self) -> None:
        """Replace the server; stop the previous one before changing any of its files.

        Raises:
            errors.PutBack, errors.PutBackUnproven, errors.WentDown: the new server did not start, or did not prove
                itself.
            KeyboardInterrupt: the user interrupted. The previous server is restored, but a failure to restore it is not
                reported.
        """
        swapped = False
        settings.verify(self.new.settings)
        self.engine.remember(self.new.settings)
        try:
            self.engine.stop()
            if self.swap:
                swapped = True
                self.swap.apply()
            if isinstance(self.old, Kept):
                aside.put(self.engine)
            self.engine.remove()
            self._start_new()
            prove(self.engine, self.new.settings.url, self.new.manifest, self.new.extra)
        except (errors.SelfdeployError, OSError, KeyboardInterrupt) as exc:
            with uninterrupted():
                ending = self._put_back(exc, self.swap if swapped else None)
            if isinstance(exc, KeyboardInterrupt) and not isinstance(ending, errors.PutBackUnproven):
                raise
            raise ending from exc
        aside.drop(self.engine)

    def _start_new(self) -> None:
        with uninterrupted() as came:  # the engine's client would continue without us
            self._start(self.new)
        if came:
            raise KeyboardInterrupt

    def _start(self, wanted: Wanted) -> None:
        settings.verify(wanted.settings)
        # Compose would mistake the container set aside for the one to replace, and remove it.
        self.engine.start(wanted.rendered, f"{self.engine.name}-anew" if isinstance(self.old, Kept) else "")

    def _put_back(self, why: BaseException, swap: Swap | None) -> errors.SelfdeployError:
        message, log = str(why) or "interrupted", ""
        with contextlib.suppress(errors.SelfdeployError):
            log = self.engine.logs(400)
        wrong: errors.SelfdeployError | OSError | None = None
        for step in self._steps(swap):
            try:
                step()
            except (errors.SelfdeployError, OSError) as exc:
                wrong = wrong or exc
        with contextlib.suppress(errors.SelfdeployError):
            if not wrong:
                self.engine.forget_manifests(settings=bool(self.old) or not self.left)
        told = "\n".join([message, *log.splitlines()[-LINES:], *self._evidence(f"{message}\n\n{log}\n")])
        if self.old is None:
            kept = "; inv vega.restart goes on from the settings before these" if self.left else ""
            again = f"fix it and run the command again{kept}"
            return errors.WentDown(f"{told}\nvega is down: nothing ran before", again)
        if wrong:
            return errors.PutBackUnproven(f"{told}\nput back what ran before, but: {wrong}", getattr(wrong, "hint", ""))
        runs = report.revision(self.old.manifest) if self.old.manifest else ""
        return errors.PutBack(f"{told}\nvega runs {runs} again, proven", "fix it and run the command again")

    def _steps(self, swap: Swap | None) -> list[Callable[[], None]]:
        """Return the steps to restore the previous server; each one runs even if earlier ones fail."""
        old, left, undo = self.old, self.left, [swap.undo] if swap else []
        if isinstance(old, Kept):
            # Stop the new server before changing its files; the old one may still have the name.
            steps = [self.engine.stop, *undo, lambda: aside.bring_back(self.engine)]
            return [*steps, lambda: prove(self.engine, old.url, old.manifest, old.extra)]
        if isinstance(old, Wanted):
            steps = [self.engine.remove, *undo, lambda: self.engine.remember(old.settings), lambda: self._start(old)]
            return [*steps, lambda: prove(self.engine, old.settings.url, old.manifest, old.extra)]
        return [self.engine.remove, *undo, *([lambda: self.engine.remember(left)] if left else [])]

    def _evidence(self, text: str) -> list[str]:
        """Write TEXT to the evidence file; return a line with its path, or with the error."""
        at = self.engine.project.work / "evidence" / "vega.log"
        try:
            tree.hide(self.engine.project.work)
            tree.write_whole(at, text.encode())
        except OSError as exc:
            return [f"no evidence: {exc}"]
        return [f"evidence: {at}"]


def prove(engine: Engine, url: str, made: live.Manifest | None, extra: Collection[str]) -> None:
    """Raise `errors.NotProven` unless the server on ENGINE, at URL, runs MADE; None, an unknown manifest, never passes.

    It has to answer the extra paths of deploy.toml that are in EXTRA.
    """
    if made is None:
        raise errors.NotProven(f"{engine.name}: nothing says what it runs", "inv vega.up replaces it")
    try:
        settings = engine.project.probes
        settings = settings.model_copy(update={"extra": tuple(path for path in settings.extra if path in extra)})
        probe.until_settled(made, settings, lambda: engine.ask(made, url), engine.name)
    except errors.NotProven as exc:
        raise errors.NotProven(exc.message, "inv vega.logs shows what it says; inv vega.status what runs") from exc


@contextlib.contextmanager
def uninterrupted() -> Iterator[list[int]]:
    """Record SIGINT, SIGTERM and SIGHUP inside the block instead of ending; yield the list of their numbers."""
    # A handler, since processes started inside would inherit SIG_IGN.
    came: list[int] = []
    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in endings if signal.getsignal(number) is not signal.SIG_IGN]  # nohup's
    kept = {number: signal.signal(number, lambda n, _: came.append(n)) for number in heard}
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
