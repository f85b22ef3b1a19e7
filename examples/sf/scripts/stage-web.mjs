// Stages Next's standalone server, with its static files, at dist/web/standalone.
import { copyFileSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { resolve } from "node:path";

const to = "dist/web/standalone";
rmSync(to, { recursive: true, force: true });
cpSync("web/.next/standalone", to, { recursive: true, verbatimSymlinks: true });
cpSync("web/.next/static", `${to}/.next/static`, { recursive: true });
if (existsSync("web/public")) cpSync("web/public", `${to}/public`, { recursive: true });
renameSync(`${to}/server.js`, `${to}/next-server.js`);
copyFileSync("scripts/server.cjs", `${to}/server.js`);
copyFileSync("scripts/worker.cjs", `${to}/worker.cjs`);
// The server shares a workspace package with the CLI; builds that trace files leave such links, absolute ones.
mkdirSync(`${to}/node_modules/@sf`, { recursive: true });
symlinkSync(resolve("packages/durations"), `${to}/node_modules/@sf/durations`);
