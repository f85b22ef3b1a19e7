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
  /** Where it runs, if SF_ENVIRONMENT says so. */
  environment?: string;
  /** Only where the build is of a checkout with changes that no revision names. */
  dirty?: true;
}

let complained = false;

/** The manifest's bytes as this process sees them now; null where a server runs without one, or with one it cannot read. */
const readManifest = (): Buffer | null => {
  const path = process.env.SF_RELEASE_MANIFEST;
  if (!path) return null;
  try {
    return readFileSync(/* turbopackIgnore: true */ path);
  } catch (error) {
    if (!complained) console.error(`sf: SF_RELEASE_MANIFEST: ${(error as Error).message}`);
    complained = true;
    return null;
  }
};

const imageIn = (manifest: Buffer): string | null => {
  try {
    const { repository, digest } = JSON.parse(manifest.toString()).image;
    return typeof repository === "string" && typeof digest === "string" ? `${repository}@${digest}` : null;
  } catch {
    return null;
  }
};

const isDirty = (manifest: Buffer): boolean => {
  try {
    return JSON.parse(manifest.toString()).source.dirty === true;
  } catch {
    return false;
  }
};

/** Which build this process is: the revision from the build itself, the release from the manifest beside it. */
export const version = (): Version => {
  const build = readFileSync(/* turbopackIgnore: true */ process.env.SF_BUILD_FILE ?? "", "utf8");
  const { name, version, revision } = JSON.parse(build) as Version;
  const manifest = readManifest();
  return {
    name,
    version,
    revision,
    release: manifest && `sha256:${createHash("sha256").update(manifest).digest("hex")}`,
    image: manifest && imageIn(manifest),
    instance: hostname(),
    startedAt: process.env.SF_STARTED_AT ?? "",
    ...(process.env.SF_ENVIRONMENT ? { environment: process.env.SF_ENVIRONMENT } : {}),
    ...(manifest && isDirty(manifest) ? { dirty: true } : {}),
  };
};
