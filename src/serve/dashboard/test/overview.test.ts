// What a window adds up to, against sums made the long way from the rows themselves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { is_money, sum_title } from "../src/format";
import {
  adding_metrics,
  adds_up,
  bars_of,
  figures_of,
  level_of,
  matrix_of,
  newest_whole_window,
  newest_window,
  period_of,
  shape_of,
  stack_of,
  total,
  trend_ms,
  type Period,
} from "../src/overview";
import { kOverflow, WindowStore } from "../src/store";
import type { WindowInfo, WindowRow } from "../src/types";

const kMinute = 60_000;
const kBegin = Date.UTC(2026, 0, 1);
const iso = (ms: number): string => new Date(ms).toISOString();

/** What such a metric mostly is. */
function aggregate_of(name: string): string {
  if (/^p\d/.test(name)) return "quantile";
  if (name.startsWith("avg")) return "avg";
  return /count|^n\d|requests/.test(name) ? "count" : "sum";
}

function info(
  keys: string[],
  metrics: Record<string, string>,
  more: Partial<WindowInfo> = {},
): WindowInfo {
  return {
    window: "w",
    stream: "s",
    size: "1m",
    size_seconds: 60,
    hop: null,
    gap: null,
    keys: keys.map((name) => ({ name, type: "string" })),
    metrics: Object.entries(metrics).map(([name, type]) => ({
      name,
      type,
      aggregate: aggregate_of(name),
    })),
    ...more,
  };
}

function row(minute: number, closed: boolean, members: Record<string, string | number>): WindowRow {
  const start = kBegin + minute * kMinute;
  return {
    window_start: iso(start),
    window_end: iso(start + kMinute),
    closed,
    revision: 0,
    ...members,
  };
}

/** Numbers that are the same each time, from 0 to below `below`. */
function random(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * below);
  };
}

const view = (from_minute: number, to_minute: number) => ({
  from: kBegin + from_minute * kMinute,
  to: kBegin + to_minute * kMinute,
  range_from: kBegin + from_minute * kMinute,
  past: false,
  widened: false,
});

function filled(about: WindowInfo, rows: WindowRow[]): WindowStore {
  const store = new WindowStore(about);
  store.add(rows, new Set());
  return store;
}

test("counts and sums of money add up, whatever they are called", () => {
  for (const [name, type, aggregate] of [
    ["request_count", "int", "count"],
    ["errors", "int", "count"],
    ["max_tokens", "int", "sum"],
    ["total_sales", "decimal(2)", "sum"],
    ["estimated_cost_usd", "float", "sum"],
  ] as const)
    assert.ok(adds_up({ name, type, aggregate }), name);
  for (const [name, type, aggregate] of [
    ["p95_latency_ms", "float", "quantile"],
    ["amount", "decimal(2)", "avg"],
    ["batch", "int", "max"],
    ["users", "int", "distinct_count"],
    ["total", "int", "last"],
    ["cost_usd", "float", null],
    ["sum", "float", "sum"],
    ["template", "string", "last"],
  ] as const)
    assert.ok(!adds_up({ name, type, aggregate }), name);
  assert.ok(is_money("cost_usd", "float") && is_money("x", "decimal(4)"));
  assert.ok(!is_money("requests", "int"));
});

test("totals have the names of what is counted", () => {
  assert.equal(sum_title("transaction_count"), "Transactions");
  assert.equal(sum_title("requests_count"), "Requests");
  assert.equal(sum_title("total_sales"), "Total sales");
  assert.equal(sum_title("estimated_cost_usd"), "Estimated cost");
  assert.equal(sum_title("count"), "Count");
});

test("metrics that do not add up are left out of what is added", () => {
  const about = info(["shop"], { orders: "int", visitors: "int", takings: "decimal(2)" });
  about.metrics[1]!.aggregate = "distinct_count";
  assert.deepEqual(adding_metrics(new WindowStore(about)), [0, 2]);
});

