"""The staged tree started once as the image starts it, without a network, until it answers."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from selfdeploy import errors, process, tree
from selfdeploy.contents import check

OWN = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--")
"""Gives a command namespaces of its own; all processes in them end with it."""

PATH = "/api/healthz"
TAIL = 40
"""Lines of the server's output in an error."""

SLACK = 30.0
"""Seconds on top of the server's own."""

START = """
const { spawn } = require("node:child_process");
const http = require("node:http");
const [loader, workspace, path, seconds] = process.argv.slice(1);
const argv = [loader, "server", workspace, "--host", "0.0.0.0", "--port", "4000"];
const server = spawn(process.execPath, argv, { cwd: workspace, stdio: ["ignore", "inherit", "inherit"] });
let last = "no connection";
const end = (why) => {
  console.error(`smoke: ${why}`);
  process.exit(1);
};
server.on("exit", (code, signal) => end(`the server ended with ${signal ?? `exit code ${code}`}`));
setTimeout(() => end(`no answer to ${path} within ${seconds} s; last: ${last}`), Number(seconds) * 1000);
const ask = () => {
  const again = (why) => {
    last = why;
    setTimeout(ask, 100);
  };
  const request = http.get({ host: "127.0.0.1", port: 4000, path, timeout: 5000 }, (response) => {
    response.resume();
    response.statusCode === 200 ? process.exit(0) : again(`HTTP ${response.statusCode}`);
  });
  request.on("timeout", () => request.destroy(new Error("no answer after 5 s")));
  request.on("error", (error) => again(error.message));
};
ask();
"""


def start(
    ship: Path, *, environment: Mapping[str, str], scratch: Path, log: Path, seconds: float, manifest: bytes
) -> dict[str, object]:
    """Start the server of SHIP, and return once it has answered; or the reason why it was not started.

    It runs as the image's user, with the contract's command line and variables, a HOME and a workspace below SCRATCH,
    SHIP read-only, and no network but loopback. ENVIRONMENT has the PATH of node. MANIFEST stands for the release
    manifest. Its output goes to LOG.

    Raises:
        errors.StartFailed: it ended, or did not answer within SECONDS; the end of its output is in the message.
    """
    if not seconds:
        return {"started": False, "why": "gates.smoke is off"}
    own = [*OWN, sys.executable, "-I", str(Path(__file__).with_name("sandbox.py")), str(ship)]
    began = time.monotonic()
    with tree.scratch(scratch, "smoke") as folder:
        variables = _write_surroundings(folder, manifest) | {"PATH": environment["PATH"]}
        if why := _try(own, ship, variables):
            return {"started": False, "why": why}
        argv = [*own, "node", "-e", START, str(ship / check.LOADER), str(folder / "workspace"), PATH, f"{seconds:g}"]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            outcome = process.run(argv, timeout=seconds + SLACK, cwd=folder, env=variables, log=file, check=False)
    if outcome.code:
        tail = log.read_text(errors="replace").rstrip().splitlines()[-TAIL:]
        raise errors.StartFailed(
            "\n".join([f"the staged server does not start (exit code {outcome.code}); log: {log}", *tail]),
            "it is started as in the image, without a network; gates.smoke in deploy.toml gives it more time",
        )
    return {"started": True, "seconds": round(time.monotonic() - began, 1)}


def _try(own: list[str], ship: Path, variables: Mapping[str, str]) -> str:
    """Return why nothing of SHIP can be started in namespaces of its own here; empty if it can."""
    try:
        argv = [*own, "node", "-e", "require('node:fs').readFileSync(process.argv[1])", str(ship / check.LOADER)]
        outcome = process.run(argv, timeout=SLACK, env=variables, check=False)
    except (errors.ToolMissing, errors.CommandTimedOut) as exc:
        return exc.message
    return (outcome.complaint or f"unshare: exit code {outcome.code}") if outcome.code else ""


def _write_surroundings(folder: Path, manifest: bytes) -> dict[str, str]:
    """Write into FOLDER what the server finds in a container, and return its variables."""
    for name in ("home", "workspace"):
        (folder / name).mkdir()
    (folder / "sf-release-manifest.json").write_bytes(manifest)
    return {
        "HOME": str(folder / "home"),
        "NODE_ENV": "production",
        "SF_RELEASE_MANIFEST": str(folder / "sf-release-manifest.json"),
        "SF_WEB_PROJECT_CWD": str(folder / "workspace"),
        "SF_WEB_HOST": "0.0.0.0",  # noqa: S104 -- in a network of its own
        "SF_WEB_PORT": "4000",
    }
