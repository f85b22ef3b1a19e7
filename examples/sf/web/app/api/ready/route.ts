import { answer } from "../../../lib/answer";
import { notReady } from "../../../lib/ready";

export const dynamic = "force-dynamic";
export const GET = (): Response => {
  const reason = notReady();
  return reason ? answer({ status: "not ready", reason }, 503) : answer({ status: "ready" });
};
