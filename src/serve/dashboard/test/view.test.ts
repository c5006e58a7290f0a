// What is shown for the data there is: time range, incidents, rules, rates.
import assert from "node:assert/strict";
import { test } from "node:test";
import { time_labels } from "../src/chart_axes";
import { no_rules_text, quiet_text, sort_incidents, summarize_rules } from "../src/incidents";
import { footer_texts, refused_and_late, silent_since, StageRates, unmatched } from "../src/pipeline";
import { kRanges, view_of, type Range } from "../src/range";
import type { Incident, Pipeline, Pulse, RuleState, StageState, StreamState } from "../src/types";

const kHour = 3_600_000;
const range = (id: string): Range => kRanges.find((candidate) => candidate.id === id)!;

test("live data end now", () => {
  const now = 100 * kHour;
  const view = view_of(range("1h"), now, 60_000, now - 5 * kHour, now - 30_000, now + 30_000);
  const from = now - kHour;
  assert.deepEqual(view, { from, to: now, range_from: from, past: false, widened: false });
});

test("young data get the whole width", () => {
  const now = 100 * kHour;
  const first = now - 90_000;
  const view = view_of(range("6h"), now, 60_000, first, first + 60_000, first + 120_000);
  assert.deepEqual(
    [view.from, view.to, view.range_from],
    [now - 12 * 60_000, now, now - 6 * kHour],
  );
  const older = view_of(range("6h"), now, 60_000, now - kHour, now - 60_000, now);
  assert.equal(older.from, now - kHour - 30_000);
});

test("old data are shown where they end", () => {
  const end = 50 * kHour;
  const view = view_of(range("1h"), 100 * kHour, 60_000, 10 * kHour, end - 60_000, end);
  const from = end - kHour;
  assert.deepEqual(view, { from, to: end, range_from: from, past: true, widened: false });
});

test("windows of a day are not shown in a range of an hour", () => {
  const now = 1000 * kHour;
  const view = view_of(range("1h"), now, 24 * kHour, 0, now - 10 * kHour, now + 14 * kHour);
  assert.equal(view.to - view.from, 12 * 24 * kHour);
  assert.ok(view.widened && !view.past);
});

test("silence is when no stream that ever had events goes on", () => {
  const stream = (newest: string | null, idle: boolean): StreamState => ({
    stream: "s",
    paths: [],
    received: 0,
    accepted: 0,
    rejected: {},
    watermark: newest,
    newest_event_at: newest,
    idle,
  });
  const early = stream("2026-01-01T12:00:00Z", true);
  const late = stream("2026-01-01T12:05:00Z", true);
  assert.equal(silent_since([]), null);
  assert.equal(silent_since([stream(null, true)]), null);
  assert.equal(silent_since([early, stream(null, true), late]), Date.UTC(2026, 0, 1, 12, 5));
  assert.equal(silent_since([early, stream("2026-01-01T12:05:00Z", false)]), null);
});

test("all is from the first to the last, and an empty store is the chosen range", () => {
  const all = view_of(range("all"), 100 * kHour, 60_000, 3 * kHour, 5 * kHour, 5 * kHour + 60_000);
  assert.deepEqual([all.from, all.to], [3 * kHour - 30_000, 5 * kHour + 30_000]);
  const empty = view_of(range("6h"), 100 * kHour, 60_000, Number.NaN, Number.NaN, Number.NaN);
  assert.deepEqual([empty.from, empty.to], [94 * kHour, 100 * kHour]);
});

function incident(
  id: string,
  status: "open" | "resolved",
  severity: Incident["severity"],
  started_at: string,
): Incident {
  return {
    id,
    status,
    severity,
    started_at,
    keys: {},
    last_seen_at: started_at,
    resolved_at: null,
    title: id,
    explanation: "",
    evidence: [],
    anomaly_count: 1,
    anomaly_ids: [],
    narrated_by: "template",
    revision: 0,
  };
}

test("open incidents come first, the worst of them before all", () => {
  const order = sort_incidents([
    incident("old", "resolved", "critical", "2026-01-01T00:00:00Z"),
    incident("new", "resolved", "low", "2026-01-01T05:00:00Z"),
    incident("low", "open", "low", "2026-01-01T04:00:00Z"),
    incident("critical", "open", "critical", "2026-01-01T03:00:00Z"),
  ]).map((each) => each.id);
  assert.deepEqual(order, ["critical", "low", "new", "old"]);
});

