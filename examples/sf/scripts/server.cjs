// Stands before Next's own server: where to listen, and how to end.
const { fork } = require("node:child_process");
const { randomBytes } = require("node:crypto");
const { linkSync, mkdirSync, rmSync, writeFileSync } = require("node:fs");
const http = require("node:http");
const { join } = require("node:path");
const { milliseconds } = require("@sf/durations");

process.env.HOSTNAME = process.env.SF_WEB_HOST ?? "127.0.0.1";
process.env.PORT = process.env.SF_WEB_PORT ?? "4000";
process.env.NEXT_MANUAL_SIG_HANDLE = "1";
process.env.SF_BUILD_FILE = join(__dirname, "../../build.json"); // no word from outside changes which build this is
process.env.SF_STARTED_AT = new Date().toISOString();

/** Have a token in FOLDER: whole or not there, only for its owner, and the first one made is kept. */
const makeToken = (folder) => {
  const scratch = `${folder}/.token.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    writeFileSync(scratch, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flag: "wx", flush: true });
    linkSync(scratch, `${folder}/token`);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  } finally {
    rmSync(scratch, { force: true });
  }
};

try {
  const folder = `${process.env.HOME}/.sf`;
  mkdirSync(folder, { recursive: true });
  if (!process.env.SF_AUTH_TOKEN) makeToken(folder);
} catch (error) {
  console.error(`sf: ${error.message}`); // it starts, is never ready, and /api/ready says why
}

const WORKERS = 8; // at most
const workers = new Set();
globalThis.sfWorkers = {
  list: () => [...workers].map((worker) => worker.pid),
  start: ({ stubborn, detached }) =>
    new Promise((resolve, reject) => {
      if (globalThis.sfDraining || workers.size >= WORKERS) throw new Error("no more workers");
      const argv = stubborn ? ["stubborn"] : [];
      const worker = fork(join(__dirname, "worker.cjs"), argv, { detached, stdio: ["ignore", "inherit", "inherit", "ipc"] });
      workers.add(worker);
      worker.on("exit", () => workers.delete(worker));
      worker.once("error", reject);
      worker.once("message", () => resolve(worker.pid)); // it runs, and listens to signals as it should
      worker.send("ready?");
    }),
};

const servers = new Set();
const underWay = new Set();

/** Answer, and then close the connection: a proxy would keep it, and this process with it. */
const answerLast = (response) => {
  response.shouldKeepAlive = false;
  response.on("finish", () => response.req.socket.end());
};

const listen = http.Server.prototype.listen;
http.Server.prototype.listen = function (...given) {
  servers.add(this);
  this.prependListener("request", (_, response) => {
    underWay.add(response);
    response.on("close", () => underWay.delete(response));
    if (globalThis.sfDraining) answerLast(response);
  });
  return listen.apply(this, given);
};

const drain = () => {
  if (globalThis.sfDraining) return;
  globalThis.sfDraining = true;
  for (const worker of workers) worker.kill();
  for (const response of underWay) answerLast(response);
  // Others see the 503 of /api/ready first; then nothing new is taken, and what is under way is answered.
  setTimeout(() => {
    setTimeout(() => process.exit(0), 7000);
    let open = servers.size;
    for (const server of servers) {
      server.close(() => --open || process.exit(0));
      server.closeIdleConnections();
    }
    if (!open) process.exit(0);
  }, milliseconds(process.env.SF_DRAIN_MS ?? "200"));
};
for (const ending of ["SIGTERM", "SIGINT", "disconnect"]) process.on(ending, drain); // the last: the loader was killed

require("./next-server.js");
