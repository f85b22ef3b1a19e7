"""The required gates: what runs on an export of the revision, in which order, and the receipt it leaves."""

import concurrent.futures
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import config, errors, process, source, tree

TESTS = re.compile(r"^(?:#|\u2139) tests (\d+)\s*$", re.MULTILINE)
TAIL = 40


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """These gates passed on this revision, and the tree they left hashes to this; worth nothing without the tree."""

    key: str
    tree: str
    gates: Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class GatedTree:
    """The files that passed the gates and go into the image, below `ship`."""

    revision: source.Revision
    ship: Path
    digest: str
    receipt: Receipt


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where the gates of one revision run: the export, what ships of it, the logs and the receipt."""

    folder: Path

    @property
    def export(self) -> Path:
        """The exported revision that the gates build in."""
        return self.folder / "sf"

    @property
    def ship(self) -> Path:
        """What goes into the image."""
        return self.folder / "ship"

    @property
    def receipt(self) -> Path:
        """The receipt's file."""
        return self.folder / "receipt.json"

    @property
    def failure(self) -> Path:
        """Why the gates did not pass, for the process that had them run."""
        return self.folder / "failure.json"

    def log(self, gate: str) -> Path:
        """The log of one gate."""
        return self.folder / "logs" / f"{gate}.log"


def room(project: config.Project, revision: source.Revision) -> Room:
    """Return where the gates of REVISION run."""
    return Room(folder=project.work / "trees" / revision.commit)


def key(project: config.Project, revision: source.Revision) -> str:
    """Return what a receipt is good for: this revision, these gate definitions, this Node, these files shipped."""
    gates = {name: gate.model_dump(mode="json") for name, gate in project.gates.all.items()}
    parts = [revision.commit, revision.tree, project.gates.node, gates, project.image.include]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def select(gates: Mapping[str, config.Gate], names: Sequence[str]) -> dict[str, config.Gate]:
    """Return the gates NAMES and all they need, in the order of GATES; all of them when NAMES is empty."""
    wanted: set[str] = set()
    left = list(names or gates)
    while left:
        name = left.pop()
        if name not in gates:
            raise errors.ConfigInvalid(f"gates: no gate named {name!r}", f"the gates are {', '.join(gates)}")
        if name not in wanted:
            wanted.add(name)
            left.extend(gates[name].needs)
    return {name: gate for name, gate in gates.items() if name in wanted}


def find(project: config.Project, revision: source.Revision) -> GatedTree | str:
    """Return the gated tree of REVISION when all required gates passed on it, or why there is none."""
    place = room(project, revision)
    try:
        data = json.loads(place.receipt.read_bytes())
        receipt = Receipt(key=data["key"], tree=data["tree"], gates=data["gates"])
        if receipt.key != key(project, revision):
            return "the receipt is of another revision, or of other gates"
        skipped = [name for name in project.gates.all if receipt.gates.get(name, {}).get("passed") is not True]
    except FileNotFoundError:
        return "the gates have not run on this revision"
    except (ValueError, TypeError, KeyError, AttributeError):
        return "the receipt is damaged"
    if skipped:
        return f"skipped: {', '.join(skipped)}"
    if not place.ship.is_dir() or tree.digest(place.ship) != receipt.tree:
        return "the gated tree is not what the gates left"
    return GatedTree(revision=revision, ship=place.ship, digest=receipt.tree, receipt=receipt)


def passed_at(output: str) -> int:
    """Return how many tests OUTPUT, of node's test runner, says were run."""
    return sum(int(count) for count in TESTS.findall(output))


def environment(project: config.Project, revision: source.Revision, node: Path, home: Path) -> dict[str, str]:
    """Return the whole environment of a gate: the pinned Node first on PATH, and only what the config names."""
    headers = (node / "node").resolve().parent.parent
    return {
        **process.environment(project.gates.environment),
        "PATH": f"{node}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "CI": "true",
        "SF_BUILD_REVISION": revision.commit,
        "npm_config_cache": str(project.work / "npm"),
        "npm_config_nodedir": str(headers),
        "npm_config_update_notifier": "false",
        "npm_config_fund": "false",
        "npm_config_audit": "false",
    }


