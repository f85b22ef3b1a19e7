import { allowed, answer } from "../../../lib/answer";

export const dynamic = "force-dynamic";

const refuse = (request: Request): Response =>
  allowed(request) ? answer({ error: "no such route" }, 404) : answer({ error: "a token is needed" }, 401);

export { refuse as DELETE, refuse as GET, refuse as PATCH, refuse as POST, refuse as PUT };
