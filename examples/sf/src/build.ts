import { readFileSync } from "node:fs";

/** Which build this is, as the build itself wrote it down. */
export interface Build {
  readonly name: string;
  readonly version: string;
  readonly revision: string;
}

/** The build that TEXT names, be it our own file or another server's word: nothing in it but plain characters. */
export const parseBuild = (text: string): Build => {
  const { name, version, revision } = Object(JSON.parse(text)) as Record<string, unknown>;
  const plain = (value: unknown): value is string => typeof value === "string" && /^[\w.+-]{1,100}$/.test(value);
  if (!plain(name) || !plain(version) || !plain(revision)) throw new Error("name, version and revision are needed");
  if (revision !== "unknown" && !/^[0-9a-f]{40}$/.test(revision)) throw new Error(`no revision: ${revision}`);
  return { name, version, revision };
};

/** Whether both are surely one build: one without a revision is nobody's. */
export const isSame = (one: Build, other: Build): boolean =>
  one.revision !== "unknown" && one.name === other.name && one.revision === other.revision;

export const readBuild = (): Build => parseBuild(readFileSync(new URL("./build.json", import.meta.url), "utf8"));
