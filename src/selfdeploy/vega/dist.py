"""The build of the live checkout: in a copy, by the gates' own definition, and then swapped in by rename."""

import contextlib
import datetime
import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import config, errors, manifest, process, source, tree
from selfdeploy.gates import graph, runner
from selfdeploy.gates.room import Room
from selfdeploy.vega import live

LAST = "build-web-host"
"""The gate whose result the server is; it and what it needs is the build."""

FOLDERS = ("dist", "node_modules")
"""What of a checkout is swapped."""

HALF = "swapping.json"
"""Which folders are being swapped; there only while they are."""

DONE = "swapped.json"
"""The same file once they are: an undo gives it its first name back, so that one that is killed is gone on with."""

INSTALLED = Path("node_modules/.package-lock.json")
"""What npm says it installed (npm's documentation of package-lock.json, "Hidden Lockfiles")."""


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Folders of a checkout, each with a new one ready beside it on the same file system."""

    checkout: Path
    names: tuple[str, ...]

    def apply(self) -> None:
        """Put the new ones in by rename, and keep the previous ones aside."""
        aside = room(self.checkout)
        with explained():
            shutil.rmtree(aside / "previous", ignore_errors=True)
            (aside / DONE).unlink(missing_ok=True)
            (aside / "previous").mkdir()
            tree.write_whole(aside / HALF, json.dumps(self.names).encode())
            for name in self.names:
                if (self.checkout / name).exists():
                    (self.checkout / name).rename(aside / "previous" / name)
                (aside / "next" / name).rename(self.checkout / name)
            (aside / HALF).rename(aside / DONE)

    def undo(self) -> None:
        """Put the previous ones back, however far `apply` came; the new ones stay aside, to be looked at.

        Files are only renamed: a disk that is full is no reason not to.
        """
        aside = room(self.checkout)
        if os.path.lexists(aside / DONE) and not os.path.lexists(aside / HALF):
            (aside / DONE).rename(aside / HALF)
        for name in self.names:
            previous, now, after = aside / "previous" / name, self.checkout / name, aside / "next" / name
            if now.exists() and not after.exists():
                now.rename(after)
            if previous.exists() and not now.exists():
                previous.rename(now)
        (aside / HALF).unlink(missing_ok=True)
        shutil.rmtree(aside / "failed", ignore_errors=True)
        with contextlib.suppress(OSError):
            (aside / "next").rename(aside / "failed")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what the file system refuses inside into errors of ours."""
    try:
        yield
    except OSError as exc:
        full = os.strerror(errno.ENOSPC) in str(exc)  # copytree gathers its errors as text
        kind = errors.DiskFull if full else errors.CommandFailed
        raise kind(f"the build was not put into place: {str(exc)[:500]}", "mend it, then again") from exc


def room(checkout: Path) -> Path:
    """Return the folder of CHECKOUT where builds wait and stand aside; git does not see it."""
    return checkout / ".selfdeploy" / "vega"


def recover(checkout: Path) -> None:
    """Undo a swap that was killed half way; nothing when there was none.

    Raises:
        errors.MountRefused: a link leads out of CHECKOUT where its builds wait.
    """
    aside = room(checkout)
    if aside.resolve() != aside:
        raise errors.MountRefused(f"{aside}: leads to {aside.resolve()}", "remove the link")
    if os.path.lexists(aside / HALF):
        with explained():
            Swap(checkout=checkout, names=_begun(aside / HALF)).undo()


def _begun(half: Path) -> tuple[str, ...]:
    """Return which folders HALF names; the server can write it, so all of them where it says nothing of use."""
    try:
        told = json.loads(half.read_bytes()) if stat.S_ISREG(half.lstat().st_mode) else None
    except (OSError, ValueError, RecursionError):
        told = None
    return tuple(name for name in FOLDERS if name in told) if isinstance(told, list) else FOLDERS


def build(project: config.Project, checkout: Path, tell: Callable[[str], None]) -> tuple[Swap, live.Live, live.Stamp]:
    """Build CHECKOUT as it is now in a copy, with the pinned Node, and return what is ready to be swapped in.

    TELL is given a line of progress for each gate.

    Raises:
        errors.GateFailed: a gate of the build did not pass; its log's end is told.
        errors.BuildStale: the build left no server.
    """
    objects = (project.work / "vega-objects").absolute()
    tree.hide(project.work)
    shutil.rmtree(objects, ignore_errors=True)
    made = live.read(checkout, project.source.repository, objects)
    revision = made.revision
    argv = [
        sys.executable,
        "-m",
        "nox",
        "--session",
        "gates",
        "--",
        LAST,
        "--live",
        f"{revision.commit}:{revision.tree}",
    ]
    argv += ["--source", str(revision.checkout)]
    chosen = graph.select(project.gates.all, [LAST])
    place = Room.of(project, revision)
    place.failure.unlink(missing_ok=True)

    def told(line: str) -> None:
        if line.startswith(runner.TELLS):
            tell(line.strip())

    log = project.work / "vega-build.log"
    with log.open("wb") as file:
        limit = sum(gate.timeout for gate in chosen.values()) + 600
        env = {**os.environ, source.OBJECTS: live.quoted(objects)}
        code = process.follow(argv, timeout=limit, cwd=project.root, env=env, log=file, tell=told)
    if code:
        place.raise_failure()
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise errors.GateFailed(f"the build ended with exit code {code}; log: {log}", tail)
    if not (place.export / live.SERVER).is_file():
        raise errors.BuildStale(f"the build left no {live.SERVER}", f"look at the gate {LAST}: {place.log(LAST)}")
    passed = tuple(manifest.Gate(name=name, command=" ".join(gate.command)) for name, gate in chosen.items())
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    built = live.stamp(made, now, passed)
    tree.write_whole(place.export / live.STAMP, built.model_dump_json(indent=2).encode())
    return _stage(place.export, checkout), made, built


def _stage(export: Path, checkout: Path) -> Swap:
    aside = room(checkout)
    names = ["dist"]
    if (export / "node_modules").is_dir() and _installed(export) != _installed(checkout):
        names.append("node_modules")
    with explained():
        shutil.rmtree(aside / "next", ignore_errors=True)
        aside.mkdir(parents=True, exist_ok=True)
        tree.hide(aside.parent)
        for name in names:
            shutil.copytree(export / name, aside / "next" / name, symlinks=True)
    if os.geteuid() == 0:  # what is in a checkout is its owner's, also when root built it
        owner = checkout.stat()
        process.run(["chown", "--recursive", f"{owner.st_uid}:{owner.st_gid}", str(aside.parent)], timeout=120)
    return Swap(checkout=checkout, names=tuple(names))


def _installed(root: Path) -> bytes | None:
    try:
        return (root / INSTALLED).read_bytes()
    except OSError:
        return None
