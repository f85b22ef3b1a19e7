import { answer, closed } from "../../../lib/answer";
import { workers } from "../../../lib/workers";

export const dynamic = "force-dynamic";

/** What goes on in this server now. */
export const GET = closed(() => answer({ startedAt: process.env.SF_STARTED_AT ?? null, workers: workers().list() }));