function rule(name: string, key: string, phase: string, history_windows = 5): RuleState {
  return {
    rule: name,
    window: "w",
    key,
    phase,
    history_windows,
    warmup_windows: 5,
    last_window_end: null,
  };
}

test("a rule's keys become one line", () => {
  const text = (states: RuleState[]): string => summarize_rules(states)[0]!.text;
  assert.equal(text([rule("r", "a", "ok"), rule("r", "b", "firing")]), "firing: b");
  assert.equal(
    text(["a", "b", "c", "d", "e"].map((key) => rule("r", key, "firing"))),
    "firing: a, b, c and 2 more",
  );
  assert.equal(
    text([rule("r", "a", "warming_up", 3), rule("r", "b", "warming_up", 1)]),
    "warming up: 3 of 5 windows",
  );
  assert.equal(
    text([rule("r", "a", "ok"), rule("r", "b", "warming_up", 1)]),
    "quiet; still warming up for 1 of 2 keys (1 of 5 windows)",
  );
  assert.equal(text([rule("r", "", "ok")]), "quiet");
});

test("no incidents can mean several things", () => {
  const quiet = (states: RuleState[], configured?: number): string =>
    quiet_text("the last hour", summarize_rules(states), configured);
  assert.equal(
    quiet([rule("r", "a", "ok")]),
    "No incidents in the last hour: every rule is quiet.",
  );
  assert.match(
    quiet([rule("error_surge", "a", "warming_up", 3)]),
    /no rule is ready yet\. error_surge is warming up: 3 of 5 windows\./,
  );
  assert.match(quiet([rule("r", "a", "pending")]), /so far/);
  assert.match(quiet([]), /no rules that could raise one/);
  assert.match(quiet([], 0), /no rules that could raise one/);
  assert.match(quiet([], 2), /No rule has seen a closed window yet/);
  assert.match(no_rules_text(0), /No rules are configured/);
  assert.match(no_rules_text(1), /No rule has seen/);
});

test("what was refused before a restart is not forgotten", () => {
  const pulse = { rejected_total: 0, late_total: 2 } as Pulse;
  const counts = [
    { stream: "s", reason: "late", count: 1 },
    { stream: "s", reason: "not_json", count: 4 },
    { stream: "t", reason: "bad_time", count: 3 },
    { stream: "t", reason: "unmatched", count: 9 },
  ];
  assert.equal(unmatched(counts), 9);
  assert.deepEqual(refused_and_late(pulse, counts), { refused: 7, late: 2, stored: true });
  assert.deepEqual(refused_and_late(pulse, []), { refused: 0, late: 2, stored: false });
});

test("a time axis names the year where it is another one", () => {
  const day = 86_400;
  const at = (year: number, month: number): number => new Date(year, month, 1).getTime() / 1000;
  const now = new Date(2026, 5, 1).getTime();
  assert.deepEqual(time_labels([at(2026, 2), at(2026, 2) + day], now), ["1 Mar", "2 Mar"]);
  assert.deepEqual(time_labels([at(2025, 11), at(2026, 0)], now), ["1 Dec 2025", "1 Jan 2026"]);
  assert.deepEqual(time_labels([at(2024, 0), at(2024, 0) + 3600], now), ["1 Jan 2024", "01:00"]);
});

test("rates are between two looks, and a restart has none", () => {
  const stage = (items: number): StageState[] => [
    { stage: "decode", items, unit: "events", fill: 0, errors: 0 },
  ];
  const rates = new StageRates();
  rates.update(stage(100), 1_000);
  assert.equal(rates.get("decode"), undefined);
  rates.update(stage(160), 4_000);
  assert.equal(rates.get("decode"), 20);
  rates.update(stage(5), 7_000);
  assert.equal(rates.get("decode"), undefined);
});

test("the footer says since when a changed config is in force, and that one was refused", () => {
  const now = Date.parse("2026-01-09T12:05:00Z");
  const config = {
    file: "obs.toml",
    since: "2026-01-09T12:00:00Z",
    reloads: 0,
    changes: [],
    refused: null as { at: string; error: string } | null,
  };
  const texts = () =>
    footer_texts({ lanes: 2, threads: 1, config } as unknown as Pipeline, now).join(", ");
  assert.equal(texts(), "2 lanes, 1 thread");
  config.reloads = 1;
  assert.match(texts(), /config of /);
  config.refused = { at: "2026-01-09T12:04:00Z", error: "a mistake" };
  assert.match(texts(), /a change of the config was refused at /);
});
