import assert from "node:assert/strict";
import { test } from "node:test";
import { Selection } from "../src/groups";
import { group_id, History, Recent, split_open, WindowStore } from "../src/store";
import type { WindowInfo, WindowRow } from "../src/types";

const kMinute = 60_000;
const kBase = Date.UTC(2026, 0, 1);
const kNone: ReadonlySet<string> = new Set();

const info: WindowInfo = {
  window: "w",
  stream: "s",
  size: "1m",
  size_seconds: 60,
  hop: null,
  gap: null,
  keys: [{ name: "service", type: "string" }],
  metrics: [
    { name: "request_count", type: "int", aggregate: "count" },
    { name: "label", type: "string", aggregate: "last" },
    { name: "cost_usd", type: "decimal(2)", aggregate: "sum" },
  ],
};

function row(
  service: string | null,
  minute: number,
  count: number,
  more: WindowRow = {},
): WindowRow {
  const start = kBase + minute * kMinute;
  return {
    window_start: new Date(start).toISOString(),
    window_end: new Date(start + kMinute).toISOString(),
    closed: true,
    revision: 0,
    service,
    request_count: count,
    label: "x",
    cost_usd: "1.25",
    ...more,
  };
}

const at = (minute: number): number => kBase + minute * kMinute;

test("rows are kept by group and start; only numbers can be drawn", () => {
  const store = new WindowStore(info);
  store.add([row("a", 0, 1), row("b", 0, 2), row("a", 1, 3)], kNone);
  assert.deepEqual(
    store.metrics.map((metric) => metric.name),
    ["request_count", "cost_usd"],
  );
  assert.equal(store.row_count, 3);
  assert.deepEqual(store.groups.get(group_id(["a"]))!.rows.get(at(1))!.values, [3, 1.25]);
  assert.equal(store.newest_end, at(2));
});

test("an open window grows, closes, and is corrected, but never goes back", () => {
  const store = new WindowStore(info);
  const value = (): number | null => store.groups.get(group_id(["a"]))!.rows.get(at(0))!.values[0]!;
  store.add([row("a", 0, 1, { closed: false })], kNone);
  store.add([row("a", 0, 2, { closed: false })], kNone);
  assert.equal(value(), 2);
  store.add([row("a", 0, 5)], kNone);
  store.add([row("a", 0, 3, { closed: false })], kNone);
  assert.equal(value(), 5, "an open row after the closed one is old news");
  store.add([row("a", 0, 6, { revision: 1 })], kNone);
  store.add([row("a", 0, 5)], kNone);
  assert.equal(value(), 6, "a lower revision is old news");
  assert.equal(store.row_count, 1);
});

test("rows that make no sense are left out", () => {
  const store = new WindowStore(info);
  store.add([row("a", 0, 1, { window_start: "yesterday" }), row("a", 1, Number.NaN)], kNone);
  assert.equal(store.row_count, 1);
  assert.equal(store.groups.get(group_id(["a"]))!.rows.get(at(1))!.values[0], null);
});

test("memory is bounded by windows and by rows, and what is looked at leaves last", () => {
  const by_windows = new WindowStore(info, false, 1e6, 10);
  for (let minute = 0; minute < 25; ++minute) by_windows.add([row("a", minute, 1)], kNone);
  assert.equal(by_windows.row_count, 10);
  assert.equal(by_windows.oldest_start, at(15));

  const by_rows = new WindowStore(info, false, 100, 1000);
  const pinned = new Set([group_id(["g0"])]);
  for (let minute = 0; minute < 50; ++minute) {
    by_rows.add(
      Array.from({ length: 10 }, (_, g) => row(`g${g}`, minute, 1)),
      pinned,
    );
    assert.ok(by_rows.row_count <= 100);
  }
  assert.equal(by_rows.groups.get(group_id(["g0"]))!.rows.size, 50, "the pinned group is whole");
  let rows = 0;
  for (const group of by_rows.groups.values()) rows += group.rows.size;
  assert.equal(by_rows.row_count, rows);

  const all_pinned = new WindowStore(info, false, 100, 1000);
  for (let minute = 0; minute < 300; ++minute) all_pinned.add([row("g0", minute, 1)], pinned);
  assert.ok(all_pinned.row_count <= 100);
  assert.equal(all_pinned.newest_start, at(299));
});

