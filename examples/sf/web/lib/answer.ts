import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

export const answer = (body: unknown, status = 200): Response =>
  Response.json(body, { status, headers: { "Cache-Control": "no-store" } });

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** The server's token: from outside, or else the one that its first start made. */
const ownToken = (): string => {
  if (process.env.SF_AUTH_TOKEN) return process.env.SF_AUTH_TOKEN;
  try {
    return readFileSync(/* turbopackIgnore: true */ `${process.env.HOME}/.sf/token`, "utf8").trim();
  } catch {
    return "";
  }
};

/** Whether the request carries the server's token; compared in constant time. */
const allowed = (request: Request): boolean => {
  const token = ownToken();
  const given = request.headers.get("authorization") ?? "";
  return Boolean(token) && timingSafeEqual(digest(given), digest(`Bearer ${token}`));
};

/** What ROUTE answers, to those who have the token; 401 to everybody else, whatever they ask for. */
export const closed = (route: (request: Request) => Response | Promise<Response>) => (request: Request) =>
  allowed(request) ? route(request) : answer({ error: "a token is needed" }, 401);
