import { readFileSync } from "node:fs";

/** Which build this is, as the build itself wrote it down. */
export interface Build {
  readonly name: string;
  readonly version: string;
  readonly revision: string;
}

export const parseBuild = (text: string): Build => {
  const { name, version, revision } = JSON.parse(text) as Partial<Build>;
  if (!name || !version || !revision) throw new Error("build.json: name, version and revision are needed");
  if (revision !== "unknown" && !/^[0-9a-f]{40}$/.test(revision)) throw new Error(`build.json: no revision: ${revision}`);
  return { name, version, revision };
};

export const readBuild = (): Build => parseBuild(readFileSync(new URL("./build.json", import.meta.url), "utf8"));
