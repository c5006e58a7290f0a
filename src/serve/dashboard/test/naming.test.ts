// Which texts count as names of keys, and what is summed under them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { naming_of, same_name } from "../src/naming";
import { bars_of, newest_window, shape_of, type Period } from "../src/overview";
import { kOverflow, WindowStore } from "../src/store";
import type { Scalar, WindowInfo, WindowRow } from "../src/types";

const kMinute = 60_000;
const kBegin = Date.UTC(2026, 0, 1);
const kAlways: Period = {
  from: kBegin,
  to: kBegin + 1e9,
  one_window: false,
  open: false,
  end: kBegin + 1e9,
};

function info(keys: string[], text: string, aggregate: string | null = "last"): WindowInfo {
  return {
    window: "w",
    stream: "s",
    size: "1m",
    size_seconds: 60,
    hop: null,
    gap: null,
    keys: keys.map((name) => ({ name, type: "string" })),
    metrics: [
      { name: "n", type: "int", aggregate: "sum" },
      { name: text, type: "string", aggregate },
    ],
  };
}

function row(minute: number, members: Record<string, Scalar>): WindowRow {
  const start = kBegin + minute * kMinute;
  return {
    window_start: new Date(start).toISOString(),
    window_end: new Date(start + kMinute).toISOString(),
    closed: true,
    revision: 0,
    ...members,
  };
}

function filled(about: WindowInfo, rows: WindowRow[]): WindowStore {
  const store = new WindowStore(about);
  store.add(rows, new Set());
  return store;
}

const minutes = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

test("a kind of message is one bar, wherever it came from", () => {
  const rows = minutes(6).flatMap((minute) =>
    [
      ["a", "1", "refused", 3],
      ["b", "1", "refused", 4],
      ["a", "2", "timed out", 9],
    ].map(([service, template_id, template, n]) =>
      row(minute, { service: service!, template_id: template_id!, template: template!, n: n! }),
    ),
  );
  const store = filled(info(["service", "template_id"], "template"), rows);
  const shape = shape_of(store, [0])!;
  assert.equal(shape.breakdown, "bars", "too long for a table");
  assert.deepEqual(shape.naming?.keys, [1]);
  assert.deepEqual(bars_of(store, shape, 0, newest_window(store)!), [
    { id: '["2"]', label: "timed out", about: "a · 2", value: 9 },
    { id: '["1"]', label: "refused", about: "a · 1, b · 1", value: 7 },
  ]);
  assert.equal(naming_of(filled(info(["service", "template_id"], "template", null), rows)), null);
});

test("who came last is no name: a total is not all theirs", () => {
  const keys = ["line", "stop"];
  const buses = ["b1", "b2", "b3"];
  const rows = minutes(30).flatMap((minute) =>
    ["1", "2"].flatMap((line) =>
      ["Zoo", "Dom"].map((stop, at) =>
        row(minute, { line, stop, n: 1, last_bus: buses[(minute + at + Number(line)) % 3]! }),
      ),
    ),
  );
  const store = filled(info(keys, "last_bus"), rows);
  const shape = shape_of(store, [0])!;
  assert.equal(shape.naming, null);
  assert.equal(shape.breakdown, "matrix", "by its keys");
  const bars = bars_of(store, shape, 0, kAlways);
  assert.deepEqual(
    bars.map(({ label, value }) => [label, value]),
    [
      ["1 · Dom", 30],
      ["1 · Zoo", 30],
      ["2 · Dom", 30],
      ["2 · Zoo", 30],
    ],
  );
  // In the first windows nothing speaks against it, and nothing for it.
  for (const count of [1, 2]) assert.equal(naming_of(filled(store.info, rows.slice(0, 4 * count))), null);
  // One that is seen once more than the others shows it.
  const steady = minutes(30).map((minute) => row(minute, { line: "1", stop: "Zoo", n: 1, last_bus: "b1" }));
  assert.notEqual(naming_of(filled(store.info, steady)), null);
  const other = row(40, { line: "1", stop: "Zoo", n: 1, last_bus: "b2" });
  assert.equal(naming_of(filled(store.info, [...steady, other])), null);
});

test("what many have alike tells none of them", () => {
  const rows = minutes(20).flatMap((minute) =>
    minutes(8).map((shop) => row(minute, { shop: `s${shop}`, n: 1, region: `r${shop % 2}` })),
  );
  const store = filled(info(["shop"], "region"), rows);
  assert.equal(naming_of(store), null);
});

test("a template may lose words, and the overflow group has none", () => {
  const text = (minute: number): string => (minute < 3 ? "GET /a took 5" : "GET <*> took <*>");
  const rows = minutes(20).flatMap((minute) => [
    row(minute, { template_id: 1, n: 1, template: text(minute) }),
    row(minute, { template_id: null, n: 2, template: null }),
    row(minute, { template_id: kOverflow, n: 4, template: `x${minute}` }),
  ]);
  // Newest first, as they are answered.
  const store = filled(info(["template_id"], "template"), rows.reverse());
  const bars = bars_of(store, shape_of(store, [0])!, 0, kAlways);
  assert.deepEqual(
    new Map(bars.map(({ label, value }) => [label, value])),
    new Map([
      ["all other keys", 80],
      ["(none)", 40],
      ["GET <*> took <*>", 20],
    ]),
  );
  assert.ok(same_name("a <*> c <*>", "a b c d") && same_name("a b", "<*>"));
  assert.ok(same_name("<*> b <*>", "x b <*>"));
  for (const [a, b] of [
    ["a <*>", "b <*>"],
    ["a", "b"],
    ["a <*> a", "a a"],
    ["<*>x<*>x", "ax"],
  ] as const)
    assert.ok(!same_name(a, b), `${a} ${b}`);
});

test("what is summed under a name are the rows of its keys, whatever the rows", () => {
  let named = 0;
  for (let seed = 1; seed < 200; ++seed) {
    let state = seed * 2654435761;
    const below = (most: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 4294967296) * most);
    };
    const by_key = seed % 2 === 0;
    const rows: WindowRow[] = [];
    const sums = new Map<string, number>();
    for (const minute of minutes(1 + below(20)))
      for (const x of minutes(3))
        for (const y of minutes(1 + below(4))) {
          const text = by_key ? `t${y}` : `t${below(3)}`;
          const n = below(50);
          rows.push(row(minute, { x: `x${x}`, y: `y${y}`, n, text }));
          const label = by_key ? text : `x${x} · y${y}`;
          sums.set(label, (sums.get(label) ?? 0) + n);
        }
    const store = filled(info(["x", "y"], "text"), rows);
    const naming = naming_of(store);
    if (naming !== null) ++named;
    if (by_key !== (naming !== null)) {
      // Only for want of rows: what changes is never a name once it has been seen to.
      assert.ok(by_key && rows.length < 20, `${seed}`);
      continue;
    }
    for (const bar of bars_of(store, { naming }, 0, kAlways).filter((each) => each.id !== null))
      assert.equal(bar.value, sums.get(bar.label), `${seed} ${bar.label}`);
  }
  assert.ok(named > 50);
});
