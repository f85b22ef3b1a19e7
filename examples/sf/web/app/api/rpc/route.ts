import { allowed, answer } from "../../../lib/answer";
import { version } from "../../../lib/version";

export const dynamic = "force-dynamic";

/** Answers after so many milliseconds: a request that is under way while the server drains. */
const wait = async (parameters: unknown): Promise<string> => {
  const given = Number((parameters as { milliseconds?: unknown })?.milliseconds);
  const milliseconds = Math.min(Math.max(given || 0, 0), 60_000);
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return "waited";
};

const methods: Record<string, (parameters: unknown) => unknown> = { ping: () => "pong", version, wait };

export const POST = async (request: Request): Promise<Response> => {
  if (!allowed(request)) return answer({ error: "a token is needed" }, 401);
  const fail = (code: number, message: string, id: unknown = null): Response =>
    answer({ jsonrpc: "2.0", id, error: { code, message } });
  let call: { jsonrpc?: string; id?: unknown; method?: unknown; params?: unknown };
  try {
    call = (await request.json()) as typeof call;
  } catch {
    return fail(-32700, "parse error");
  }
  if (call?.jsonrpc !== "2.0" || typeof call.method !== "string") return fail(-32600, "invalid request");
  const method = Object.hasOwn(methods, call.method) ? methods[call.method] : undefined;
  return method ? answer({ jsonrpc: "2.0", id: call.id ?? null, result: await method(call.params) }) : fail(-32601, "no such method", call.id);
};
