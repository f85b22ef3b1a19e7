/** What `loader.js` was asked to do. */
export type Wanted =
  | { readonly command: "server"; readonly folder: string; readonly host: string; readonly port: number }
  | { readonly command: "version"; readonly server: URL | null };

export class UsageError extends Error {}

const option = (words: string[], name: string): string | null => {
  const at = words.indexOf(name);
  if (at < 0) return null;
  const [, value] = words.splice(at, 2);
  if (value === undefined || value.startsWith("--")) throw new UsageError(`${name} needs a value`);
  return value;
};

export const parsePort = (text: string): number => {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) throw new UsageError(`--port: no port: ${text}`);
  return port;
};

export const parseServer = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password)
    throw new UsageError("--server: http://HOST:PORT is needed, without a name or a password");
  return url;
};

export const parseArguments = (argv: readonly string[]): Wanted => {
  const [command, ...words] = argv;
  if (command === "version") {
    const server = option(words, "--server");
    if (words.length) throw new UsageError(`version: unexpected ${words[0]}`);
    return { command, server: server === null ? null : parseServer(server) };
  }
  if (command !== "server") throw new UsageError("usage: server DIR [--host H] [--port P] | version [--server URL]");
  const host = option(words, "--host") ?? "127.0.0.1";
  const port = parsePort(option(words, "--port") ?? "4000");
  const [folder, ...rest] = words;
  if (!folder || folder.startsWith("--")) throw new UsageError("server: DIR is missing");
  if (rest.length) throw new UsageError(`server: unexpected ${rest[0]}`);
  return { command, folder, host, port };
};
