import ms from "ms";

export const milliseconds = (text, limit = "1d") => {
  const found = typeof text === "string" && text.trim() && text.length <= 100 ? ms(text) : undefined;
  if (found === undefined || Number.isNaN(found)) throw new RangeError(`no duration: ${JSON.stringify(text)}`);
  if (found < 0 || found > ms(limit)) throw new RangeError(`not between 0 and ${limit}: ${text}`);
  return found;
};
