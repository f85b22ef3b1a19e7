"""The smoke test: the staged tree starts once as in the image, without a network, until it answers."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from selfdeploy import errors, process, tree
from selfdeploy.contents import check
from selfdeploy.contents.namespaces import Namespaces, translate

PATH = "/api/healthz"
TAIL = 40
"""Most lines of the server's output in an error."""

SLACK = 30.0
"""Seconds added to the server's own time limit."""

START = """
const { spawn } = require("node:child_process");
const http = require("node:http");
const [loader, workspace, path, seconds] = process.argv.slice(1);
const env = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const argv = [loader, "server", workspace, "--host", "0.0.0.0", "--port", "4000"];
const server = spawn(process.execPath, argv, { cwd: workspace, env, stdio: ["ignore", "inherit", "inherit"] });
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
    ship: Path,
    *,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
    scratch: Path,
    log: Path,
    seconds: float,
    manifest: bytes,
) -> dict[str, object]:
    """Start the server of SHIP, and return its start-up time once it answers, or the reason not to start it.

    It runs as the image's user, with the contract's command line and variables, the site's own VARIABLES, and a HOME
    and a workspace below SCRATCH. Everything else is read-only, except /tmp, and the only network is loopback.
    ENVIRONMENT has the PATH of node. MANIFEST replaces the release manifest. The server's output goes to LOG.

    Raises:
        errors.StartFailed: it ended, or did not answer within SECONDS; the message has the end of its output.
    """
    if not seconds:
        return {"started": False, "why": "gates.smoke is off"}
    began = time.monotonic()
    with tree.scratch(scratch, "smoke") as folder:
        path = {"PATH": environment["PATH"]}
        given = translate(variables, ship) | _write_surroundings(folder, manifest) | path
        own = Namespaces(tree=ship, folder=folder, alone=True)
        if why := own.find_obstacle("node", path):
            return {"started": False, "why": why}
        argv = [*own.prefix, "node", "-e", START, str(ship / check.LOADER), str(folder / "workspace"), PATH]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            outcome = process.run(
                [*argv, f"{seconds:g}"],
                timeout=seconds + SLACK,
                cwd=folder,
                env=path,
                stdin=json.dumps(given),
                log=file,
                check=False,
            )
    if outcome.code:
        tail = log.read_text(errors="replace").rstrip().splitlines()[-TAIL:]
        raise errors.StartFailed(
            "\n".join([f"the staged server does not start (exit code {outcome.code}); log: {log}", *tail]),
            f"it is started as in the image, without a network, with {_describe(variables)}; gates.smoke_variables in "
            "deploy.toml adds variables, gates.smoke gives it more time",
        )
    return {"started": True, "seconds": round(time.monotonic() - began, 1), "variables": sorted(variables)}


def _describe(variables: Mapping[str, str]) -> str:
    """Return a phrase with the names of VARIABLES, to end a sentence."""
    return f"the variables {', '.join(sorted(variables))}" if variables else "no variables of deploy.toml"


def _write_surroundings(folder: Path, manifest: bytes) -> dict[str, str]:
    """Write the files that a container gives the server into FOLDER, and return the server's variables."""
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
