import { milliseconds } from "@sf/durations";
import { type Build, parseBuild } from "./build.js";

/** Bytes of an answer that are read. */
const MOST = 64 * 1024;

/** Why a server did not say which build it is. */
export class NoAnswer extends Error {}

const read = async (url: URL): Promise<string> => {
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(milliseconds("5s")) });
  if (!response.ok) throw new NoAnswer(`HTTP ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MOST) throw new NoAnswer("too long an answer");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
};

/** Which build the server at URL says it is. Its answer is anybody's: nothing of it is shown that is not plain. */
export const askVersion = async (server: URL): Promise<Build> => {
  let text: string;
  try {
    text = await read(new URL("/api/version", server));
  } catch (error) {
    if (error instanceof NoAnswer) throw error;
    const { cause, name } = error as Error & { cause?: { code?: string } };
    throw new NoAnswer(`no answer (${cause?.code ?? name})`);
  }
  try {
    return parseBuild(text);
  } catch {
    throw new NoAnswer("it does not say which build it is");
  }
};
