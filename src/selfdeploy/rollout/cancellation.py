"""Cancelled CI runs: their attempt ends as a failed one, because nobody will continue it."""

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator

import selfdeploy
from selfdeploy import ages, errors, interrupts, provenance, tree, trust
from selfdeploy.environments import Environment, Lock
from selfdeploy.environments.record import CANCELLED
from selfdeploy.rollout import settling

LIMIT = 300.0
"""Seconds for a cancelled attempt to end; after that it is cut off, for the next release to undo."""

BRIEF = 5.0
"""Seconds to write the record after a person's interrupt."""

ELSEWHERE = (
    "selfdeploy.gates.",
    "selfdeploy.contents.",
    "selfdeploy.contract",
    "selfdeploy.sessions",
    "selfdeploy.vega",
)
"""Modules that no rollout needs."""

LATE = ("jinja2", "python_on_whales", "rich.console", "rich.live", "rich.text", "yaml")
"""Packages that a rollout's modules import only when they need them."""


def load() -> None:
    """Import every module that a rollout may need, because a runner may delete the folder with the code."""
    for module in pkgutil.walk_packages(selfdeploy.__path__, "selfdeploy."):
        if not module.name.startswith(ELSEWHERE):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)


@contextlib.contextmanager
def ending(environment: Environment, lock: Lock, holder: provenance.Holder) -> Iterator[None]:
    """Put back ENVIRONMENT's last proven release if HOLDER's CI run is cancelled inside the block.

    A person's interrupt changes nothing but the record, which gets the times of the stages: the person can run the
    command again. The job's folder may be gone by now, so nothing in it is read or written.

    Raises:
        errors.PutBack, errors.PutBackUnproven, errors.WentDown: how the attempt ended.
        KeyboardInterrupt: no CI run was cancelled, or its attempt had not begun or had already ended.
    """
    if holder.run:
        load()
        trust.load(environment.project)
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
    """Write the time of HOLDER's unfinished attempt into the record, if that takes no longer than `BRIEF` seconds."""
    with contextlib.suppress(errors.SelfdeployError, KeyboardInterrupt), interrupts.limited(BRIEF):
        known = environment.read(lock)
        begun = known.cut_off
        if begun is not None and (begun.who, begun.run) == (holder.who, holder.run):
            environment.write(lock, known.interrupt(ages.now(), holder.took()))


def _end(environment: Environment, lock: Lock, holder: provenance.Holder) -> errors.SelfdeployError | None:
    """End HOLDER's attempt under way, and return the error about the way it ended; None if there is no such attempt."""
    known = environment.read(lock)
    begun = known.cut_off
    if begun is None or (begun.who, begun.run) != (holder.who, holder.run):
        return None
    told = f"{environment.name}: the run was cancelled while it rolled out {begun.revision[:12]}"
    ended = settling.end_as_before(environment, lock, known, told, holder, cause=f"{CANCELLED}, ")
    if isinstance(ended, errors.PutBack | errors.WentDown):
        ended.hint = "run it again; nothing has to be fixed"
    return ended
