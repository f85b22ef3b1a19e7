// make.mjs WEB STANDALONE: put the application's own routes, from its sources in WEB, on Node's own HTTP server in
// STANDALONE, in place of Next's, which is 40 MB and takes a second to start.
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";

const [web, standalone] = process.argv.slice(2);
for (const name of globSync([".next", "node_modules/{*,.*}"], { cwd: standalone }))
  if (!name.endsWith("@sf")) rmSync(join(standalone, name), { recursive: true });
for (const name of globSync(["app/api/**/route.ts", "lib/*.ts"], { cwd: web })) {
  const to = join(standalone, "routes", name.replace(/ts$/, "mjs"));
  mkdirSync(dirname(to), { recursive: true });
  const plain = stripTypeScriptTypes(readFileSync(join(web, name), "utf8"));
  writeFileSync(to, plain.replace(/(from "\.[^"]*)"/g, '$1.mjs"'));
}
copyFileSync(new URL("server.cjs", import.meta.url), join(standalone, "next-server.js"));
