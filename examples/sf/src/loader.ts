import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { milliseconds } from "@sf/durations";
import { parseArguments, UsageError } from "./arguments.js";
import { readBuild } from "./build.js";

const fail = (text: string, code: number): never => {
  console.error(`sf: ${text}`);
  process.exit(code);
};

const serve = (folder: string, host: string, port: number): void => {
  const cwd = resolve(folder);
  if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) fail(`server: ${cwd}: no such folder`, 2);
  const child = spawn(process.execPath, [fileURLToPath(new URL("./web/standalone/server.js", import.meta.url))], {
    stdio: "inherit",
    env: { ...process.env, SF_WEB_PROJECT_CWD: cwd, SF_WEB_HOST: host, SF_WEB_PORT: String(port) },
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGKILL" ? 137 : 1)));
};

const compare = async (server: string): Promise<void> => {
  const own = readBuild();
  let told: { version?: string; revision?: string } = {};
  try {
    const signal = AbortSignal.timeout(milliseconds("5s"));
    const response = await fetch(new URL("/api/version", server), { redirect: "error", signal });
    told = (await response.json()) as typeof told;
  } catch (error) {
    fail(`${server}: does not answer (${(error as Error).name})`, 3);
  }
  console.log(`${server}: sf ${told.version} ${told.revision}`);
  if (told.revision !== own.revision) fail(`expected ${own.revision}, actual ${told.revision}`, 1);
};

try {
  const wanted = parseArguments(process.argv.slice(2));
  if (wanted.command === "server") serve(wanted.folder, wanted.host, wanted.port);
  else if (wanted.server) await compare(wanted.server);
  else console.log(`sf ${readBuild().version} ${readBuild().revision}`);
} catch (error) {
  if (error instanceof UsageError) fail(error.message, 2);
  throw error;
}
