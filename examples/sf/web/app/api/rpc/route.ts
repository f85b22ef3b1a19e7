import { answer, closed } from "../../../lib/answer";
import { answerCalls } from "../../../lib/rpc";
import { version } from "../../../lib/version";
import { startWorker } from "../../../lib/workers";

export const dynamic = "force-dynamic";

/** Answers after so many milliseconds: a request that is under way while the server drains. */
const wait = async (parameters: unknown): Promise<string> => {
  const given = Number((parameters as { milliseconds?: unknown } | null)?.milliseconds);
  const milliseconds = Math.min(Math.max(given || 0, 0), 60_000);
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return "waited";
};

const methods = { ping: () => "pong", version, wait, work: startWorker };

const refuse = closed(() => answer({ error: "POST a call" }, 405));

export { refuse as DELETE, refuse as GET, refuse as HEAD, refuse as OPTIONS, refuse as PATCH, refuse as PUT };

export const POST = closed(async (request) => {
  const told = await answerCalls(methods, await request.text());
  return told === undefined ? new Response(null, { status: 204 }) : answer(told);
});
