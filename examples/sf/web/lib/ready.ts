import { accessSync, constants } from "node:fs";

/** Why this server cannot serve now; null when it can. */
export const notReady = (): string | null => {
  if ((globalThis as { sfDraining?: boolean }).sfDraining) return "draining";
  try {
    accessSync(process.env.SF_WEB_PROJECT_CWD ?? ".", constants.R_OK);
    accessSync(`${process.env.HOME}/.sf`, constants.W_OK);
  } catch (error) {
    return (error as Error).message;
  }
  return null;
};
