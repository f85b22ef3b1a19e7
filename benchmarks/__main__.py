"""Compare a release with a plain script, and rollouts with kubectl's and Helm's, here and now: `nox -s bench`."""

import argparse
import contextlib
import os
import platform
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import cluster, front, side, signing, size, window
from benchmarks.report import Report
from lab.children import LabError
from lab.site import Site, call
from selfdeploy import process

BEFORE = "7ca082c"
"""The last revision that packed a tree as one layer."""


COMPLETE = '. "$0"; COMP_WORDS=(inv status --); COMP_CWORD=2; _selfdeploy; ((${#COMPREPLY[@]} > 5))'
"""What bash does when a person presses Tab after `inv status --`, in a shell that has to start for it."""


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """Return what the figures were measured on, and how busy that was."""
    processor = next((x.partition(":")[2].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")), "?")
    memory = int(next(x.split()[1] for x in _lines("/proc/meminfo") if x.startswith("MemTotal"))) / 2**20
    engine = process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20).text
    return (
        f"{os.cpu_count()} x {processor}, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, Docker Engine {engine}; load {os.getloadavg()[0]:.1f}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def undisturbed() -> None:
    """Have no further Ctrl-C cut what follows: it is the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def interrupt(*_: object) -> None:
    """Raise KeyboardInterrupt, once."""
    undisturbed()
    raise KeyboardInterrupt


@contextlib.contextmanager
def closed(one: side.Side) -> Iterator[side.Side]:
    """Close ONE at the end."""
    try:
        yield one
    finally:
        undisturbed()
        say(f"cleaning up after the {one.name}")
        one.close()


def start_up(site: Site, report: Report, times: int) -> None:
    """Measure `inv --version`, `inv --list` and a completion, in turn, TIMES each; once before without counting."""
    script = site.folder / "completion.bash"
    script.write_text(site.inv("completion", "bash").stdout)
    python = [sys.executable, "-m", "invoke"]
    ways = (
        ([*python, "--version"], report.version),
        ([*python, "--list"], report.list_),
        (["bash", "-c", COMPLETE, str(script)], report.completion),
    )
    for turn in range(times + 1):
        for argv, seconds in ways:
            began = time.monotonic()
            done = call(*argv, cwd=site.folder, env=site.environment)
            took = time.monotonic() - began
            if done.returncode:
                raise LabError(f"{shlex.join(argv)}: exit code {done.returncode}: {done.stderr}")
            if turn:
                seconds.append(took)


def compare(folder: Path, pairs: int, starts: int) -> Report:
    """Return how the tool and the script did, working below FOLDER; nothing of it is left on the engine."""
    report = Report()
    with closed(side.tool(folder / "tool")) as tool, closed(side.script(folder / "script", tool.site)) as script:
        say("warming up: a release of each, not counted")
        for one in (tool, script):
            one.release()
        start_up(tool.site, report, starts)
        for pair in range(pairs):
            order = [(script, report.script), (tool, report.tool)]
            for one, runs in order if pair % 2 == 0 else order[::-1]:
                run = one.release()
                runs.append(run)
                say(f"pair {pair + 1} of {pairs}: {one.name}: {run.total:.1f} s")
        report.window = window.measure(tool.site, starts)
    return report


def main() -> int:
    """Print the report; 0 when all targets are met, 1 when one is missed, 2 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--pairs", type=int, default=3, help="how many releases of each side; 3")
    parser.add_argument("--starts", type=int, default=15, help="how many starts of each command; 15")
    parser.add_argument(
        "--rollouts", type=int, default=3, help="how many rollouts of each way, in a cluster or with --only front; 3"
    )
    parser.add_argument(
        "--only",
        choices=("release", "cluster", "size", "front", "signing"),
        help="one comparison; release and cluster when left out",
    )
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second of --only front; 200")
    parser.add_argument("--against", default=BEFORE, help=f"the revision that --only size compares with; {BEFORE}")
    parser.add_argument("--scale", type=float, default=1.0, help="size of its application, of the real one's; 1")
    given = parser.parse_args()
    if min(given.pairs, given.starts, given.rollouts) < 1:
        parser.error("at least one of each")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="selfdeploy-bench-") as scratch:
            print(machine(), flush=True)
            missed = []
            if given.only == "size":
                sizes = size.compare(Path(scratch), given.against, given.pairs, given.scale, say)
                print(f"\n{sizes}", flush=True)
                missed += sizes.missed
            if given.only == "front":
                with front.prepared(Path(scratch), say) as engine:
                    gaps = front.compare(engine, given.rollouts, given.rate, say)
                print(f"\n{gaps}", flush=True)
                missed += gaps.missed
            if given.only == "signing":
                costs = signing.compare(Path(scratch), given.pairs, given.starts, say)
                print(f"\n{costs}", flush=True)
                missed += costs.missed
            if given.only in {None, "release"}:
                report = compare(Path(scratch), given.pairs, given.starts)
                print(f"\n{report}", flush=True)
                missed += report.missed
            if given.only in {None, "cluster"}:
                with cluster.prepared(Path(scratch), say) as field:
                    rollouts = cluster.compare(field, given.rollouts, say)
                print(f"\n{rollouts}", flush=True)
                missed += rollouts.missed
    except LabError as exc:
        say(f"error: {exc}")
        return 2
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
