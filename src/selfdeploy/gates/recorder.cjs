// Loaded before every Node program of a test gate: records what node's test runner reports, whichever reporter prints it.
// Node emits these events on the stream that its reporters read (Node's documentation, "Class: TestsStream").
"use strict";

const { appendFileSync, realpathSync } = require("node:fs");
const { EventEmitter } = require("node:events");
const { relative, resolve } = require("node:path");
const { Readable } = require("node:stream");
const { isMainThread } = require("node:worker_threads");

const LONGEST = 50;
const file = process.env.SELFDEPLOY_TESTS;

function program() {
  try {
    return realpathSync(process.argv[1]);
  } catch {
    return "";
  }
}

function note(value) {
  try {
    appendFileSync(file, `${JSON.stringify(value)}\n`);
  } catch {
    // The tests' own outcome stands; the log is counted then.
  }
}

// What tests start is not the gate's own runner: it gets the environment that it would have without us.
function withdraw() {
  delete process.env.SELFDEPLOY_TESTS;
  if (process.env.SELFDEPLOY_NODE_OPTIONS) process.env.NODE_OPTIONS = process.env.SELFDEPLOY_NODE_OPTIONS;
  else delete process.env.NODE_OPTIONS;
  delete process.env.SELFDEPLOY_NODE_OPTIONS;
}

function record() {
  const count = { runner: "node", passed: 0, failed: 0, skipped: 0, todo: 0 };
  const files = new Map(); // tests by file
  const suites = []; // [file, name] of suites without tests
  const inner = new Map(); // by file: how many tests and suites are reported at each level and not yet claimed

  function result(type, event) {
    const path = event.file ?? "";
    const levels = inner.get(path) ?? [];
    inner.set(path, levels);
    const children = levels[event.nesting + 1] ?? 0;
    levels[event.nesting + 1] = 0;
    levels[event.nesting] = (levels[event.nesting] ?? 0) + 1;
    files.set(path, files.get(path) ?? 0);
    const skipped = event.skip !== undefined && event.skip !== false;
    if (event.details?.type === "suite") {
      if (skipped) files.set(path, files.get(path) + 1); // its tests are not reported, but it may have some
      else if (!children) suites.push([path, event.name]);
      return;
    }
    // A file that reports no test is reported as a test of the file's name.
    const whole = event.nesting === 0 && path && event.line === 1 && event.column === 1;
    const passed = type === "test:pass";
    if (whole && passed && resolve(event.name) === path) return;
    files.set(path, files.get(path) + 1);
    if (skipped) count.skipped += 1;
    else if (event.todo !== undefined && event.todo !== false) count.todo += 1;
    else count[passed ? "passed" : "failed"] += 1;
  }

  const shown = (path) => relative(process.cwd(), path);
  process.on("exit", () => {
    const empty = [...files].filter(([path, tests]) => path && !tests).map(([path]) => shown(path));
    empty.push(...suites.filter(([path]) => files.get(path)).map(([path, name]) => `${shown(path)} > ${name}`));
    note({ ...count, empty: empty.slice(0, LONGEST) });
  });
  return result;
}

if (file && isMainThread && !process.env.NODE_TEST_CONTEXT) {
  const emit = EventEmitter.prototype.emit;
  const other = /\/node_modules\/(?:@(tap)js\/|(vitest|jest|mocha|tap)(?:-cli)?\/)/.exec(program());
  let result;
  if (other) process.on("exit", () => note({ runner: other[1] ?? other[2] }));
  if (process.execArgv.includes("--test")) withdraw();
  Readable.prototype.emit = function (type, ...given) {
    if (typeof type === "string" && type.startsWith("test:") && this.constructor.name === "TestsStream") {
      if (!result) {
        result = record();
        withdraw();
      }
      if (type === "test:pass" || type === "test:fail") result(type, given[0]);
    }
    return emit.call(this, type, ...given);
  };
}
