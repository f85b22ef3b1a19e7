// Reports the unit tests: what failed, and at the end one line that counts them.
export default async function* report(events) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for await (const { type, data } of events) {
    if ((type !== "test:pass" && type !== "test:fail") || data.details.type === "suite") continue;
    const outcome = data.skip || data.todo ? "skipped" : type === "test:pass" ? "passed" : "failed";
    count[outcome] += 1;
    const { error } = data.details;
    if (outcome === "failed") yield `✗ ${data.name}\n${error.cause?.stack ?? error.message}\n`;
  }
  yield `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`;
}
