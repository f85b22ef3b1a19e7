// Writes down which build this is; the running server takes its revision from nowhere else.
import { readFileSync, writeFileSync } from "node:fs";

const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
const revision = process.env.SF_BUILD_REVISION ?? "unknown";
writeFileSync("dist/build.json", JSON.stringify({ name, version, revision }) + "\n");
