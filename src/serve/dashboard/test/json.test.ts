// Numbers that JavaScript has no room for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse_json } from "../src/json";
import { WindowStore } from "../src/store";
import type { WindowAnswer, WindowInfo } from "../src/types";

test("a whole number of 64 bits keeps its digits, all else is as ever", () => {
  const parsed = parse_json('{"a":9007199254740993,"b":[-9223372036854775808, 9007199254740991]}');
  assert.deepEqual(parsed, { a: "9007199254740993", b: ["-9223372036854775808", 9007199254740991] });
  for (const text of [
    '{"x":0.12345678901234567,"y":12345678901234567.5,"z":1e300,"w":12345678901234567e-3}',
    '"12345678901234567"',
    '{"a \\"12345678901234567\\" :12345678901234567":"\\\\"}',
    '[1234567890123456,"say \\":12345678901234567,"]',
    "[true,null,-0,1.5]",
  ])
    assert.deepEqual(parse_json(text), JSON.parse(text), text);
  assert.throws(() => parse_json("{12345678901234567"));
  // What is only drawn stays a number.
  const anomaly = parse_json('{"metric_value":9007199254740993,"keys":{"k":9007199254740993}}');
  assert.deepEqual(anomaly, { metric_value: 9007199254740992, keys: { k: "9007199254740993" } });
});

test("keys that only differ beyond 53 bits are two groups", () => {
  const row = (key: string, n: string): string =>
    `{"window_start":"2026-01-01T00:00:00Z","window_end":"2026-01-01T00:01:00Z","closed":true,"revision":0,"k":${key},"n":${n}}`;
  const keys = ["9007199254740992", "9007199254740993"];
  const text = `{"rows":[${keys.map((key) => row(key, "90071992547409930")).join(",")}]}`;
  const info: WindowInfo = {
    window: "w",
    stream: "s",
    size: "1m",
    size_seconds: 60,
    hop: null,
    gap: null,
    keys: [{ name: "k", type: "int" }],
    metrics: [{ name: "n", type: "int", aggregate: "sum" }],
  };
  const store = new WindowStore(info);
  store.add((parse_json(text) as WindowAnswer).rows, new Set());
  assert.deepEqual([...store.groups.values()].map((group) => group.label), keys);
  for (const group of store.groups.values())
    assert.deepEqual([...group.rows.values()][0]!.values, [90071992547409930]);
});
