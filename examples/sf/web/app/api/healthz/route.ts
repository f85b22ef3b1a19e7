import { answer } from "../../../lib/answer";

export const dynamic = "force-dynamic";
export const GET = (): Response => answer({ status: "ok" });
