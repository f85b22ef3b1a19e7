"""A live checkout as small as the contract allows: its gates take a second, and it serves as SF does."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

FILES = {
    ".gitignore": "dist/\nnode_modules/\n",
    "package.json": '{"name": "sf", "version": "1.0.0", "private": true, "files": ["dist"]}\n',
    "build.mjs": """
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
const to = "dist/web/standalone";
mkdirSync(to, { recursive: true });
writeFileSync(`${to}/build.json`, JSON.stringify({ revision: process.env.SF_BUILD_REVISION }));
writeFileSync(`${to}/server.js`, readFileSync("server.cjs"));
""",
    "server.cjs": """
const { createHash } = require("node:crypto");
const { execSync } = require("node:child_process");
const { mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const { hostname } = require("node:os");
const WORD = "one";
const { revision } = JSON.parse(readFileSync(`${__dirname}/build.json`));
const bytes = readFileSync(process.env.SF_RELEASE_MANIFEST);
const told = JSON.parse(bytes);
const version = {
  name: "sf", version: "1.0.0", revision, dirty: told.source.dirty, word: WORD, instance: hostname(),
  release: `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
  image: `${told.image.repository}@${told.image.digest}`,
};
const answers = {
  "/api/healthz": () => ({ status: "ok" }),
  "/api/ready": () => ({ status: "ready" }),
  // Read now, not at the start: what is under a server that runs must stay what it was.
  "/api/version": () => ({ ...version, disk: /WORD = "(.*)"/.exec(readFileSync(__filename, "utf8"))[1] }),
  "/api/write": () => {
    for (const folder of [".", `${process.env.HOME}/.sf`]) writeFileSync(`${folder}/written`, "by the server");
    return { status: execSync("git status --porcelain", { encoding: "utf8" }) };
  },
};
mkdirSync(`${process.env.HOME}/.sf`, { recursive: true });
process.chdir(process.env.SF_WEB_PROJECT_CWD);
const server = require("node:http").createServer((request, response) => {
  const answer = answers[request.url];
  response.writeHead(answer ? 200 : 404, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(answer ? answer() : {}));
});
server.listen(Number(process.env.SF_WEB_PORT), process.env.SF_WEB_HOST);
process.on("SIGTERM", () => server.close(() => process.exit(0)));
""",
}

GATES = """
[gates.override.npm-ci]
command = ["node", "--version"]
[gates.override.web-npm-ci]
command = ["node", "--version"]
[gates.override.build-core]
command = ["node", "--version"]
[gates.override.build-web-host]
command = ["node", "build.mjs"]
needs = ["npm-ci", "web-npm-ci", "build-core"]
"""
"""What deploy.toml says of its gates: the same names, and nothing to download."""


@dataclass(frozen=True)
class Checkout:
    """A git work tree."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Checkout":
        """Return a new checkout in FOLDER, with one commit."""
        folder.mkdir(parents=True)
        for name, text in FILES.items():
            (folder / name).write_text(text)
        made = cls(folder)
        made.git("init", "--quiet")
        made.commit("one")
        return made

    def git(self, *argv: str) -> str:
        """Run git here and return what it printed."""
        who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        done = subprocess.run(
            ["git", "-C", str(self.folder), *who, *argv], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit all there is, and return the revision."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def add_submodule(self, path: str, origin: Path) -> None:
        """Commit the repository at ORIGIN as a submodule at PATH, with its clone and those in it."""
        allowed = ("-c", "protocol.file.allow=always")
        self.git(*allowed, "submodule", "--quiet", "add", str(origin), path)
        self.git(*allowed, "submodule", "--quiet", "update", "--init", "--recursive")
        self.commit(f"submodule {path}")

    def edit(self, old: str, new: str, name: str = "server.cjs") -> None:
        """Put NEW in the place of OLD in the file NAME."""
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
