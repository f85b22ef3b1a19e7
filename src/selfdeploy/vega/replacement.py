"""One server in the place of another: proven, or what ran before is put back, whatever comes between."""

import contextlib
import signal
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from selfdeploy import errors, probe, tree
from selfdeploy.vega import aside, live, report, settings
from selfdeploy.vega.engine import Engine
from selfdeploy.vega.swap import Swap

LINES = 40
"""How many lines of a server's log are shown when it did not come up."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A server as it can be started: its settings, what it runs, and the Compose file that says so."""

    settings: settings.Settings
    manifest: live.Manifest
    rendered: str
    extra: tuple[str, ...] = ()
    """The extra paths that it has to answer."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A server whose settings or manifest cannot be read, as another version's: its very container comes back."""

    url: str
    manifest: live.Manifest | None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """NEW in the place of OLD (None when nothing ran), with what SWAP has ready.

    LEFT are the settings that a command which was killed with no server left has kept.
    """

    engine: Engine
    old: Wanted | Kept | None
    new: Wanted
    swap: Swap | None
    left: settings.Settings | None = None

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
            if isinstance(self.old, Kept):
                aside.put(self.engine)
            self.engine.remove()
            self._start_new()
            prove(self.engine, self.new.settings.url, self.new.manifest, self.new.extra)
        except (errors.SelfdeployError, OSError, KeyboardInterrupt) as exc:
            with uninterrupted():
                ending = self._put_back(exc, self.swap if swapped else None)
            if isinstance(exc, KeyboardInterrupt):
                raise
            raise ending from exc
        aside.drop(self.engine)

    def _start_new(self) -> None:
        with uninterrupted() as came:  # the engine's client would go on without us
            self._start(self.new)
        if came:
            raise KeyboardInterrupt

    def _start(self, wanted: Wanted) -> None:
        settings.verify(wanted.settings)
        # Compose would take the container that is set aside for the one to be replaced, and remove it.
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
            return errors.WentDown(f"{told}\nvega is down: nothing ran before", f"mend it, then again{kept}")
        if wrong:
            return errors.PutBackUnproven(f"{told}\nput back what ran before, but: {wrong}", getattr(wrong, "hint", ""))
        runs = report.revision(self.old.manifest) if self.old.manifest else ""
        return errors.PutBack(f"{told}\nvega runs {runs} again, proven", "mend it, then again")

    def _steps(self, swap: Swap | None) -> list[Callable[[], None]]:
        """Return what has to be done, each step whatever came of those before it, until what ran runs again."""
        old, left, undo = self.old, self.left, [swap.undo] if swap else []
        if isinstance(old, Kept):
            # The new one has ended before a file under it is changed; the old one may have its name still.
            steps = [self.engine.stop, *undo, lambda: aside.bring_back(self.engine)]
            return [*steps, lambda: prove(self.engine, old.url, old.manifest, old.extra)]
        if isinstance(old, Wanted):
            steps = [self.engine.remove, *undo, lambda: self.engine.remember(old.settings), lambda: self._start(old)]
            return [*steps, lambda: prove(self.engine, old.settings.url, old.manifest, old.extra)]
        return [self.engine.remove, *undo, *([lambda: self.engine.remember(left)] if left else [])]

    def _evidence(self, text: str) -> list[str]:
        """Keep TEXT, where the disk takes it, and return the line that says where."""
        at = self.engine.project.work / "evidence" / "vega.log"
        try:
            tree.hide(self.engine.project.work)
            tree.write_whole(at, text.encode())
        except OSError as exc:
            return [f"no evidence: {exc}"]
        return [f"evidence: {at}"]


def prove(engine: Engine, url: str, made: live.Manifest | None, extra: Collection[str]) -> None:
    """Raise `errors.NotProven` unless the server on ENGINE that is reached at URL runs MADE, which has to be known.

    Of the extra paths it has to answer those that are in EXTRA.
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
    """Let neither Ctrl-C, SIGTERM nor a terminal that closes end what is inside; yield a list of those that came."""
    # A handler and not SIG_IGN, which the processes started inside would inherit.
    came: list[int] = []
    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in endings if signal.getsignal(number) is not signal.SIG_IGN]  # nohup's
    kept = {number: signal.signal(number, lambda n, _: came.append(n)) for number in heard}
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