test("missing windows are holes, also for one group only", () => {
  const store = new WindowStore(info);
  store.add(
    [row("a", 0, 1), row("a", 1, 2), row("a", 5, 3), row("b", 0, 9), row("b", 5, 8)],
    kNone,
  );
  const groups = [store.groups.get(group_id(["a"])), store.groups.get(group_id(["b"])), undefined];
  const frames = store.frames(groups, at(0), at(10));
  assert.deepEqual(
    frames.seconds.map((s) => (s * 1000 - kBase) / kMinute),
    [0, 1, 2, 5],
  );
  assert.deepEqual(
    frames.rows.map((rows) => rows.map((r) => r?.values[0] ?? null)),
    [
      [1, 2, null, 3],
      [9, null, null, 8],
      [null, null, null, null],
    ],
  );
  assert.deepEqual(
    store.frames(groups, at(1), at(5)).seconds.length,
    1,
    "from inclusive, to exclusive",
  );
});

test("hopping windows start more often than they are long", () => {
  const store = new WindowStore({ ...info, size_seconds: 300 });
  store.add([row("a", 0, 1), row("a", 1, 1), row("a", 2, 1), row("a", 4, 1)], kNone);
  assert.equal(store.step_ms, kMinute);
  assert.equal(store.frames([...store.groups.values()], at(0), at(9)).seconds.length, 5);
});

test("open windows are apart from closed ones and joined to them", () => {
  const store = new WindowStore(info);
  store.add([row("a", 0, 1), row("a", 1, 2), row("a", 2, 7, { closed: false })], kNone);
  const frames = store.frames([...store.groups.values()], at(0), at(9));
  assert.deepEqual(split_open(frames.rows[0]!, 0), [
    [1, 2, null],
    [null, 2, 7],
  ]);
});

test("groups are ranked by volume, the overflow group last", () => {
  const store = new WindowStore(info);
  store.add(
    [
      row("small", 0, 1),
      row("big", 0, 50),
      row("__overflow__", 0, 900),
      row(null, 0, 5),
      row("old", -60, 9000),
    ],
    kNone,
  );
  assert.deepEqual(
    store.ranked(at(0)).map((group) => group.label),
    ["big", "(none)", "small", "old", "all other keys"],
  );
});

test("a selection holds eight and each keeps its colour", () => {
  const selection = new Selection();
  selection.set(["a", "b", "c"]);
  selection.remove("b");
  assert.ok(selection.add("d"));
  assert.equal(selection.slot("c"), 2);
  assert.equal(selection.slot("d"), 1, "a colour that came free is used again");
  selection.set(["c", ...Array.from({ length: 12 }, (_, n) => `x${n}`)]);
  assert.equal(selection.ids.length, 8);
  assert.equal(selection.slot("c"), 2);
  assert.equal(new Set(selection.ids.map((id) => selection.slot(id))).size, 8);
  assert.equal(selection.add("one more"), false);
});

test("lists of anomalies and incidents are bounded and take no old versions", () => {
  const list = new Recent<{ id: string; t: number; v: number }>(
    (item) => item.t,
    (item) => item.v,
    3,
  );
  list.add([1, 2, 3, 4, 5].map((t) => ({ id: `i${t}`, t, v: 1 })));
  assert.deepEqual(
    list.list().map((item) => item.t),
    [5, 4, 3],
  );
  list.add([{ id: "i5", t: 5, v: 0 }]);
  assert.equal(list.get("i5")!.v, 1);
  list.replace(
    [{ id: "i9", t: 9, v: 2 }],
    [
      { id: "i9", t: 9, v: 1 },
      { id: "i8", t: 8, v: 1 },
    ],
  );
  assert.deepEqual(
    list.list().map((item) => [item.id, item.v]),
    [
      ["i9", 2],
      ["i8", 1],
    ],
  );
});

test("a history keeps the last values", () => {
  const history = new History(3);
  for (const value of [1, 2, 3, 4]) history.push(value);
  assert.deepEqual(history.values, [2, 3, 4]);
});

test("an anomaly finds its group whatever the type of the key", () => {
  assert.equal(group_id([200, null, "a"]), group_id(["200", null, "a"]));
  assert.notEqual(group_id([null]), group_id(["null"]));
});

test("an open session is there once, wherever it begins by now", () => {
  const store = new WindowStore({ ...info, gap: "1m" });
  const session = (from: number, to: number, closed: boolean): WindowRow =>
    row("a", from, to - from, { window_end: new Date(at(to)).toISOString(), closed });
  store.add([session(5, 7, false), session(9, 10, false), row("b", 5, 1)], kNone);
  assert.equal(store.row_count, 3);
  store.add([session(4, 10.5, false)], kNone);
  assert.deepEqual([...store.groups.get(group_id(["a"]))!.rows.keys()], [at(4)]);
  store.add([session(4, 11, true), session(20, 21, false)], kNone);
  assert.equal(store.row_count, 3);
});
