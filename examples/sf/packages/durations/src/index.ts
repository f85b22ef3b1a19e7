import ms from "ms";

/** Milliseconds of TEXT ("5s", "2 min", "250"); an error when it is no duration, negative, or longer than LIMIT. */
export const milliseconds = (text: string, limit = "1d"): number => {
  const found = typeof text === "string" && text.trim() && text.length <= 100 ? parse(text) : undefined;
  if (found === undefined || Number.isNaN(found)) throw new RangeError(`no duration: ${JSON.stringify(text)}`);
  if (found < 0 || found > parse(limit)!) throw new RangeError(`not between 0 and ${limit}: ${text}`);
  return found;
};

const parse = (text: string): number | undefined => ms(text);