test("what is shown follows from keys and metrics", () => {
  const shape = (about: WindowInfo, rows: WindowRow[]) => {
    const store = filled(about, rows);
    return shape_of(store, adding_metrics(store));
  };
  const requests = { request_count: "int", error_count: "int", p95_latency_ms: "float" };
  assert.equal(shape(info(["service"], requests), [row(0, true, { service: "a" })]), null);
  assert.equal(shape(info(["service"], { p95: "float" }), []), null);

  const sales = { transaction_count: "int", total_sales: "decimal(2)" };
  const shop = shape(info(["category"], sales), [row(0, true, { category: "Home" })])!;
  assert.equal(shop.breakdown, "bars");
  assert.equal(shop.primary, 1, "money first");
  assert.equal(shape(info(["category"], sales, { gap: "5m" }), []), null);
  assert.equal(shape(info([], sales), [])!.breakdown, "none");

  const grid = ["acme", "globex"].flatMap((tenant) =>
    ["a", "b"].map((model) => row(0, true, { tenant, route: "/", model })),
  );
  const calls = { requests: "int", avg_latency_ms: "float" };
  const llm = shape(info(["tenant", "route", "model"], calls), grid)!;
  assert.deepEqual([llm.breakdown, llm.row_key, llm.column_key], ["matrix", 0, 2]);

  const logs = ["ERROR", "INFO", "WARN"].map((level) => row(0, true, { level, service: "a" }));
  const counts = shape(info(["level", "service"], { log_count: "int" }), logs)!;
  assert.deepEqual([counts.row_key, counts.column_key, counts.stack_key], [1, 0, 0]);

  const own = ["a", "b", "c", "d"].map((x) => row(0, true, { service: x, endpoint: `/${x}` }));
  assert.equal(shape(info(["service", "endpoint"], requests), own)!.breakdown, "bars", "sparse");
});

test("many figures: what the window is about is among them", () => {
  const about = info(["x"], {
    ...Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`n${at}`, "int"])),
    cost_usd: "float",
  });
  const store = filled(about, []);
  const shape = shape_of(store, adding_metrics(store))!;
  assert.equal(shape.primary, 9);
  assert.deepEqual(figures_of(shape), [0, 1, 2, 3, 4, 5, 9]);
});

test("windows that overlap are not added, and neither are those of which rows have gone", () => {
  const rows = [0, 1, 2, 3].map((m) => row(m, m < 3, { level: "INFO", log_count: 10 + m }));
  const hopping = filled(info(["level"], { log_count: "int" }, { hop: "1m", size: "5m" }), rows);
  const newest = period_of(hopping, view(0, 10))!;
  assert.ok(newest.one_window && !newest.open, "the newest closed one");
  assert.equal(total(hopping, 0, newest), 12);
  assert.equal(trend_ms(hopping.info), 0);

  const tumbling = filled(info(["level"], { log_count: "int" }), rows);
  assert.equal(total(tumbling, 0, period_of(tumbling, view(0, 10))!), 46);
  assert.equal(total(tumbling, 0, period_of(tumbling, view(2, 10))!), 25);
  tumbling.complete_from = kBegin + 1;
  const last = period_of(tumbling, view(0, 10))!;
  assert.ok(last.one_window && last.open);
  assert.equal(total(tumbling, 0, last), 13);
  const shape = shape_of(tumbling, [0])!;
  assert.equal(stack_of(tumbling, shape, 0).starts.length, 3, "whole windows only");
  assert.equal(period_of(filled(tumbling.info, []), view(0, 10)), null);
});

test("one key is shared out over a window that is over, where there is one", () => {
  const rows = [0, 1, 2].map((m) => row(m, m < 2, { level: "INFO", n: 10 - 4 * m }));
  const store = filled(info(["level"], { n: "int" }), rows);
  assert.ok(newest_window(store)!.open);
  const whole = newest_whole_window(store)!;
  assert.deepEqual([whole.open, whole.from], [false, kBegin + kMinute]);
  assert.equal(bars_of(store, shape_of(store, [0])!, 0, whole)[0]!.value, 6);
  assert.ok(newest_whole_window(filled(store.info, rows.slice(2)))!.open, "there is no other");
});

test("a store says from when on it is whole", () => {
  const store = new WindowStore(info(["k"], { n: "int" }), false, 50);
  for (let minute = 0; minute < 30; ++minute)
    store.add(
      [0, 1].map((k) => row(minute, true, { k: `${k}`, n: 1 })),
      new Set(['["0"]']),
    );
  const whole = store.starts().filter((start) => start >= store.complete_from);
  assert.ok(whole.length > 0 && whole.length < 30);
  for (const start of whole)
    assert.equal([...store.groups.values()].filter((group) => group.rows.has(start)).length, 2);
});

