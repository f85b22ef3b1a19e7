import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, describe, it } from "node:test";
import { askVersion, NoAnswer } from "../dist/ask.js";
import { isSame, parseBuild } from "../dist/build.js";

const build = { name: "sf", version: "1.0.0", revision: "a".repeat(40) };
const servers = [];
after(() => servers.forEach((server) => server.close()));

const serve = async (status, body, headers) => {
  const server = createServer((_, response) => response.writeHead(status, headers).end(body)).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${server.address().port}`);
};

describe("a server", () => {
  it("says which build it is", async () => {
    const told = await askVersion(await serve(200, JSON.stringify({ ...build, instance: "one" })));
    assert.deepEqual(told, build);
  });

  for (const [what, status, body, headers] of [
    ["fails", 500, JSON.stringify(build)],
    ["sends us on", 302, "", { location: "http://127.0.0.1:1/" }],
    ["answers a page", 200, "<html>"],
    ["answers null", 200, "null"],
    ["answers without end", 200, " ".repeat(100_000)],
    ["answers what would write on the terminal", 200, JSON.stringify({ ...build, version: "\u001b[2J" })],
  ])
    it(`says nothing when it ${what}`, async () => {
      const url = await serve(status, body, headers);
      await assert.rejects(askVersion(url), (error) => error instanceof NoAnswer && !/[^ -~]/.test(error.message));
    });
});

describe("two builds", () => {
  it("are one with the same revision", () => assert.ok(isSame(build, parseBuild(JSON.stringify(build)))));
  it("are not with another", () => assert.ok(!isSame(build, { ...build, revision: "b".repeat(40) })));
  it("are not without one", () =>
    assert.ok(!isSame({ ...build, revision: "unknown" }, { ...build, revision: "unknown" })));
});
