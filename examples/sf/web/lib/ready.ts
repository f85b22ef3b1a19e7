import { accessSync, constants } from "node:fs";

const lacks = (what: string, folder: string, access: number): string | null => {
  try {
    accessSync(/* turbopackIgnore: true */ folder, access);
    return null;
  } catch (error) {
    return `${what}: ${(error as NodeJS.ErrnoException).code}`;
  }
};

/** Why this server cannot serve now; null when it can. Anybody may read it: it names no path. */
export const notReady = (): string | null => {
  if ((globalThis as { sfDraining?: boolean }).sfDraining) return "draining";
  return (
    lacks("the project's folder", process.env.SF_WEB_PROJECT_CWD ?? ".", constants.R_OK) ??
    lacks("~/.sf", `${process.env.HOME}/.sf`, constants.W_OK)
  );
};
