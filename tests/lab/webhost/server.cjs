// The application's own routes on Node's own HTTP server, where Next's would be.
const http = require("node:http");
const { Readable } = require("node:stream");

const PAGES = ["/", "/admin"];
const API = ["healthz", "live-state", "ready", "rpc", "version"];
const load = (name) => import(`./routes/app/api/${name}/route.mjs`);

const answer = async (request) => {
  const { method, headers } = request;
  const url = new URL(request.url, "http://sf");
  const html = { headers: { "Content-Type": "text/html" } };
  if (PAGES.includes(url.pathname)) return new Response("<h1>The server is running</h1>", html);
  if (!url.pathname.startsWith("/api/")) return new Response("not found", { status: 404 });
  const name = url.pathname.slice("/api/".length);
  const route = await load(API.includes(name) ? name : "[[...path]]");
  const handle = route[method] ?? (method === "HEAD" ? route.GET : undefined);
  const body = ["GET", "HEAD"].includes(method) ? undefined : Readable.toWeb(request);
  const none = new Response(null, { status: 405 });
  return handle ? handle(new Request(url, { method, headers, body, duplex: "half" })) : none;
};

const server = http.createServer(async (request, response) => {
  try {
    const given = await answer(request);
    const body = Buffer.from(await given.arrayBuffer());
    response.writeHead(given.status, { ...Object.fromEntries(given.headers), "Content-Length": body.length }).end(body);
  } catch (error) {
    console.error(error);
    if (!response.headersSent) response.writeHead(400).end();
  }
});
server.on("upgrade", (_, socket) => socket.destroy()); // as Next does: without a listener there is no such event
server.listen(Number(process.env.PORT), process.env.HOSTNAME, () => console.log("ready"));
