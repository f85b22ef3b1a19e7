"""Files in the volumes of a Docker engine, read and written by containers: an engine elsewhere has no files of ours."""

import hashlib

from selfdeploy import process
from selfdeploy.environments.engine import Engine

WRITE = """
const fs = require("fs"); const [path, size, sha256] = process.argv.slice(1); const data = fs.readFileSync(0);
const actual = require("crypto").createHash("sha256").update(data).digest("hex");
if (data.length !== Number(size) || actual !== sha256) { console.error("cut short"); process.exit(3); }
const fd = fs.openSync(path + ".new", "w", 0o644); fs.writeFileSync(fd, data); fs.fsyncSync(fd); fs.closeSync(fd);
fs.renameSync(path + ".new", path); process.stdout.write(fs.readFileSync(path));
"""
"""Writes what it reads to a file, whole or not at all: a writer that dies half way leaves what was there before."""

CONFINED = ("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def script(path: str, data: bytes) -> list[str]:
    """Return the arguments that have a container's node write what it reads, which has to be DATA, to PATH."""
    return ["-e", WRITE, path, str(len(data)), hashlib.sha256(data).hexdigest()]


def write(engine: Engine, image: str, volume: str, name: str, data: bytes) -> bytes:
    """Have a container of IMAGE, on ENGINE, write DATA to the file NAME of VOLUME; return what that then holds."""
    argv = ["run", "--interactive", "--rm", *CONFINED, "--user", "0:0", "--volume", f"{volume}:/v"]
    return engine.run(*argv, "--entrypoint", "node", image, *script(f"/v/{name}", data), stdin=data).stdout


def read(engine: Engine, image: str, volume: str, name: str) -> process.Outcome:
    """Return how it went that a container of IMAGE, on ENGINE, read the file NAME of VOLUME, and what it says."""
    argv = ["run", "--rm", *CONFINED, "--volume", f"{volume}:/v:ro", "--entrypoint", "cat", image, f"/v/{name}"]
    return engine.run(*argv, timeout=300, check=False)
