// Stands before Next's own server: where to listen, and how to end.
const { mkdirSync } = require("node:fs");
const http = require("node:http");

process.env.HOSTNAME = process.env.SF_WEB_HOST ?? "127.0.0.1";
process.env.PORT = process.env.SF_WEB_PORT ?? "4000";
process.env.NEXT_MANUAL_SIG_HANDLE = "1";
process.env.SF_BUILD_FILE ??= require("node:path").join(__dirname, "../../build.json");
process.env.SF_STARTED_AT = new Date().toISOString();
mkdirSync(`${process.env.HOME}/.sf`, { recursive: true });

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
