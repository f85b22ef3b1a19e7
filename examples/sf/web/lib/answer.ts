import { createHash, timingSafeEqual } from "node:crypto";

export const answer = (body: unknown, status = 200): Response =>
  Response.json(body, { status, headers: { "Cache-Control": "no-store" } });

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Whether the request carries the server's token; compared in constant time. */
export const allowed = (request: Request): boolean => {
  const token = process.env.SF_AUTH_TOKEN;
  const given = request.headers.get("authorization") ?? "";
  return Boolean(token) && timingSafeEqual(digest(given), digest(`Bearer ${token}`));
};