test("totals of a range are not made from the windows that there is room for", () => {
  const windows = 40;
  const all = Array.from({ length: 100 }, (_, m) => row(m, true, { k: "a", n: 1 }));
  const about = info(["k"], { n: "int" });
  const loaded = (rows: WindowRow[], limit = 1000): WindowStore => {
    const made = new WindowStore(about, false, 1000, windows);
    made.load(rows, limit);
    return made;
  };
  const sum = (store: WindowStore, from: number): [boolean, number | null] => {
    const period = period_of(store, view(from, 100))!;
    return [period.one_window, total(store, 0, period)];
  };
  // As many windows as an answer may have: older ones may be missing, but of these none is cut.
  const full = loaded(all.slice(-windows));
  assert.deepEqual(sum(full, 0), [true, 1], "the newest window speaks");
  assert.deepEqual(sum(full, 60), [false, 40]);
  assert.equal(stack_of(full, shape_of(full, [0])!, 0).starts.length, 40);
  // Fewer: that is all there is in the range.
  assert.deepEqual(sum(loaded(all.slice(-39)), 0), [false, 39]);
  // What comes later of a window before is a part of it: late events have corrected those groups.
  const since = new WindowStore(about, false, 1000, windows);
  since.load(all.slice(-20), 1000, kBegin + 80 * kMinute);
  since.add([row(50, true, { k: "a", n: 7 })], new Set());
  assert.deepEqual(sum(since, 80), [false, 20]);
  assert.equal(stack_of(since, shape_of(since, [0])!, 0).starts.length, 20);
  // As many rows as it may have: the oldest window may lack some.
  const cut = loaded(all.slice(-10), 10);
  assert.deepEqual([sum(cut, 90), sum(cut, 91)], [
    [true, 1],
    [false, 9],
  ]);
  // Windows that have left since.
  const live = loaded(all.slice(50, 85));
  for (const each of all.slice(85)) live.add([each], new Set());
  assert.equal(live.row_count, windows);
  assert.deepEqual([sum(live, 50), sum(live, 60)], [
    [true, 1],
    [false, 40],
  ]);
});

test("levels have their order whatever they are called, everything else goes by name", () => {
  assert.equal(level_of("WARNING"), "warn");
  assert.equal(level_of("fatal"), "critical");
  assert.equal(level_of("Home"), null);
  const levels = ["INFO", "CRITICAL", "DEBUG", "WARN", "ERROR"];
  const rows = levels.map((level) => row(0, true, { level, log_count: 1 }));
  const store = filled(info(["level"], { log_count: "int" }), rows);
  const { series } = stack_of(store, shape_of(store, [0])!, 0);
  const order = ["CRITICAL", "ERROR", "WARN", "INFO", "DEBUG"];
  assert.deepEqual(
    series.map((each) => each.label),
    order,
  );
  assert.ok(series.every((each) => each.level !== null));
});

test("the overflow group is not taken for a key of its name", () => {
  const keys = [
    [kOverflow, "x"],
    [kOverflow, kOverflow],
    ["a", "x"],
  ];
  const rows = keys.map(([k, j], at) => row(0, true, { k: k!, j: j!, n: 1 + at }));
  const store = filled(info(["k", "j"], { n: "int" }), rows);
  const labels = [...store.groups.values()].map((group) => group.label);
  assert.deepEqual(labels, [`${kOverflow} · x`, "all other keys", "a · x"]);
  const shape = { ...shape_of(store, [0])!, row_key: 0, column_key: 1 };
  const { rows: lines } = matrix_of(store, shape, 0, newest_window(store)!);
  const of = (label: string) => lines.find((line) => line.label === label)?.total;
  assert.deepEqual([of(kOverflow), of("all other keys"), of("a")], [1, 2, 3]);
  assert.equal(store.ranked(0).at(-1)!.label, "all other keys");
});

test("keys may be called like what the page calls the rest", () => {
  const own = ["others", null, "(none)", "", "(empty)", kOverflow, "all other keys"];
  const rest = Array.from({ length: 20 }, (_, at) => `k${at}`);
  // The named ones weigh most, so that each has a place and only k… are left for "others".
  const heavy = [...own, ...rest].map((key, at) => ({ key, n: 1000 - at }));
  const rows = heavy.flatMap(({ key, n }) =>
    ["a", "b"].map((service): WindowRow => ({ ...row(0, true, { service, n }), key })),
  );
  const breakdown = "matrix" as const;
  const shape = { adding: [0], primary: 0, naming: null, breakdown, row_key: 0, column_key: 1 };
  const two = filled(info(["service", "key"], { n: "int" }), rows);
  const matrix = matrix_of(two, { ...shape, stack_key: 1 }, 0, newest_window(two)!);
  const left = heavy.slice(8).reduce((sum, { n }) => sum + n, 0);
  const shown = [...heavy.slice(0, 8).map(({ n }) => n), left].sort((a, b) => a - b);
  const sorted = (values: readonly (number | null)[]) => values.map(Number).sort((a, b) => a - b);
  for (const line of matrix.rows) assert.deepEqual(sorted(line.cells), shown);
  assert.equal(matrix.columns.filter((name) => name === "others").length, 2);
  assert.equal(matrix.rows[0]!.cells.at(-1), left, "the rest comes last");
  const stack = stack_of(two, { ...shape, stack_key: 1 }, 0);
  const parts = stack.series.map((each) => each.values[0]!);
  assert.deepEqual(sorted(parts), sorted(shown.map((n) => 2 * n)));
  assert.equal(stack.series.at(-1)!.id, null);

  const single = filled(
    info(["key"], { n: "int" }),
    rows.filter((each) => each["service"] === "a"),
  );
  const bars = bars_of(single, shape, 0, newest_window(single)!);
  const values = bars.map((bar) => bar.value);
  assert.deepEqual(values.slice(0, 10), heavy.slice(0, 10).map(({ n }) => n));
  assert.equal(new Set(bars.map((bar) => bar.id)).size, 11);
  const of_stack = stack_of(single, { ...shape, stack_key: 0 }, 0).series;
  for (const bar of bars.slice(0, 8))
    assert.equal(of_stack.find((each) => each.id === bar.id)!.values[0], bar.value);
});

