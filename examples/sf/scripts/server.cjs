// Stands before Next's own server: where to listen, and how to end.
const { randomBytes } = require("node:crypto");
const { linkSync, mkdirSync, unlinkSync, writeFileSync } = require("node:fs");
const http = require("node:http");

process.env.HOSTNAME = process.env.SF_WEB_HOST ?? "127.0.0.1";
process.env.PORT = process.env.SF_WEB_PORT ?? "4000";
process.env.NEXT_MANUAL_SIG_HANDLE = "1";
process.env.SF_BUILD_FILE ??= require("node:path").join(__dirname, "../../build.json");
process.env.SF_STARTED_AT = new Date().toISOString();

// Without a token from outside, the first start makes one: whole or not there, and kept over restarts.
const folder = `${process.env.HOME}/.sf`;
mkdirSync(folder, { recursive: true });
if (!process.env.SF_AUTH_TOKEN) {
  const scratch = `${folder}/.token.${process.pid}.${randomBytes(4).toString("hex")}`;
  writeFileSync(scratch, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
  try {
    linkSync(scratch, `${folder}/token`);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  } finally {
    unlinkSync(scratch);
  }
}

const servers = new Set();
const listen = http.Server.prototype.listen;
http.Server.prototype.listen = function (...given) {
  servers.add(this);
  return listen.apply(this, given);
};

const drain = () => {
  if (globalThis.sfDraining) return;
  globalThis.sfDraining = true;
  // Others see the 503 of /api/ready first; then nothing new is taken, and what is under way is answered.
  setTimeout(() => {
    setTimeout(() => process.exit(0), 7000).unref();
    let open = servers.size;
    for (const server of servers) {
      server.close(() => --open || process.exit(0));
      server.closeIdleConnections();
    }
    if (!open) process.exit(0);
  }, Number(process.env.SF_DRAIN_MS ?? 200));
};
process.on("SIGTERM", drain);
process.on("SIGINT", drain);

require("./next-server.js");
