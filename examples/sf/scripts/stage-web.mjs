// Stages Next's standalone server, with its static files, at dist/web/standalone.
import { cpSync, existsSync, renameSync, rmSync, copyFileSync } from "node:fs";

const to = "dist/web/standalone";
rmSync(to, { recursive: true, force: true });
cpSync("web/.next/standalone", to, { recursive: true, verbatimSymlinks: true });
cpSync("web/.next/static", `${to}/.next/static`, { recursive: true });
if (existsSync("web/public")) cpSync("web/public", `${to}/public`, { recursive: true });
renameSync(`${to}/server.js`, `${to}/next-server.js`);
copyFileSync("scripts/server.cjs", `${to}/server.js`);
copyFileSync("scripts/worker.cjs", `${to}/worker.cjs`);
