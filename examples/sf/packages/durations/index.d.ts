/** Milliseconds of TEXT ("5s", "2 min", "250"); an error when it is no duration, negative, or longer than LIMIT. */
export function milliseconds(text: string, limit?: string): number;
