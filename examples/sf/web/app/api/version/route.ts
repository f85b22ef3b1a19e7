import { answer } from "../../../lib/answer";
import { version } from "../../../lib/version";

export const dynamic = "force-dynamic";
export const GET = (): Response => answer(version());
