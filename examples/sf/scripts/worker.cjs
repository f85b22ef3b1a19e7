// A process of its own for what would block the server. It ends with the server, unless it was started as `stubborn`.
process.on("message", (text) => process.send(text));
if (process.argv[2] === "stubborn") {
  process.on("SIGTERM", () => {});
  setInterval(() => {}, 60_000);
}
