// A stand-in for streamobs while the page is developed and for `MOCK=1 npm test`: it serves the
// built page with the real headers and answers docs/api.md from mock_engine.mjs.
//
//   node mock_server.mjs DIR        DIR is what `npm run build -- --outDir DIR` wrote
//
// In the environment: PORT (8090), MOCK_TOKEN, MOCK_GROUPS (groups of the second window; 40),
// MOCK_EMPTY=1 (no data yet), MOCK_YOUNG=1 (data begin now), MOCK_PAST=1 (data end two years ago),
// MOCK_SICK=1 (checks fail), MOCK_WINDOW_S (60).
import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { MockEngine } from "./mock_engine.mjs";

const kTypes = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};
const kCsp =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function json(response, status, body) {
  const type = status < 400 ? "application/json" : "application/problem+json";
  response.writeHead(status, {
    "Content-Type": type,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(JSON.stringify(body));
}

function live(mock, request, response, query) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write("retry: 2000\n\n");
  const windows = query.get("windows")?.split(",");
  const send = (message) => {
    if (message.event === "window" && windows && !windows.includes(message.data.window)) return;
    response.write(message.text);
  };
  const last = Number(request.headers["last-event-id"] ?? Number.NaN);
  if (last >= 0) mock.messages.filter((message) => message.id > last).forEach(send);
  const client = { send, end: () => response.destroy() };
  mock.clients.add(client);
  response.on("close", () => mock.clients.delete(client));
}

async function file(response, dir, name) {
  const inside = path.join(dir, path.normalize(name === "/" ? "/index.html" : name));
  try {
    const bytes = await readFile(inside);
    const page = inside.endsWith(".html");
    response.writeHead(200, {
      "Content-Type": kTypes[path.extname(inside)] ?? "application/octet-stream",
      "Content-Security-Policy": kCsp,
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": page ? "no-cache" : "public, max-age=31536000, immutable",
    });
    response.end(bytes);
  } catch {
    json(response, 404, {
      type: "about:blank",
      title: "Not found",
      status: 404,
      detail: `${name} is not here`,
    });
  }
}

/** Starts on a free port unless `options.port` says which; gives {url, close}. */
export async function start_mock(dir, options = {}) {
  const mock = new MockEngine({
    window_s: 60,
    groups: 40,
    empty: false,
    past: false,
    kafka: false,
    sick: false,
    more: false, // Two more metrics of the second window, and a run before this one.
    merges: false, // Rows of more than a day ago are by the hour.
    broken: [], // What is answered with 503.
    received_bytes: "sum", // What that metric is.
    token: "",
    port: 0,
    ...options,
  });
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    const query = url.searchParams;
    if (!url.pathname.startsWith("/api/")) return void file(response, dir, url.pathname);
    if (mock.options.token && request.headers.authorization !== `Bearer ${mock.options.token}`) {
      return json(response, 401, {
        type: "about:blank",
        title: "Unauthorized",
        status: 401,
        detail: "send the token",
      });
    }
    const name = decodeURIComponent(url.pathname.slice("/api/v1/".length));
    if (mock.options.broken.includes(name)) {
      return json(response, 503, {
        type: "about:blank",
        title: "Service Unavailable",
        status: 503,
        detail: "the database does not answer",
      });
    }
    const by_status = (incident) => !query.has("status") || query.get("status") === incident.status;
    if (name === "windows") return json(response, 200, { rows: mock.windows });
    if (name.startsWith("windows/")) {
      const window = name.slice("windows/".length);
      if (!mock.windows.some((known) => known.window === window)) {
        return json(response, 404, {
          type: "about:blank",
          title: "Not found",
          status: 404,
          detail: `no window ${window}`,
        });
      }
      // As an engine that keeps what is older than a day by the hour.
      const merges = mock.options.merges && Date.parse(query.get("from")) < mock.now() - 864e5;
      const rows = merges ? mock.merged_rows() : mock.window_rows(window, query);
      return json(response, 200, { window, rows, resolution: merges ? ["raw", "hourly"] : ["raw"] });
    }
    switch (name) {
      case "anomalies":
        return json(response, 200, { rows: mock.anomalies() });
      case "incidents":
        return json(response, 200, { rows: mock.incidents().filter(by_status) });
      case "dead-letters":
        return json(response, 200, mock.dead_letters());
      case "pipeline":
        return json(response, 200, mock.pipeline());
      case "health":
        return json(response, 200, mock.health());
      case "streams":
        return json(response, 200, { rows: mock.streams() });
      case "live":
        return live(mock, request, response, query);
      default:
        return json(response, 404, {
          type: "about:blank",
          title: "Not found",
          status: 404,
          detail: name,
        });
    }
  });
  await new Promise((resolve) => server.listen(mock.options.port, "127.0.0.1", resolve));
  let count = 0;
  const timer = setInterval(() => mock.tick(++count), 1000);
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    mock,
    close() {
      clearInterval(timer);
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const dir = process.argv[2];
  if (!dir) {
    console.error("say which page to serve: node mock_server.mjs DIR");
    process.exit(2);
  }
  const { env } = process;
  const { url } = await start_mock(path.resolve(dir), {
    port: Number(env.PORT ?? 8090),
    token: env.MOCK_TOKEN ?? "",
    groups: Number(env.MOCK_GROUPS ?? 40),
    empty: env.MOCK_EMPTY === "1",
    past: env.MOCK_PAST === "1",
    sick: env.MOCK_SICK === "1",
    young: env.MOCK_YOUNG === "1",
    window_s: Number(env.MOCK_WINDOW_S ?? 60),
  });
  console.error(`listening on ${url}`);
}
