// What the page makes of messages about one thing that come several times.
import assert from "node:assert/strict";
import { test } from "node:test";
import { State } from "../src/state";
import type { Anomaly } from "../src/types";

const kStart = Date.UTC(2026, 0, 1, 12, 0);

function anomaly(revision: number, changes: Partial<Anomaly>): Anomaly {
  return {
    id: "slow:1",
    rule: "slow",
    anomaly_type: "slow",
    window: "w",
    severity: "high",
    detected_at: "2026-01-01T12:01:00Z",
    window_start: "2026-01-01T12:00:00Z",
    window_end: "2026-01-01T12:01:00Z",
    keys: { service: "a" },
    metric_name: "n",
    metric_value: 5,
    baseline_value: null,
    threshold_value: 2,
    description: "",
    resolved: false,
    resolved_at: null,
    revision,
    withdrawn: false,
    ...changes,
  };
}

test("of an anomaly the highest revision counts, over or not", () => {
  const state = new State(() => kStart + 120_000);
  const known = (): Anomaly => state.anomalies.get("slow:1")!;
  state.anomalies.add([anomaly(0, {}), anomaly(1, { resolved: true, withdrawn: true })]);
  assert.ok(known().resolved);
  assert.deepEqual(state.anomalies_in_view(), [], "what is withdrawn is none");
  // A message that comes late, then one that says it was true after all.
  state.anomalies.add([anomaly(0, {})]);
  assert.ok(known().resolved);
  state.anomalies.add([anomaly(2, { metric_value: 9 })]);
  assert.equal(known().metric_value, 9);
  assert.ok(!known().resolved);
  assert.equal(state.anomalies_in_view().length, 1);
});

test("an engine from before there were revisions says at last that it is over", () => {
  const state = new State(() => kStart);
  const old = (resolved: boolean): Anomaly => {
    const { revision: _, withdrawn: __, ...rest } = anomaly(0, { resolved });
    return rest;
  };
  state.anomalies.add([old(true), old(false)]);
  assert.ok(state.anomalies.get("slow:1")!.resolved);
});
