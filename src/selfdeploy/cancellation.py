"""A CI run that is cancelled: its attempt ends as one that failed, for nobody goes on with it."""

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator

import selfdeploy
from selfdeploy import ages, errors, interrupts, provenance, rollout, tree
from selfdeploy.environments import Environment, Lock
from selfdeploy.environments.record import CANCELLED

LIMIT = 300.0
"""Seconds that a cancelled attempt has to end; one that has not is cut off, for the next release to undo."""

BRIEF = 5.0
"""Seconds that a person who interrupts is kept for the record's sake."""

ELSEWHERE = (
    "selfdeploy.gates.",
    "selfdeploy.contents.",
    "selfdeploy.contract",
    "selfdeploy.sessions",
    "selfdeploy.vega",
)
"""The modules that no rollout needs."""

LATE = ("jinja2", "python_on_whales", "rich.console", "rich.live", "rich.text", "yaml")
"""What the modules of a rollout load when they come to need it."""


def load() -> None:
    """Load all that a rollout may come to need: a runner may delete the folder that it would be loaded from."""
    for module in pkgutil.walk_packages(selfdeploy.__path__, "selfdeploy."):
        if not module.name.startswith(ELSEWHERE):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)


@contextlib.contextmanager
def ending(environment: Environment, lock: Lock, holder: provenance.Holder) -> Iterator[None]:
    """When HOLDER's CI run is cancelled in the block, have ENVIRONMENT run again what it last proved.

    A person who interrupts a release runs it again; what they interrupt stays as it is, and the record gets the time
    that it took. The job's folder may be gone by now: nothing of it is read or written.

    Raises:
        errors.PutBack, errors.PutBackUnproven, errors.WentDown: how the attempt ended.
        KeyboardInterrupt: it is not a run, or it was cancelled before the attempt began or after it ended.
    """
    if holder.run:
        load()
    try:
        yield
    except KeyboardInterrupt:
        if not (holder.run and interrupts.was_told()):
            _leave(environment, lock, holder)
            raise
        tree.give_up(environment.project.work)
        with interrupts.limited(LIMIT):
            raised = _end(environment, lock, holder)
        if raised is None:
            raise
        raise raised from None


def _leave(environment: Environment, lock: Lock, holder: provenance.Holder) -> None:
    """Write the time of HOLDER's unfinished attempt into the record, unless that takes longer than `BRIEF`."""
    with contextlib.suppress(errors.SelfdeployError, KeyboardInterrupt), interrupts.limited(BRIEF):
        known = environment.read(lock)
        begun = known.cut_off
        if begun is not None and (begun.who, begun.run) == (holder.who, holder.run):
            environment.write(lock, known.interrupt(ages.now(), holder.took()))


def _end(environment: Environment, lock: Lock, holder: provenance.Holder) -> errors.SelfdeployError | None:
    """End the attempt of HOLDER that is under way, and return the error that says how; None if there is none."""
    known = environment.read(lock)
    begun = known.cut_off
    if begun is None or (begun.who, begun.run) != (holder.who, holder.run):
        return None
    told = f"{environment.name}: the run was cancelled while it rolled out {begun.revision[:12]}"
    ended = rollout.end_as_before(environment, lock, known, told, holder, cause=f"{CANCELLED}, ")
    if isinstance(ended, errors.PutBack | errors.WentDown):
        ended.hint = "run it again; nothing has to be fixed"
    return ended
