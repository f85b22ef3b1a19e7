"""The run of the gates: on an export of the revision, as early as their needs allow, each with its log."""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfdeploy import ages, config, contents, process, provenance, source, tree
from selfdeploy.gates import (
    aside,
    counting,
    graph,
    headers,
    isolation,
    keeping,
    listing,
    receipt,
    recorder,
    scripts,
    signatures,
    staging,
    verdict,
)
from selfdeploy.gates.attempt import Attempt
from selfdeploy.gates.count import Count
from selfdeploy.gates.room import Room

TELLS = "gate"
"""Prefix of a line of progress; the rest of nox's output stays in its log."""


def environment(project: config.Project, revision: source.Revision, programs: Path, home: Path) -> dict[str, str]:
    """Return the whole environment of a gate: PROGRAMS first on PATH, our settings, and the config's variables."""
    return {
        **process.environment(project.gates.inherited),
        **project.gates.variables,
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "CI": "true",
        "SF_BUILD_REVISION": revision.commit,
        "npm_config_cache": str(project.work / "npm"),
        **headers.environment(programs),
        "npm_config_loglevel": "notice",  # npm's default: in a quieter log npm 12 does not name skipped scripts
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
    """Run the gates NAMES and their needs in an export of REVISION; write the receipt if all gates have passed.

    A run of all gates resumes at the last failure, unless FRESH; named gates begin with a new export. PROGRAMS is the
    folder with `node`, `npm` and further tools. The log of each gate is kept.

    Raises:
        errors.GateFailed: a gate failed, timed out, or ran too few tests.
        errors.CountUnreadable: the log of a test gate has no count of tests.
        errors.ScriptsBlocked: npm did not run install scripts.
        errors.PackagesUnsigned, errors.SignaturesUnknown: as `signatures.audit` does.
        errors.TreeChanged: links of shipped files lead out of the export, or nowhere.
        errors.SourceUnusable, errors.ContentsIncomplete, errors.StartFailed: as `staging.stage` does.
    """
    chosen = graph.select(project.gates.all, names)
    whole = not revision.live and set(chosen) == set(project.gates.all)
    place = Room.of(project, revision) if whole or revision.live else Room(folder=project.work / "trees" / "some")
    jobs = jobs or project.gates.jobs
    tree.hide(project.work)
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    aside.delete_later(place.folder.parent)
    with _alone(place.folder.with_suffix(".lock")) as waited:
        if waited and whole and not fresh and isinstance(receipt.find(project, revision), receipt.GatedTree):
            return
        order = graph.rank(chosen, keeping.read_seconds(place.folder.parent), jobs)
        attempt = Attempt(place=place, revision=revision, tell=_tell, recorded=whole)
        try:
            apart = _isolate(project)
            endings = attempt.begin(project, chosen, fresh=fresh)
            headers.lay_out(programs, place.home)
            env = environment(project, revision, programs, place.home)
            attempt.settle()
            _run_all(attempt, chosen, env, apart, order, jobs, endings)
            if whole:
                _finish(project, attempt, env, apart, endings)
        finally:
            keeping.prune(place)


def _finish(
    project: config.Project,
    attempt: Attempt,
    env: Mapping[str, str],
    apart: Sequence[str],
    endings: Mapping[str, object],
) -> None:
    """Audit the packages of the passed export, lay out its shipped files, and write the receipt with ENDINGS."""
    place, revision = attempt.place, attempt.revision
    audited = signatures.audit(project, place, env, apart, _tell)
    files, size = listing.measure(place, attempt.state.latest)
    _tell(f"laying out what ships of {files:,} files")
    try:
        digest, facts = staging.stage(project, revision, place, env, _tell)
    except BaseException:
        attempt.staged()
        raise
    key = receipt.key(project, revision)
    sizes = {"export": size, "ship": keeping.measure(place.ship)[1]}
    passed = {"key": key, "tree": digest, "gates": endings, "bytes": sizes}
    passed["contents"] = {**facts, "signatures": audited}
    tree.write_whole(place.receipt, json.dumps(passed, indent=2, sort_keys=True).encode())
    keeping.clear(place)


def _tell(line: str) -> None:
    """Print LINE for the process that shows the progress."""
    print(f"{TELLS}s: {line}", file=sys.stderr, flush=True)


def _isolate(project: config.Project) -> Sequence[str]:
    """Return the argv prefix that gives each gate its own namespaces; print the machine's reason if it refuses."""
    apart, why = isolation.find(project.gates.isolation)
    if why:
        _tell(f"without namespaces of their own: {why.splitlines()[-1]}")
    return apart


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Lock PATH for the block, after any other run of these gates; give True if there was one.

    The holder of the lock writes its identity into the file, for waiting runs to print.
    """
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            waited = False
        except BlockingIOError:
            who = path.read_text(errors="replace")[:200].strip() or "another run of them"
            print(f"{TELLS}s: waiting for {who}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
            waited = True
        file.truncate(0)
        file.write(f"{provenance.read_holder().who}, process {os.getpid()}, since {ages.now()}\n".encode())
        file.flush()
        yield waited


def _run_all(
    attempt: Attempt,
    chosen: Mapping[str, config.Gate],
    env: Mapping[str, str],
    apart: Sequence[str],
    order: Sequence[str],
    jobs: int,
    endings: dict[str, Any],
) -> None:
    """Run the CHOSEN gates without ENDINGS, each after the argv prefix APART, and add their endings."""
    place, running = attempt.place, process.Running()
    left = {name: gate for name, gate in chosen.items() if name not in endings}
    under_way = dict[concurrent.futures.Future[dict[str, object]], str]()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            while left or under_way:
                for name in graph.ready(left, endings, order)[: jobs - len(under_way)]:
                    attempt.started(name, left[name])
                    print(f"{TELLS} {name} started", file=sys.stderr, flush=True)
                    under_way[pool.submit(_run_one, place, name, left.pop(name), env, apart, running)] = name
                done, _ = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    name = under_way.pop(future)
                    facts = future.result()
                    if not attempt.revision.live:  # a live checkout ships nothing
                        contents.refuse_outward_links(attempt.place.export, name)
                    endings[name] = {**facts, "attempt": attempt.state.attempt}
                    attempt.passed(name, endings[name])
                    print(f"{TELLS} {_said(name, endings[name])}", file=sys.stderr, flush=True)
        finally:
            running.close()


def _said(name: str, ending: Mapping[str, object]) -> str:
    """Return one line on the end of the gate NAME."""
    tests = Count.read(ending.get("tests"))
    return f"{name} passed in {ending['seconds']} s{f': {tests}' if tests else ''}"


def _run_one(
    place: Room,
    name: str,
    gate: config.Gate,
    env: Mapping[str, str],
    apart: Sequence[str],
    running: process.Running,
) -> dict[str, object]:
    began, counted = time.monotonic(), counting.is_counted(gate)
    records = place.log(name).with_suffix(".tests")
    records.unlink(missing_ok=True)
    with place.log(name).open("wb") as log:
        told = recorder.environment(env, records) if counted else env
        code = running.run_logged([*apart, *gate.command], timeout=gate.timeout, cwd=place.export, env=told, log=log)
    seconds = time.monotonic() - began
    if counted:
        with place.log(name).open("ab") as log:
            log.write(counting.trailer(recorder.read(records, _read(place.log(name)), place.export)).encode())
    output = _read(place.log(name))
    timed_out = code in process.TIMED_OUT and seconds >= gate.timeout
    blocked = [] if code else _list_blocked(place, name, gate, env)
    log_path = str(place.log(name))
    if refusal := verdict.refusal(name, gate, code, output, timed_out=timed_out, log=log_path, blocked=blocked):
        raise refusal
    facts = {"seconds": round(seconds, 1), "log": receipt.digest(output), "command": " ".join(gate.command)}
    count = counting.count(output, gate.tests_pattern) if counted else None
    return {"passed": True, **facts, **({"tests": count.as_data()} if count else {})}


def _list_blocked(place: Room, name: str, gate: config.Gate, env: Mapping[str, str]) -> list[str]:
    """Return the packages whose install scripts npm did not run for the gate NAME, if its log may not name them."""
    known = config.REQUIRED.get(name)
    folder = scripts.place(name, gate.command, known.command) if known else None
    return contents.Npm(environment=env).list_blocked(place.export / folder) if folder else []


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
