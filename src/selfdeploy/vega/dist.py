"""The build of the live checkout: run as gates in a copy, then staged for a swap by rename."""

import datetime
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from selfdeploy import config, errors, manifest, process, tree
from selfdeploy.gates import graph, runner
from selfdeploy.gates.room import NOX, Room
from selfdeploy.process import surroundings
from selfdeploy.source import git
from selfdeploy.vega import links, live, output, places, swap

LAST = "build-web-host"
"""The gate that builds the server; the build is this gate and its requirements."""

SHOWN = 5
"""Maximum number of paths in a note."""


def build(
    project: config.Project, checkout: Path, tell: Callable[[str], None]
) -> tuple[swap.Swap, live.Live, live.Stamp]:
    """Build a copy of CHECKOUT's current files with the pinned Node, and stage the result for a swap.

    TELL receives a line of progress for each gate.

    Raises:
        errors.GateFailed: a gate of the build failed; the message names the log, the hint is its end. A cause recorded
            by the gates' process is raised instead, as its own class.
        errors.BuildStale: the build wrote no server, or git does not ignore it.
        errors.MountRefused: one of the person's files or folders is in the build's way.
    """
    objects = (project.work / "vega-objects").absolute()
    tree.hide(project.work)
    shutil.rmtree(objects, ignore_errors=True)
    made = live.read(checkout, project.source.repository, objects, project.source.submodules)
    revision = made.revision
    argv = [*NOX, LAST, "--live", f"{revision.commit}:{revision.tree}", "--source", str(revision.checkout)]
    chosen = graph.select(project.gates.all, [LAST])
    place = Room.of(project, revision)
    place.failure.unlink(missing_ok=True)

    def told(line: str) -> None:
        if line.startswith(runner.TELLS):
            tell(line.strip())

    log = project.work / "vega-build.log"
    with log.open("wb") as file:
        limit = sum(gate.timeout for gate in chosen.values()) + 600
        env = {**surroundings.read("nox"), git.OBJECTS: live.quoted(objects)}
        code = process.follow(argv, timeout=limit, cwd=project.root, env=env, log=file, tell=told)
    if code:
        place.raise_failure()
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise errors.GateFailed(f"the build ended with exit code {code}; log: {log}", tail)
    if not (place.export / live.SERVER).is_file():
        raise errors.BuildStale(f"the build left no {live.SERVER}", f"look at the gate {LAST}: {place.log(LAST)}")
    redefined = project.gates.redefined
    passed = tuple(
        manifest.Gate(name=name, command=" ".join(gate.command), redefined=name in redefined)
        for name, gate in chosen.items()
    )
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    built = live.stamp(made, now, passed)
    tree.write_whole(place.export / live.STAMP, built.model_dump_json(indent=2).encode())
    return _stage(made, place.export, objects, tell), made, built


def _stage(made: live.Live, export: Path, objects: Path, tell: Callable[[str], None]) -> swap.Swap:
    """Move the build's output from EXPORT to a folder beside the checkout, on the same file system.

    Raises:
        errors.BuildStale: git does not ignore the built server.
        errors.MountRefused: one of the person's files or folders is in the build's way.
    """
    checkout = made.revision.checkout
    aside = swap.room(checkout)
    found = output.read(made, export, objects)
    if live.SERVER.as_posix() not in found.made:
        raise errors.BuildStale(f"{checkout}: git does not ignore {live.SERVER}", "add dist/ to its .gitignore")
    _note(tell, "not swapped in, for git does not ignore it", found.unignored)
    chosen = places.choose(found, export, checkout)
    _note(tell, "yours stays", chosen.kept)
    with swap.explained():
        shutil.rmtree(aside / "next", ignore_errors=True)
        swap.discard_previous(checkout)
        aside.mkdir(parents=True, exist_ok=True)
        tree.hide(aside.parent)
        for name in chosen.replaced:
            links.make_relative(export / name, export)
            _move(export / name, aside / "next" / name)
        record = json.dumps(sorted(found.made - {*chosen.kept})).encode()
        tree.write_whole(aside / "next" / swap.RECORD, record)
    if os.geteuid() == 0:  # the checkout's owner owns its files, also after a build by root
        owner = checkout.stat()
        process.run(["chown", "--recursive", f"{owner.st_uid}:{owner.st_gid}", str(aside.parent)], timeout=120)
    return swap.Swap(checkout=checkout, names=(*chosen.replaced, swap.RECORD), stale=chosen.stale)


def _note(tell: Callable[[str], None], what: str, names: tuple[str, ...]) -> None:
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        tell(f"{what}: {', '.join(names[:SHOWN])}{more}")


def _move(path: Path, to: Path) -> None:
    """Move PATH to TO; copy it if TO is on another file system."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.rename(to)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, to, symlinks=True)
        else:
            shutil.copy2(path, to, follow_symlinks=False)
