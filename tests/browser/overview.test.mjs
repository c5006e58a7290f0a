// What a window adds up to, on the page, held against what the engine's API says: each preset in an
// engine of its own, with events of loadgen that have all been counted.
//
//   STREAMOBS=/path/to/streamobs npm test
//
// Skipped with MOCK=1, and without STREAMOBS. SCREENSHOT_DIR as in dashboard.test.mjs.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { launch, low_contrast, open_page, overflowing, troubles } from "./page.mjs";

const binary = process.env.STREAMOBS;
const screenshot_dir = process.env.SCREENSHOT_DIR;
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const skip = process.env.MOCK === "1" || !binary ? "wants STREAMOBS, the binary" : false;
/** Events of 100 minutes that ended ten minutes ago: all their windows can have closed. */
const kSpanMinutes = 100;
const kEndedMinutesAgo = 10;
const kEventsPerSecond = 1;

let browser;
before(async () => {
  if (skip) return;
  if (screenshot_dir) mkdirSync(screenshot_dir, { recursive: true });
  browser = await launch();
});
after(() => browser?.close());

async function until(what, found, timeout_ms = 60_000) {
  const end = Date.now() + timeout_ms;
  for (;;) {
    const value = await found();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Runs `check` with the address of an engine that has counted a preset's events. */
async function with_preset(preset, streams, windows, check, more = "") {
  const dir = mkdtempSync(path.join(os.tmpdir(), "streamobs-overview-"));
  const config = path.join(dir, "obs.toml");
  const idle = streams.map((name) => `[stream.${name}]\nidle_timeout = "1s"\n`);
  writeFileSync(config, `include = ["${root}/config/${preset}.toml"]\n${idle.join("")}${more}`);
  const log = path.join(dir, "log");
  const engine = spawn(
    "/bin/sh",
    [
      "-c",
      'exec "$0" "$@" 2>"$LOG"',
      binary,
      "--config",
      config,
      "--data-dir",
      `${dir}/data`,
      "--listen",
      "127.0.0.1:0",
    ],
    { stdio: "ignore", env: { ...process.env, LOG: log } },
  );
  const ended = new Promise((resolve) => engine.once("exit", resolve));
  try {
    const url = await until("the line 'listening on'", () => {
      if (engine.exitCode !== null) throw new Error(readFileSync(log, "utf8"));
      return /^listening on (http:.*)$/m.exec(
        readFileSync(log, { encoding: "utf8", flag: "a+" }),
      )?.[1];
    });
    const ago = (kSpanMinutes + kEndedMinutesAgo) * 60_000;
    const begin = Math.floor((Date.now() - ago) / 60_000) * 60_000;
    const start = new Date(begin).toISOString();
    const events = String(kSpanMinutes * 60 * kEventsPerSecond);
    await promisify(execFile)(binary, [
      ...["loadgen", preset, "--target", url, "--quiet", "--rate", "0", "--events", events],
      ...["--event-rate", String(kEventsPerSecond), "--start", start],
    ]);
    await until("its streams to fall silent", async () => {
      const { rows } = await (await fetch(`${url}/api/v1/streams`)).json();
      return rows.every((row) => row.idle);
    });
    for (const name of windows) {
      await until(`the windows of ${name} to close`, async () => {
        const rows = await ask(url, name, "windows=3");
        const last = begin + (kSpanMinutes - 1) * 60_000;
        return rows.every((row) => row.closed) && Date.parse(rows[0]?.window_end) >= last;
      });
    }
    await check(`${url}/`, config);
  } finally {
    engine.kill("SIGKILL");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  }
}

async function ask(url, window, query) {
  const base = url.endsWith("/") ? url : `${url}/`;
  const response = await fetch(`${base}api/v1/windows/${window}?limit=100000&${query}`);
  assert.equal(response.status, 200, `${window}?${query}`);
  return (await response.json()).rows;
}

/** The page, at once: an engine whose streams have all fallen silent is not called live. */
const open_at = (url, window, options) =>
  open_page(browser, { url: `${url}#window=${window}&range=6h`, wait_live: false, ...options });

async function open(url, window, options = {}) {
  const page = await open_at(url, window, options);
  await page.waitForSelector("#overview:not([hidden]) .stack[data-windows]");
  return page;
}

async function done(page, name) {
  assert.deepEqual(await troubles(page), []);
  assert.deepEqual(await low_contrast(page), []);
  if (screenshot_dir) await page.screenshot({ path: path.join(screenshot_dir, `${name}.png`) });
  await page.context().close();
}

const choose = (page, metric) =>
  page.locator(`#overview fieldset label:has(input[value="${metric}"])`).click();

/** A number that the page shows: exact, in its title. */
const exact = async (element) => Number(await element.getAttribute("title"));
const figure = (page, name) => exact(page.locator(`[data-kpi="total-${name}"] .kpi-value`));
const sum_of = (rows, metric) => rows.reduce((sum, row) => sum + Number(row[metric] ?? 0), 0);

function near(actual, expected, what) {
  assert.ok(
    Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    `${what}: ${actual}, not ${expected}`,
  );
}

/** {row: {column: number}} of the matrix on the page, its totals under "all". */
function matrix(page, metric) {
  return page.evaluate(async (name) => {
    const box = await new Promise((resolve) => {
      const look = () => {
        const found = document.querySelector(`.matrix[data-metric="${name}"] table`);
        found ? resolve(found) : requestAnimationFrame(look);
      };
      look();
    });
    const columns = [...box.querySelectorAll("thead th")].map((cell) => cell.textContent);
    const lines = [...box.querySelectorAll("tbody tr")].map((line) => {
      const cells = [...line.querySelectorAll("td")].map((cell) => Number(cell.title));
      return [
        line.querySelector("th").textContent,
        Object.fromEntries(columns.map((c, at) => [c, cells[at]])),
      ];
    });
    return Object.fromEntries(lines);
  }, metric);
}

test(
  "transactions: totals, the newest window's bars, the course of 100 windows",
  { skip },
  async () => {
    await with_preset("transactions", ["transactions"], ["category_sales"], async (url) => {
      const whole = await ask(url, "category_sales", "by=");
      const newest = await ask(url, "category_sales", "windows=1");
      const page = await open(url, "category_sales");
      near(await figure(page, "total_sales"), sum_of(whole, "total_sales"), "Total sales");
      assert.equal(await figure(page, "transaction_count"), kSpanMinutes * 60 * kEventsPerSecond);
      const latest = page.locator('[data-kpi="latest-window"] .kpi-value');
      const start = newest[0].window_start.slice(0, 16).replace("T", " ");
      assert.ok((await latest.getAttribute("title")).startsWith(start));

      const bars = () =>
        page.$$eval(".bars li", (items) =>
          items.map((item) => [item.children[0].textContent, Number(item.children[1].title)]),
        );
      const expected = (metric) =>
        newest
          .map((row) => [row.category, Number(row[metric])])
          .sort((a, b) => (a[0] < b[0] ? -1 : 1));
      assert.deepEqual(await bars(), expected("total_sales"));
      await choose(page, "transaction_count");
      await page.waitForSelector('.bars[data-metric="transaction_count"]');
      assert.deepEqual(await bars(), expected("transaction_count"));

      const windows = Math.min(100, whole.length);
      assert.equal(await page.getAttribute("#overview .stack", "data-windows"), String(windows));
      await page.focus("#overview .stack .plot");
      await page.keyboard.press("End");
      assert.match(await page.textContent("#overview .tip-time"), /\d\d:\d\d/);
      const parts = await page.$$eval("#overview .legend .num", (all) =>
        all.map((e) => Number(e.title)),
      );
      assert.equal(
        parts.reduce((a, b) => a + b, 0),
        sum_of(newest, "transaction_count"),
      );
      await page.keyboard.press("Escape");
      await done(page, "transactions");

      const narrow = await open(url, "category_sales", { width: 360, theme: "dark" });
      assert.deepEqual(await overflowing(narrow), []);
      await done(narrow, "transactions-360-dark");
    });
  },
);

test("what the engine does not add up is not added up", { skip }, async () => {
  // Both counts are whole numbers; but somebody buys in several categories.
  const window = `
[window.buyers]
from = "transactions"
size = "20m"
by   = { category = "product_category" }
select = { total_sales = "sum(amount)", buyers = "count(distinct user_id)", buys = "count(*)" }
`;
  const check = async (url) => {
    const merged = await ask(url, "buyers", "by=&windows=1");
    const newest = await ask(url, "buyers", "windows=1");
    assert.notEqual(sum_of(newest, "buyers"), merged[0].buyers, "else this shows nothing");
    const page = await open(url, "buyers");
    await page.waitForSelector('[data-kpi="total-buys"]');
    assert.equal(await page.locator('[data-kpi="total-buyers"]').count(), 0);
    await done(page, "buyers");
  };
  await with_preset("transactions", ["transactions"], ["category_sales"], check, window);
});

test("LLM calls: tenants by models with calls, errors, tokens and cost", { skip }, async () => {
  const windows = ["llm_tenants", "llm_metrics"];
  await with_preset("llm", ["llm_requests", "llm_responses"], windows, async (url) => {
    for (const window of windows) {
      const merged = await ask(url, window, "by=tenant_id,model");
      const page = await open(url, window);
      const metrics = ["requests", "errors", "estimated_cost_usd"];
      if (window === "llm_tenants") metrics.push("prompt_tokens", "completion_tokens");
      for (const metric of metrics) {
        await choose(page, metric);
        const shown = await matrix(page, metric);
        near(await figure(page, metric), sum_of(merged, metric), metric);
        near(shown.all.all, sum_of(merged, metric), `${metric} of all`);
        for (const { tenant_id, model } of merged) {
          const own = merged.filter((row) => row.tenant_id === tenant_id && row.model === model);
          near(
            shown[tenant_id][model],
            sum_of(own, metric),
            `${metric} of ${tenant_id} and ${model}`,
          );
        }
      }
      assert.equal(
        await page.locator('#overview input[value="p95_latency_ms"]').count(),
        0,
        "no sum of p95s",
      );
      await done(page, window);
    }
  });
});

test("logs: levels by service in the newest window, and over time", { skip }, async () => {
  await with_preset("logs", ["logs"], ["log_counts", "error_kinds"], async (url) => {
    const newest = await ask(url, "log_counts", "windows=1");
    const page = await open(url, "log_counts");
    const shown = await matrix(page, "log_count");
    assert.equal(
      await figure(page, "log_count"),
      sum_of(newest, "log_count"),
      "windows that overlap are not added",
    );
    for (const { service, level, log_count } of newest)
      assert.equal(shown[service][level], log_count);
    const levels = await page.$$eval("#overview .legend .name", (all) =>
      all.map((e) => e.textContent),
    );
    const order = ["CRITICAL", "ERROR", "WARN", "INFO", "DEBUG"].filter((level) =>
      levels.includes(level),
    );
    assert.deepEqual(levels, order);
    await done(page, "logs");

    const kinds = await open(url, "error_kinds");
    const rows = await ask(url, "error_kinds", "");
    const bars = await kinds.$$eval(".bars li", (items) =>
      items.map((item) => [item.children[0].textContent, Number(item.children[1].title)]),
    );
    assert.ok(bars.length > 1);
    for (const [template, count] of bars)
      assert.equal(
        count,
        sum_of(
          rows.filter((row) => row.template === template),
          "log_count",
        ),
        template,
      );
    await done(kinds, "error_kinds");
  });
});

test("metrics: each service and metric, any figure of the newest window", { skip }, async () => {
  await with_preset("metrics", ["metrics"], ["metrics_1m", "metrics_1m_by_10s"], async (url) => {
    for (const window of ["metrics_1m", "metrics_1m_by_10s"]) {
      const newest = await ask(url, window, "windows=1");
      const page = await open(url, window);
      await choose(page, "p95");
      const shown = await matrix(page, "p95");
      assert.ok(!("all" in shown), "quantiles are not added");
      for (const { service_id, metric_name, p95 } of newest)
        near(shown[metric_name][service_id], p95, `p95 of ${metric_name} of ${service_id}`);
      await done(page, window);
    }
  });
});

test("services: lines over time say it all", { skip }, async () => {
  await with_preset("services", ["requests"], ["service_metrics"], async (url) => {
    const page = await open_at(url, "service_metrics", {});
    await page.waitForFunction(() =>
      [...document.querySelectorAll(".chart")].some((chart) => Number(chart.dataset.points) > 0),
    );
    assert.ok(await page.locator("#overview").isHidden());
    await done(page, "services");
  });
});

test("a reload that takes away the window shown leads to another", { skip }, async () => {
  await with_preset("services", ["requests"], ["service_metrics"], async (url, config) => {
    const page = await open_at(url, "service_metrics", {});
    await page.waitForFunction(() =>
      document.querySelector("#window-about")?.textContent.includes("over requests, by service"),
    );
    writeFileSync(
      config,
      '[stream.requests]\ntime = "timestamp"\nidle_timeout = "1s"\n' +
        'fields = { timestamp = "timestamp", service = "string" }\n' +
        '[window.by_hour]\nfrom = "requests"\nsize = "1h"\nby = ["service"]\n' +
        'select = { requests = "count(*)" }\n',
    );
    const reload = await fetch(`${url}-/reload`, { method: "POST" });
    assert.equal(reload.status, 200, await reload.text());
    await page.waitForFunction(
      () => document.querySelector("#charts-title")?.textContent === "by_hour",
      null,
      { timeout: 20_000 },
    );
    await page.waitForFunction(
      () => document.querySelector("#connection")?.dataset.state !== "reconnecting",
    );
  });
});
