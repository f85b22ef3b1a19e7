import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { constants } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArguments, UsageError } from "./arguments.js";
import { askVersion, NoAnswer } from "./ask.js";
import { isSame, readBuild } from "./build.js";

const fail = (text: string, code: number): never => {
  console.error(`sf: ${text}`);
  process.exit(code);
};

const serve = (folder: string, host: string, port: number): void => {
  const cwd = resolve(folder);
  if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) fail(`server: ${cwd}: no such folder`, 2);
  const child = spawn(process.execPath, [fileURLToPath(new URL("./web/standalone/server.js", import.meta.url))], {
    stdio: ["inherit", "inherit", "inherit", "ipc"], // the child sees the channel close when this process is killed
    env: { ...process.env, SF_WEB_PROJECT_CWD: cwd, SF_WEB_HOST: host, SF_WEB_PORT: String(port) },
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`server: ${error.message}`, 1));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal ?? "SIGKILL"]));
};

const compare = async (server: URL): Promise<void> => {
  const own = readBuild();
  const told = await askVersion(server);
  console.log(`${server.origin}: ${told.name} ${told.version} ${told.revision}`);
  if (own.revision === "unknown") fail("this build has no revision to compare with: build with SF_BUILD_REVISION", 1);
  if (!isSame(own, told)) fail(`expected ${own.name} ${own.revision}, actual ${told.name} ${told.revision}`, 1);
};

const wanted = (() => {
  try {
    return parseArguments(process.argv.slice(2));
  } catch (error) {
    if (error instanceof UsageError) return fail(error.message, 2);
    throw error;
  }
})();
if (wanted.command === "server") {
  serve(wanted.folder, wanted.host, wanted.port);
} else if (wanted.server) {
  const { server } = wanted;
  await compare(server).catch((error: unknown) => {
    if (error instanceof NoAnswer) fail(`${server.origin}: ${error.message}`, 3);
    throw error;
  });
} else {
  const { name, version, revision } = readBuild();
  console.log(`${name} ${version} ${revision}`);
}
