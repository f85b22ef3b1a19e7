import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

export interface Version {
  name: string;
  version: string;
  revision: string;
  release: string | null;
  image: string | null;
  instance: string;
  startedAt: string;
}

let known: Version | undefined;

const readIfThere = (path: string | undefined): Buffer | null => {
  try {
    return path ? readFileSync(path) : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
};

/** What the manifest beside the process says; nothing where a server runs without one. */
const released = (): Pick<Version, "release" | "image"> => {
  const bytes = readIfThere(process.env.SF_RELEASE_MANIFEST);
  if (!bytes) return { release: null, image: null };
  const told = (JSON.parse(bytes.toString()) as { image?: { repository: string; digest: string } }).image;
  return {
    release: `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
    image: told ? `${told.repository}@${told.digest}` : null,
  };
};

/** Which build this process is: the revision from the build itself, the release from the manifest beside it. */
export const version = (): Version => {
  if (known) return known;
  const build = JSON.parse(readFileSync(process.env.SF_BUILD_FILE ?? "", "utf8")) as Version;
  const { name, version, revision } = build;
  known = { name, version, revision, ...released(), instance: hostname(), startedAt: process.env.SF_STARTED_AT ?? "" };
  return known;
};
