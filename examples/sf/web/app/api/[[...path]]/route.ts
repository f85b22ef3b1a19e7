import { answer, closed } from "../../../lib/answer";

export const dynamic = "force-dynamic";

const refuse = closed(() => answer({ error: "no such route" }, 404));

export {
  refuse as DELETE,
  refuse as GET,
  refuse as HEAD,
  refuse as OPTIONS,
  refuse as PATCH,
  refuse as POST,
  refuse as PUT,
};
