"""The required gates: what runs on an export of the revision, in which order, and the receipt it leaves."""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import config, errors, process, source, tree
from selfdeploy.gates import graph

TAIL = 40
"""Lines of a failed gate's log that are shown."""

TELLS = "gate"
"""What a line of progress begins with; the rest of what nox says stays in its log."""

KEPT = 3
"""How many gated trees are kept."""


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

    @property
    def root(self) -> Path:
        """The folder whose content goes to the image's `/`: `ship` is `opt/sf` in it."""
        return self.ship.parents[1]


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
        """What goes into the image, at its place below the image's root: a folder is packed with its own time."""
        return self.folder / "image" / "opt" / "sf"

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
    return Room(folder=project.work / "trees" / ("live" if revision.live else revision.commit))


def key(project: config.Project, revision: source.Revision) -> str:
    """Return what a receipt is good for: this revision, these gate definitions, this Node, these files shipped."""
    gates = {name: gate.model_dump(mode="json") for name, gate in project.gates.all.items()}
    parts = [revision.commit, revision.tree, project.gates.node, gates, project.image.include]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find(project: config.Project, revision: source.Revision) -> GatedTree | errors.SelfdeployError:
    """Return the gated tree of REVISION when all required gates passed on it, or the error that says why not."""
    place = room(project, revision)
    try:
        data = json.loads(place.receipt.read_bytes())
        receipt = Receipt(key=data["key"], tree=data["tree"], gates=data["gates"])
        if receipt.key != key(project, revision):
            return _incomplete("the receipt is of another revision, other gates or another Node")
        unproven = [name for name, gate in project.gates.all.items() if not _is_proven(place, name, gate, receipt)]
    except FileNotFoundError:
        return _incomplete(f"the gates have not passed on {revision.commit}")
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError):
        return _incomplete(f"{place.receipt}: damaged")
    if unproven:
        return _incomplete(f"not passed on {revision.commit}, or its log is not the receipt's: {', '.join(unproven)}")
    if not place.ship.is_dir() or tree.digest(place.ship) != receipt.tree:
        return errors.TreeChanged(f"{place.ship}: not what the gates left", "run them again: inv gates")
    return GatedTree(revision=revision, ship=place.ship, digest=receipt.tree, receipt=receipt)


def _incomplete(why: str) -> errors.GatesIncomplete:
    return errors.GatesIncomplete(f"gates: {why}", "run them: inv gates")


def _is_proven(place: Room, name: str, gate: config.Gate, receipt: Receipt) -> bool:
    told = receipt.gates.get(name, {})
    if told.get("passed") is not True:
        return False
    output = place.log(name).read_text(encoding="utf-8", errors="replace")
    return told.get("log") == _digest(output) and not graph.complaint(gate, 0, output)


def _digest(output: str) -> str:
    return "sha256:" + hashlib.sha256(output.encode()).hexdigest()


def require(project: config.Project, revision: source.Revision) -> GatedTree:
    """Return the gated tree of REVISION.

    Raises:
        errors.GatesIncomplete: a required gate is missing, was skipped, or ran on another revision.
        errors.TreeChanged: the tree is no longer what they left.
    """
    found = find(project, revision)
    if isinstance(found, errors.SelfdeployError):
        raise found
    return found


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
        "npm_config_prefer_offline": "true",
    }


def run(
    project: config.Project,
    revision: source.Revision,
    node: Path,
    *,
    names: Sequence[str] = (),
    jobs: int | None = None,
    fresh: bool = False,
) -> None:
    """Run the gates NAMES and what they need in a fresh export of REVISION; leave the receipt when all have passed.

    NODE is the folder with the real `node` and `npm`. The log of each gate is kept.

    Raises:
        errors.GateFailed: one did not pass in time, or ran fewer tests than it has to; its log's end is the hint.
        errors.TreeChanged: what would ship holds an absolute or dangling link.
    """
    chosen = graph.select(project.gates.all, names)
    whole = not revision.live and set(chosen) == set(project.gates.all)
    place = room(project, revision) if whole or revision.live else Room(folder=project.work / "trees" / "some")
    tree.hide(project.work)
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(place.folder.with_suffix(".lock")) as waited:
        if waited and whole and not fresh and isinstance(find(project, revision), GatedTree):
            return
        shutil.rmtree(place.folder, ignore_errors=True)
        try:
            source.export(revision, place.export)
            place.log("any").parent.mkdir(parents=True)
            home = place.folder / "home"
            home.mkdir()
            endings = _run_all(place, chosen, environment(project, revision, node, home), jobs or project.gates.jobs)
            if whole:
                tree.stage(place.export, place.ship, include=project.image.include, epoch=revision.epoch)
                receipt = {"key": key(project, revision), "tree": tree.digest(place.ship), "gates": endings}
                tree.write_whole(place.receipt, json.dumps(receipt, indent=2, sort_keys=True).encode())
                shutil.rmtree(place.export)
        except errors.SelfdeployError as exc:
            failure = {"error": type(exc).__name__, "message": exc.message, "hint": exc.hint}
            tree.write_whole(place.failure, json.dumps(failure).encode())
            raise
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
    facts = {"seconds": round(seconds, 1), "log": _digest(output), "command": " ".join(gate.command)}
    return {"passed": True, **facts}


def raise_failure(project: config.Project, revision: source.Revision) -> None:
    """Raise what made the gates of REVISION fail in another process; return when it left no word."""
    try:
        data = json.loads(room(project, revision).failure.read_bytes())
        kind, message, hint = (str(data[name]) for name in ("error", "message", "hint"))
    except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
        return
    kinds = {known.__name__: known for known in errors.SelfdeployError.__subclasses__()}
    raise kinds.get(kind, errors.GateFailed)(message or "the gates did not pass", hint)
