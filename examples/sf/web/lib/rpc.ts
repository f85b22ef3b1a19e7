export type Methods = Readonly<Record<string, (parameters: unknown) => unknown>>;

type Id = string | number | null;
type Told = { jsonrpc: "2.0"; id: Id } & ({ result: unknown } | { error: { code: number; message: string } });

/** Calls in one batch. */
const MOST = 50;

const isId = (id: unknown): id is Id => id === null || typeof id === "string" || typeof id === "number";

const failure = (code: number, message: string, id: Id = null): Told => ({ jsonrpc: "2.0", id, error: { code, message } });

/** The answer to one call; undefined to one that wants none (it has no id). */
const answerOne = async (methods: Methods, call: unknown): Promise<Told | undefined> => {
  const { jsonrpc, id, method, params } = Object(call) as Record<string, unknown>;
  if (jsonrpc !== "2.0" || typeof method !== "string" || !(id === undefined || isId(id)))
    return failure(-32600, "invalid request", isId(id) ? id : null);
  const known = Object.hasOwn(methods, method) ? methods[method] : undefined;
  try {
    const result = known && (await known(params));
    if (id === undefined) return undefined;
    return known ? { jsonrpc: "2.0", id, result } : failure(-32601, "no such method", id);
  } catch {
    return id === undefined ? undefined : failure(-32603, "internal error", id);
  }
};

/** The answer to TEXT, one call or a batch; undefined when it wants none. Source: the JSON-RPC 2.0 specification. */
export const answerCalls = async (methods: Methods, text: string): Promise<Told | Told[] | undefined> => {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return failure(-32700, "parse error");
  }
  if (!Array.isArray(given)) return answerOne(methods, given);
  if (given.length < 1 || given.length > MOST) return failure(-32600, `a batch has 1 to ${MOST} calls`);
  const told = await Promise.all(given.map((call) => answerOne(methods, call)));
  const wanted = told.filter((one) => one !== undefined);
  return wanted.length ? wanted : undefined;
};
