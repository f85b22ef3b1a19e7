"""Kill releases, and go on from the tally of those killed before: `nox -s chaos`."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from chaos import kubernetes, trial, world
from chaos.instant import Instant, choose
from chaos.tally import Outcome, Tally
from lab import local_engine
from lab.site import ROOT

# An engine that may be stopped takes root.
WORLDS = {
    "compose": world.begin if local_engine.MISSING else world.begin_apart,
    "kubernetes": kubernetes.begin,
    "kine": kubernetes.begin_on_kine,
}


def main() -> int:
    """Kill until the tally has as many as are asked for; 0 when all that has to hold did, in every trial of it."""
    parser = argparse.ArgumentParser(prog="nox -s chaos --", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many there shall be in the tally; 200")
    parser.add_argument("--runtime", choices=WORLDS, default="compose", help="what it runs on; compose")
    parser.add_argument("--seed", type=int, default=1, help="what chance is drawn from; 1")
    parser.add_argument("--number", type=int, help="try that one again, and leave the tally alone")
    parser.add_argument("--tally", type=Path, default=ROOT / ".selfdeploy" / "chaos.jsonl", help="the file")
    parser.add_argument("--ship", type=Path, help="what the gates built of the application; made when left out")
    given = parser.parse_args()
    tally = Tally(given.tally)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
            if given.ship:
                return _run(given, tally, given.ship, Path(scratch))
            with world.built() as made:
                return _run(given, tally, made, Path(scratch))
    except KeyboardInterrupt:
        print(f"{tally.describe(given.runtime)}\ninterrupted; the next call goes on from there", flush=True)
        return 130


def _run(given: argparse.Namespace, tally: Tally, ship: Path, folder: Path) -> int:
    with WORLDS[given.runtime](ship, folder) as here:
        if given.number is not None:
            instant = choose(given.seed, given.number, here.faults)
            with here.beside(instant.how):
                outcome = trial.run(here, [instant], given.seed)
            print("\n".join([outcome.instant, *outcome.wrong]))
            return 1 if outcome.wrong else 0
        while sum(outcome.counts for outcome in tally.read(here.runtime)) < given.kills:
            number = max((o.number for o in tally.read(here.runtime) if o.seed == given.seed), default=-1) + 1
            instant = choose(given.seed, number, here.faults)
            with here.beside(instant.how):
                outcome = _try(here, instant, tally, given.seed)
            what = "; ".join(outcome.wrong) or ("held" if outcome.killed else "held; it had ended before")
            print(f"{outcome.instant}: {what} ({outcome.seconds:g} s)", file=sys.stderr, flush=True)
        print(tally.describe(here.runtime))
    return 1 if any(outcome.wrong for outcome in tally.read(here.runtime)) else 0


def _try(here: world.World, instant: Instant, tally: Tally, seed: int) -> Outcome:
    """Return what became of the release struck at INSTANT, which TALLY then has; of a check that failed itself, too."""
    try:
        outcome = trial.run(here, [instant], seed)
    except Exception as exc:
        wrong = [f"the check itself failed: {type(exc).__name__}: {exc}"]
        tally.add(Outcome.of(here.runtime, seed, [instant], killed=True, wrong=wrong, seconds=0))
        raise
    tally.add(outcome)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
