"""Files in the volumes of a Docker engine, read and written by containers: an engine elsewhere has no files of ours."""

import hashlib
from collections.abc import Callable

from selfdeploy import errors, process, render, surroundings
from selfdeploy.environments.engine import Engine

WRITE = """
const fs = require("fs"); const [path, size, sha256] = process.argv.slice(1); const data = fs.readFileSync(0);
const actual = require("crypto").createHash("sha256").update(data).digest("hex");
if (data.length !== Number(size) || actual !== sha256) { console.error("cut short"); process.exit(3); }
const fd = fs.openSync(path + ".new", "w", 0o644); fs.writeFileSync(fd, data); fs.fsyncSync(fd); fs.closeSync(fd);
fs.renameSync(path + ".new", path); process.stdout.write(fs.readFileSync(path));
"""
"""Writes what it reads to a file, whole or not at all: a writer that dies half way leaves what was there before."""

NOT_STARTED = 125
"""What docker run exits with where it has started no container (its manual)."""

PASSING = f"{render.LABEL}.passing"
"""Labels a container that writes or reads a file and goes, with whose file it is."""

CONFINED = ("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def script(path: str, data: bytes) -> list[str]:
    """Return the arguments that have a container's node write what it reads, which has to be DATA, to PATH."""
    return ["-e", WRITE, path, str(len(data)), hashlib.sha256(data).hexdigest()]


def write(engine: Engine, image: str, owner: str, volume: str, name: str, data: bytes) -> bytes:
    """Have a container of IMAGE, on ENGINE, write DATA to the file NAME of VOLUME; return what that then holds.

    OWNER is whose volume it is, as `sweep` is told.
    """
    argv = ["run", "--interactive", "--rm", *CONFINED, *surroundings.inside(), f"--label={PASSING}={owner}"]
    argv += ["--user", "0:0"]
    argv += ["--volume", f"{volume}:/v", "--entrypoint", "node", image, *script(f"/v/{name}", data)]
    told = insist(lambda: engine.run(*argv, stdin=data, check=False))
    if told.code:
        raise errors.CommandFailed(f"{engine.name}: {volume}: {name} was not written", told.complaint)
    return told.stdout


def read(engine: Engine, image: str, owner: str, volume: str, name: str) -> process.Outcome:
    """Return how it went that a container of IMAGE, on ENGINE, read the file NAME of VOLUME, and what it says.

    OWNER is whose volume it is, as `sweep` is told.
    """
    argv = ["run", "--rm", *CONFINED, *surroundings.inside(), f"--label={PASSING}={owner}"]
    argv += ["--volume", f"{volume}:/v:ro", "--entrypoint", "cat", image, f"/v/{name}"]
    return insist(lambda: engine.run(*argv, timeout=300, check=False))


def remove(engine: Engine, image: str, owner: str, volume: str, name: str) -> None:
    """Have a container of IMAGE, on ENGINE, remove the file NAME of VOLUME, if it is there."""
    argv = ["run", "--rm", *CONFINED, f"--label={PASSING}={owner}", "--user", "0:0", "--volume", f"{volume}:/v"]
    argv += surroundings.inside()
    engine.run(*argv, "--entrypoint", "rm", image, "-f", f"/v/{name}", timeout=60)


def insist(run: Callable[[], process.Outcome]) -> process.Outcome:
    """Return how it went that a container did what prints something, as RUN has it do: once more where it said nothing.

    It may have been swept away before it was started; and an engine with much to do loses the output of what ends soon.
    """
    told = run()
    return run() if told.code == NOT_STARTED or not (told.code or told.stdout) else told


def sweep(engine: Engine, owner: str) -> None:
    """Remove the containers that were made on ENGINE to write and read for OWNER, and whose maker was killed too soon.

    One that was started ends by itself, and goes.
    """
    unstarted = ["--filter", f"label={PASSING}={owner}", "--filter", "status=created"]
    if left := engine.run("container", "ls", "--all", "--quiet", *unstarted, timeout=30).text.split():
        engine.run("container", "rm", "--force", "--volumes", *left, check=False)