def run(
    project: config.Project,
    revision: source.Revision,
    node: Path,
    *,
    names: Sequence[str] = (),
    jobs: int | None = None,
) -> None:
    """Run the gates NAMES and what they need in a fresh export of REVISION; leave the receipt when all have passed.

    NODE is the folder with the real `node` and `npm`. The log of each gate is kept.

    Raises:
        errors.GateFailed: one did not pass in time, or ran fewer tests than it has to; its log's end is the hint.
        errors.TreeChanged: what would ship holds an absolute or dangling link.
    """
    place = room(project, revision)
    chosen = select(project.gates.all, names)
    shutil.rmtree(place.folder, ignore_errors=True)
    source.export(revision, place.export)
    place.log("any").parent.mkdir(parents=True)
    home = place.folder / "home"
    home.mkdir()
    env = environment(project, revision, node, home)
    try:
        endings = _run_all(place, chosen, env, jobs or project.gates.jobs)
        if set(chosen) == set(project.gates.all):
            tree.stage(place.export, place.ship, include=project.image.include, epoch=revision.epoch)
            receipt = {"key": key(project, revision), "tree": tree.digest(place.ship), "gates": endings}
            tree.write_whole(place.receipt, json.dumps(receipt, indent=2, sort_keys=True).encode())
    except errors.SelfdeployError as exc:
        failure = {"error": type(exc).__name__, "message": exc.message, "hint": exc.hint}
        tree.write_whole(place.failure, json.dumps(failure).encode())
        raise


def _run_all(
    place: Room, chosen: Mapping[str, config.Gate], env: Mapping[str, str], jobs: int
) -> dict[str, dict[str, object]]:
    running, endings = process.Running(), dict[str, dict[str, object]]()
    left, under_way = dict(chosen), dict[concurrent.futures.Future[dict[str, object]], str]()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            while left or under_way:
                ready = [name for name, gate in left.items() if all(n in endings for n in gate.needs)]
                for name in ready[: jobs - len(under_way)]:
                    under_way[pool.submit(_run_one, place, name, left.pop(name), env, running)] = name
                done, _ = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    name = under_way.pop(future)
                    endings[name] = future.result()
                    print(f"  gate {name} passed in {endings[name]['seconds']} s", file=sys.stderr, flush=True)
        finally:
            running.close()
    return endings


def _run_one(
    place: Room, name: str, gate: config.Gate, env: Mapping[str, str], running: process.Running
) -> dict[str, object]:
    began = time.monotonic()
    with place.log(name).open("wb") as log:
        code = running.run_logged(gate.command, timeout=gate.timeout, cwd=place.export, env=env, log=log)
    seconds = round(time.monotonic() - began, 1)
    output = place.log(name).read_text(encoding="utf-8", errors="replace")
    why = ""
    if code in process.TIMED_OUT:
        why = f"did not end within {gate.timeout:g} s"
    elif code:
        why = f"exit code {code}"
    elif gate.minimum_tests and passed_at(output) < gate.minimum_tests:
        why = f"ran {passed_at(output)} tests, and has to run at least {gate.minimum_tests}"
    if why:
        tail = "\n".join(output.rstrip().splitlines()[-TAIL:])
        raise errors.GateFailed(
            f"gate {name}: {' '.join(gate.command)}: {why}; log: {place.log(name)}\n{tail}",
            f"run it alone: nox -s gates -- {name}",
        )
    digest = hashlib.sha256(output.encode()).hexdigest()
    return {"passed": True, "seconds": seconds, "log": f"sha256:{digest}", "command": " ".join(gate.command)}


def raise_failure(project: config.Project, revision: source.Revision) -> None:
    """Raise what made the gates of REVISION fail in another process; return when it left no word."""
    try:
        data = json.loads(room(project, revision).failure.read_bytes())
    except (FileNotFoundError, ValueError):
        return
    kind = getattr(errors, str(data.get("error")), errors.GateFailed)
    raise kind(data["message"], data["hint"])
