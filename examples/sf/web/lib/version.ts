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

/** Which build this process is: the revision from the build itself, the release from the manifest beside it. */
export const version = (): Version => {
  if (known) return known;
  const build = JSON.parse(readFileSync(process.env.SF_BUILD_FILE ?? "", "utf8")) as Version;
  let release = null;
  let image = null;
  if (process.env.SF_RELEASE_MANIFEST) {
    const bytes = readFileSync(process.env.SF_RELEASE_MANIFEST);
    release = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const told = (JSON.parse(bytes.toString()) as { image?: { repository: string; digest: string } }).image;
    image = told ? `${told.repository}@${told.digest}` : null;
  }
  const { name, version, revision } = build;
  known = { name, version, revision, release, image, instance: hostname(), startedAt: process.env.SF_STARTED_AT ?? "" };
  return known;
};
