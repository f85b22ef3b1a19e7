"""How the gates run: on an export of the revision, as early as what they need allows, each with its log."""

import concurrent.futures
import contextlib
import fcntl
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from selfdeploy import config, errors, process, source, tree
from selfdeploy.gates import graph, receipt
from selfdeploy.gates.room import Room

TAIL = 40
"""Lines of a failed gate's log that are shown."""

TELLS = "gate"
"""What a line of progress begins with; the rest of what nox says stays in its log."""

KEPT = 3
"""How many gated trees are kept."""


def environment(project: config.Project, revision: source.Revision, programs: Path, home: Path) -> dict[str, str]:
    """Return the whole environment of a gate: PROGRAMS first on PATH, and only variables that the config names."""
    headers = (programs / "node").resolve().parent.parent
    return {
        **process.environment(project.gates.inherited),
        **project.gates.variables,
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "CI": "true",
        "SF_BUILD_REVISION": revision.commit,
        "npm_config_cache": str(project.work / "npm"),
        "npm_config_nodedir": str(headers),
        "npm_config_update_notifier": "false",
        "npm_config_fund": "false",
        "npm_config_audit": "false",
        "npm_config_prefer_offline": "true",
    }


def run(
    project: config.Project,
    revision: source.Revision,
    programs: Path,
    *,
    names: Sequence[str] = (),
    jobs: int | None = None,
    fresh: bool = False,
) -> None:
    """Run the gates NAMES and what they need in a fresh export of REVISION; leave the receipt when all have passed.

    PROGRAMS is the folder with `node`, `npm` and further tools. The log of each gate is kept.

    Raises:
        errors.GateFailed: one did not pass in time, or ran fewer tests than it has to; its log's end is the hint.
        errors.TreeChanged: what would ship holds an absolute or dangling link.
    """
    chosen = graph.select(project.gates.all, names)
    whole = not revision.live and set(chosen) == set(project.gates.all)
    place = Room.of(project, revision) if whole or revision.live else Room(folder=project.work / "trees" / "some")
    tree.hide(project.work)
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(place.folder.with_suffix(".lock")) as waited:
        if waited and whole and not fresh and isinstance(receipt.find(project, revision), receipt.GatedTree):
            return
        shutil.rmtree(place.folder, ignore_errors=True)
        source.export(revision, place.export)
        place.log("any").parent.mkdir(parents=True)
        home = place.folder / "home"
        home.mkdir()
        env = environment(project, revision, programs, home)
        endings = _run_all(place, chosen, env, jobs or project.gates.jobs)
        if whole:
            tree.stage(place.export, place.ship, include=project.image.include, epoch=revision.epoch)
            key = receipt.key(project, revision)
            passed = {"key": key, "tree": tree.digest(place.ship), "gates": endings}
            tree.write_whole(place.receipt, json.dumps(passed, indent=2, sort_keys=True).encode())
            shutil.rmtree(place.export)
    _prune(place.folder)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Wait until no other run of the gates on this revision is under way in this project; say whether one was."""
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{TELLS}: another run of them is under way; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield True
        else:
            yield False


def _prune(newest: Path) -> None:
    """Remove all but the last `KEPT` gated trees beside NEWEST: they are large, and made again when needed."""
    rooms = [place for place in newest.parent.iterdir() if place.is_dir() and place != newest]
    for place in sorted(rooms, key=lambda folder: folder.stat().st_mtime)[: -KEPT + 1]:
        with place.with_suffix(".lock").open("ab") as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)


def _run_all(
    place: Room, chosen: Mapping[str, config.Gate], env: Mapping[str, str], jobs: int
) -> dict[str, dict[str, object]]:
    running, endings = process.Running(), dict[str, dict[str, object]]()
    left, under_way = dict(chosen), dict[concurrent.futures.Future[dict[str, object]], str]()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            while left or under_way:
                for name in graph.ready(left, endings)[: jobs - len(under_way)]:
                    under_way[pool.submit(_run_one, place, name, left.pop(name), env, running)] = name
                done, _ = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    name = under_way.pop(future)
                    endings[name] = future.result()
                    print(f"{TELLS} {name} passed in {endings[name]['seconds']} s", file=sys.stderr, flush=True)
        finally:
            running.close()
    return endings


def _run_one(
    place: Room, name: str, gate: config.Gate, env: Mapping[str, str], running: process.Running
) -> dict[str, object]:
    began = time.monotonic()
    with place.log(name).open("wb") as log:
        code = running.run_logged(gate.command, timeout=gate.timeout, cwd=place.export, env=env, log=log)
    seconds = time.monotonic() - began
    output = place.log(name).read_text(encoding="utf-8", errors="replace")
    timed_out = code in process.TIMED_OUT and seconds >= gate.timeout
    if why := graph.complaint(gate, code, output, timed_out=timed_out):
        tail = "\n".join(output.rstrip().splitlines()[-TAIL:])
        raise errors.GateFailed(
            f"gate {name}: {' '.join(gate.command)}: {why}; log: {place.log(name)}\n{tail}",
            f"run it alone: nox -s gates -- {name}",
        )
    facts = {"seconds": round(seconds, 1), "log": receipt.digest(output), "command": " ".join(gate.command)}
    return {"passed": True, **facts}
