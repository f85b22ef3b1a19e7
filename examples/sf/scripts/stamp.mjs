// Writes down which build this is; the running server takes its revision from nowhere else.
import { readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";

const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
const revision = process.env.SF_BUILD_REVISION ?? "unknown";
rmSync("dist/sf.js", { force: true });
symlinkSync("loader.js", "dist/sf.js"); // the name that people call it by
writeFileSync("dist/build.json", JSON.stringify({ name, version, revision }) + "\n");
