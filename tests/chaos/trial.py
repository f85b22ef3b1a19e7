"""One trial: a release is killed at its instant, and what has to hold is checked, then and after the next release."""

import os
import re
import signal
import time
from collections.abc import Sequence

from chaos import checks
from chaos.instant import API, ENGINE, FAULTS, REGISTRY, USUAL, Instant
from chaos.tally import Outcome
from chaos.world import World
from lab import children
from lab.site import Site, Started

TOOK = re.compile(r"^(\w+): ([0-9.]+) s$", re.MULTILINE)
"""How a release tells what a stage took."""

PUT_BACK, ON_HOLD, INTERRUPTED = 51, 45, 130
WITHOUT = {REGISTRY: (14, 30, 32), ENGINE: (14, 15, 32, 40, 44, 50, 52), API: (44, 70)}
"""How a release ends without that part: a command of it that failed, no answer, a push that failed, a lock that is
lost; and without its engine as not proven, or not put back."""


def _progress(release: Started, stage: str, end: str) -> bool:
    return any(line.startswith(f"{stage}{end}") for line in release.progress.splitlines())


def _wait(release: Started, instant: Instant, seconds: float) -> bool:
    """Wait for INSTANT and say whether RELEASE lived to see it."""
    mark = ": " if instant.place == "end" else " ..."
    children.wait_until(
        lambda: release.process.poll() is not None or _progress(release, instant.stage, mark),
        f"{instant.stage}{mark}",
        seconds=300,
    )
    if instant.place == "inside":
        time.sleep(instant.share * seconds)
    return release.process.poll() is None


def _strike(world: World, release: Started, instant: Instant) -> list[str]:
    """Kill RELEASE as INSTANT says, or stop that part under it; return what is wrong with how it ended."""
    how = instant.how
    with world.without(how):
        if how == "SIGTERM":
            release.process.send_signal(signal.SIGTERM)
        elif how not in FAULTS and release.process.poll() is None:
            os.killpg(release.process.pid, signal.Signals[how])
        code = release.process.wait(300)
    wrong = [f"a traceback: {release.progress[-3000:]}"] if "Traceback" in release.progress else []
    # What was all but done when it was asked to end may have ended well; without a part, with an error of ours.
    allowed = (0, INTERRUPTED, *WITHOUT.get(how, ()), *((PUT_BACK, ON_HOLD) if instant.bad else ()))
    if how != "SIGKILL" and code not in allowed:
        wrong.append(f"{how}: exit code {code}: {release.progress[-500:]}")
    return wrong


def kill(world: World, instant: Instant, revision: str = "") -> tuple[str, bool, list[str]]:
    """Begin a release and kill it at INSTANT; return its revision, whether it lived to see it, and what is wrong.

    It goes on with the release of REVISION where that is given.
    """
    revision = revision or world.next_release(bad=instant.bad)
    fresh = ["--fresh"] if instant.stage == "gates" else []
    with world.apart(instant.how):
        release = world.site.start("release", "--older", *fresh)
        try:
            killed = _wait(release, instant, max(world.seconds.get(instant.stage, 0), USUAL[instant.stage]))
            wrong = _strike(world, release, instant)
        finally:
            if release.process.poll() is None:  # the harness itself was interrupted
                os.killpg(release.process.pid, signal.SIGKILL)
    wrong += checks.no_process(world.site)
    wrong += checks.whole_files(world.site) + checks.whole_release(world, revision)
    wrong += checks.true_status(world) + checks.true_plan(world, revision)
    return revision, killed, wrong + checks.prod_was_safe(world)


def run(world: World, instants: Sequence[Instant], seed: int = 0) -> Outcome:
    """Kill a release at each of INSTANTS, of SEED, have the next one go on, and return what became of it."""
    began, revision, killed, wrong = time.monotonic(), "", True, list[str]()
    for instant in instants:
        revision, lived, found = kill(world, instant, revision)
        killed = killed and lived
        wrong += found
    last = instants[-1]
    wrong += _undo(world, revision) if last.bad else _converge(world, revision)
    wrong += checks.prod_was_safe(world)
    return Outcome.of(world.runtime, seed, instants, killed=killed, wrong=wrong, seconds=time.monotonic() - began)


def _converge(world: World, revision: str) -> list[str]:
    """The next release goes on without help, makes nothing again that is on record, and ends with prod proven."""
    recorded, since = checks.is_on_record(world, revision), world.store.log.stat().st_size
    done = world.site.inv("release", "--older")
    if done.returncode:
        return [f"the next release: exit code {done.returncode}: {done.stderr[-1500:]}"]
    wrong = checks.spoken(done) + checks.proven(world, revision)
    again = world.pushed(since) if recorded else []
    wrong += [f"pushed again although on record: {name}" for name in again]
    for stage, seconds in TOOK.findall(done.stderr):
        if stage in USUAL and stage not in ("gates", "preflight"):
            world.seconds[stage] = float(seconds)
    world.settled(revision)
    return wrong + checks.nothing_left(world, world.site.folder)


def _undo(world: World, revision: str) -> list[str]:
    """The next release, from a fresh clone, brings the old proven one back and keeps the hold."""
    good = world.revisions[world.running]
    with world.clone() as clone:
        wrong = _refused(world, clone, revision)
        wrong += checks.nothing_left(world, clone.folder)
    for name in ("test", "prod"):
        said = checks.answers(world.site, name)
        if said.get("revision") != good:
            wrong.append(f"{name}: expected {good} to be back, actual {said}")
    return wrong


def _refused(world: World, clone: Site, revision: str) -> list[str]:
    undone = clone.inv("release", "--older")
    wrong = checks.spoken(undone)
    if undone.returncode not in (PUT_BACK, ON_HOLD):
        wrong.append(f"the next release of {revision}: exit code {undone.returncode}: {undone.stderr[-1500:]}")
    held = clone.inv("release", "--older")
    if held.returncode != ON_HOLD:
        wrong.append(f"the hold was not kept: exit code {held.returncode}: {held.stderr[-1500:]}")
    digests = list(world.record("test").get("holds", {}))
    for digest in digests:
        world.must(clone.inv("unhold", "-e", "test", "-d", digest))
    return wrong
