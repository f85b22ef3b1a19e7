"""Files in a Docker engine's volumes, read and written by containers, because a remote engine lacks our files."""

import hashlib
from collections.abc import Callable

from selfdeploy import errors, process, render
from selfdeploy.engine import Engine
from selfdeploy.process import surroundings

WRITE = """
const fs = require("fs"); const [path, size, sha256] = process.argv.slice(1); const data = fs.readFileSync(0);
const actual = require("crypto").createHash("sha256").update(data).digest("hex");
if (data.length !== Number(size) || actual !== sha256) { console.error("cut short"); process.exit(3); }
const fd = fs.openSync(path + ".new", "w", 0o644); fs.writeFileSync(fd, data); fs.fsyncSync(fd); fs.closeSync(fd);
fs.renameSync(path + ".new", path); process.stdout.write(fs.readFileSync(path));
"""
"""Writes stdin to a file, atomically: a writer that dies half way leaves the previous content."""

NOT_STARTED = 125
"""Exit code of `docker run` if it has started no container (its manual)."""

PASSING = f"{render.LABEL}.passing"
"""Label of the short-lived containers that write or read a file; its value is the file's owner."""

CONFINED = ("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def script(path: str, data: bytes) -> list[str]:
    """Return the arguments for node to write its stdin, which has to be DATA, to PATH."""
    return ["-e", WRITE, path, str(len(data)), hashlib.sha256(data).hexdigest()]


def write(engine: Engine, image: str, owner: str, volume: str, name: str, data: bytes) -> bytes:
    """Write DATA to the file NAME of VOLUME with a container of IMAGE on ENGINE; return the file's new content.

    OWNER is the Compose project, for `sweep`.
    """
    argv = ["run", "--interactive", "--rm", *CONFINED, *surroundings.inside(), f"--label={PASSING}={owner}"]
    argv += ["--user", "0:0"]
    argv += ["--volume", f"{volume}:/v", "--entrypoint", "node", image, *script(f"/v/{name}", data)]
    told = insist(lambda: engine.run(*argv, stdin=data, check=False))
    if told.code:
        raise errors.CommandFailed(f"{engine.name}: {volume}: {name} was not written", told.complaint)
    return told.stdout


def read(engine: Engine, image: str, owner: str, volume: str, name: str) -> process.Outcome:
    """Read the file NAME of VOLUME with a container of IMAGE on ENGINE; return its outcome, with the content as output.

    OWNER is the Compose project, for `sweep`.
    """
    argv = ["run", "--rm", *CONFINED, *surroundings.inside(), f"--label={PASSING}={owner}"]
    argv += ["--volume", f"{volume}:/v:ro", "--entrypoint", "cat", image, f"/v/{name}"]
    return insist(lambda: engine.run(*argv, timeout=300, check=False))


def remove(engine: Engine, image: str, owner: str, volume: str, name: str) -> None:
    """Remove the file NAME of VOLUME, if present, with a container of IMAGE on ENGINE."""
    argv = ["run", "--rm", *CONFINED, f"--label={PASSING}={owner}", "--user", "0:0", "--volume", f"{volume}:/v"]
    argv += surroundings.inside()
    engine.run(*argv, "--entrypoint", "rm", image, "-f", f"/v/{name}", timeout=60)


def insist(run: Callable[[], process.Outcome]) -> process.Outcome:
    """Return the outcome of RUN, a container with output; run it once more if it did not start or printed nothing.

    `sweep` may have removed the container before its start, and a busy engine loses the output of a short-lived one.
    """
    told = run()
    return run() if told.code == NOT_STARTED or not (told.code or told.stdout) else told


def sweep(engine: Engine, owner: str) -> None:
    """Remove OWNER's short-lived containers on ENGINE that were never started, because their creator was killed.

    A started one ends by itself, and is removed then.
    """
    unstarted = ["--filter", f"label={PASSING}={owner}", "--filter", "status=created"]
    if left := engine.run("container", "ls", "--all", "--quiet", *unstarted, timeout=30).text.split():
        engine.run("container", "rm", "--force", "--volumes", *left, check=False)