test("totals, bars, matrix and stack are the sums of the rows, whatever the rows", () => {
  for (let seed = 0; seed < 300; ++seed) {
    const below = random(seed);
    const keys = ["x", "y", "z"].slice(0, 1 + below(3));
    const sizes = keys.map(() => 1 + below(seed % 3 === 0 ? 25 : 5));
    const minutes = 1 + below(130);
    const rows: (WindowRow & { minute: number; n: number })[] = [];
    for (let minute = 0; minute < minutes; ++minute) {
      const seen = new Set<string>();
      for (let count = below(8); count > 0; --count) {
        const values = keys.map((key, at) => [key, `${key}${below(sizes[at]!)}`]);
        if (seen.has(String(values))) continue;
        seen.add(String(values));
        const n = below(100) - 20;
        rows.push({ ...row(minute, true, { ...Object.fromEntries(values), n }), minute, n });
      }
    }
    if (rows.length === 0) continue;
    const store = filled(info(keys, { n: "int" }), rows);
    const shape = shape_of(store, [0])!;
    const first = below(minutes);
    const in_range = rows.filter((r) => r.minute >= first);
    const sum = (some: typeof rows): number => some.reduce((all, r) => all + r.n, 0);
    const period: Period | null = period_of(store, view(first, minutes));
    if (in_range.length === 0) {
      assert.equal(period, null);
      continue;
    }
    assert.equal(total(store, 0, period!), sum(in_range));

    const bars = bars_of(store, shape, 0, period!);
    assert.equal(
      bars.reduce((all, bar) => all + (bar.value ?? 0), 0),
      sum(in_range),
    );
    for (const bar of bars.filter((each) => !/others$/.test(each.label))) {
      const own = in_range.filter((r) => keys.map((key) => r[key]).join(" · ") === bar.label);
      assert.equal(bar.value, sum(own), `${seed} ${bar.label}`);
    }
    if (keys.length > 1) {
      const matrix = matrix_of(store, shape, 0, period!);
      assert.equal(matrix.total, sum(in_range));
      assert.equal(matrix.left_out, 0);
      const [by_row, by_column] = [keys[shape.row_key]!, keys[shape.column_key]!];
      matrix.rows.forEach((line) => {
        line.cells.forEach((value, at) => {
          const column = matrix.columns[at]!;
          if (line.label === "others" || column === "others") return;
          const own = in_range.filter((r) => r[by_row] === line.label && r[by_column] === column);
          assert.equal(
            value,
            own.length === 0 ? null : sum(own),
            `${seed} ${line.label} ${column}`,
          );
        });
        assert.equal(
          line.cells.reduce<number>((all, v) => all + (v ?? 0), 0),
          line.total ?? 0,
        );
      });
      matrix.totals!.forEach((value, at) => {
        const cells = matrix.rows.map((line) => line.cells[at] ?? 0);
        assert.equal(
          cells.reduce((all, v) => all + v, 0),
          value ?? 0,
        );
      });
    }
    const stack = stack_of(store, shape, 0);
    const starts = [...new Set(rows.map((r) => r.minute))].slice(-100);
    assert.deepEqual(
      stack.starts,
      starts.map((minute) => kBegin + minute * kMinute),
    );
    stack.starts.forEach((_, at) => {
      const parts = stack.series.map((each) => each.values[at] ?? 0);
      const own = rows.filter((r) => r.minute === starts[at]);
      assert.equal(
        parts.reduce((all, v) => all + v, 0),
        sum(own),
        `${seed} window ${at}`,
      );
    });
  }
});
