import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { milliseconds } from "@sf/durations";
import { parseArguments, parsePort, UsageError } from "../dist/arguments.js";
import { parseBuild } from "../dist/build.js";

const revision = "a".repeat(40);
const build = (changes) => JSON.stringify({ name: "sf", version: "1.0.0", revision, ...changes });

describe("a port", () => {
  for (const port of [1, 80, 4000, 65535]) it(`can be ${port}`, () => assert.equal(parsePort(String(port)), port));
  for (const text of ["", "0", "-1", "65536", "4e3", "0x50", "1.5", " 80", "port"])
    it(`cannot be '${text}'`, () => assert.throws(() => parsePort(text), UsageError));
});

describe("server", () => {
  const wanted = { command: "server", folder: "/w", host: "127.0.0.1", port: 4000 };
  it("listens on loopback by default", () => assert.deepEqual(parseArguments(["server", "/w"]), wanted));
  it("takes a host", () => assert.equal(parseArguments(["server", "/w", "--host", "0.0.0.0"]).host, "0.0.0.0"));
  it("takes a port", () => assert.equal(parseArguments(["server", "/w", "--port", "5000"]).port, 5000));
  it("takes flags before the folder", () =>
    assert.equal(parseArguments(["server", "--port", "5000", "/w"]).folder, "/w"));
  for (const words of [[], ["--port"], ["/w", "--host"], ["/w", "--host", "--port"], ["/w", "/x"], ["--what", "/w"]])
    it(`refuses ${words.join(" ") || "no folder"}`, () =>
      assert.throws(() => parseArguments(["server", ...words]), UsageError));
});

describe("version", () => {
  it("asks nobody by default", () => assert.equal(parseArguments(["version"]).server, null));
  it("takes a server", () => assert.equal(parseArguments(["version", "--server", "http://h"]).server.origin, "http://h"));
  for (const text of ["h", "h:4000", "file:///etc", "http://user:word@h"])
    it(`cannot ask '${text}'`, () => assert.throws(() => parseArguments(["version", "--server", text]), UsageError));
  it("refuses more words", () => assert.throws(() => parseArguments(["version", "x"]), UsageError));
});

describe("a command", () => {
  for (const words of [[], ["serve"], ["--help"]])
    it(`cannot be '${words}'`, () => assert.throws(() => parseArguments(words), UsageError));
});

describe("a build", () => {
  it("has a revision", () => assert.equal(parseBuild(build()).revision, revision));
  it("can be a developer's own", () => assert.equal(parseBuild(build({ revision: "unknown" })).revision, "unknown"));
  for (const bad of [{ revision: "a".repeat(39) }, { revision: "main" }, { revision: "" }, { name: "" }, { version: null }, { version: "1\n2" }, { name: {} }])
    it(`refuses ${JSON.stringify(bad)}`, () => assert.throws(() => parseBuild(build(bad))));
  it("keeps nothing else", () => assert.deepEqual(Object.keys(parseBuild(build({ more: 1 }))).length, 3));
  it("has to be JSON", () => assert.throws(() => parseBuild("revision")));
});

describe("a duration", () => {
  for (const [text, expected] of [["5s", 5000], ["2 min", 120000], ["250", 250], ["0", 0]])
    it(`can be '${text}'`, () => assert.equal(milliseconds(text), expected));
  for (const bad of ["", " ", "soon", "-1s", "2d", null, 5, "9".repeat(200)])
    it(`cannot be ${JSON.stringify(bad)}`, () => assert.throws(() => milliseconds(bad), RangeError));
  it("has the limit it is given", () => assert.throws(() => milliseconds("2s", "1s"), RangeError));
});
