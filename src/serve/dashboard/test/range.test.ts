// Which span of time is shown and what is said of it, where that is not what was chosen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { kRanges, merged_info } from "../src/range";
import { range_note } from "../src/range_note";
import { State } from "../src/state";
import { WindowStore } from "../src/store";
import type { WindowInfo, WindowRow } from "../src/types";

const kHour = 3_600_000;
const kDay = 24 * kHour;
const kNow = Date.UTC(2026, 0, 10, 12, 30);

const info: WindowInfo = {
  window: "w",
  stream: "s",
  size: "10m",
  size_seconds: 600,
  hop: null,
  gap: null,
  keys: [{ name: "k", type: "string" }],
  metrics: [{ name: "n", type: "int", aggregate: "count" }],
};
const sessions: WindowInfo = { ...info, size: "3m", size_seconds: 180, gap: "3m" };

function row(start: number, length: number, k = "a", closed = true): WindowRow {
  return {
    window_start: new Date(start).toISOString(),
    window_end: new Date(start + length).toISOString(),
    closed,
    revision: 0,
    k,
    n: 1,
  };
}

function state_of(store: WindowStore, range: string): State {
  const state = new State(() => kNow);
  state.range = kRanges.find((each) => each.id === range)!;
  state.set_windows([store.info]);
  state.use_store(store, false);
  return state;
}

test("rows that the engine has merged are those of longer windows", () => {
  const days = [0, 1, 2].map((at) => row(kNow - kNow % kDay - at * kDay, kDay));
  const merged = merged_info(info, { rows: days, resolution: ["raw", "hourly", "daily"] })!;
  assert.deepEqual([merged.size_seconds, merged.size, merged.hop], [86400, "86400s", null]);
  assert.equal(merged_info({ ...info, hop: "5m" }, { rows: days, resolution: ["daily"] })!.hop, null);
  assert.equal(merged_info(info, { rows: [row(kNow, 600_000)], resolution: ["raw"] }), null);
  assert.equal(merged_info(info, { rows: [], resolution: ["raw", "hourly"] }), null);
  // A day of a time zone may have 25 hours, and is as it closed.
  assert.equal(merged_info(info, { rows: [row(kNow, 25 * kHour)], resolution: ["raw"] }), null);
  assert.equal(merged_info(sessions, { rows: days, resolution: ["raw", "hourly"] }), null);

  const store = new WindowStore(merged, true);
  store.load(days, 1000);
  const state = state_of(store, "all");
  const view = state.view();
  assert.ok(view.range_from < kNow - 2 * kDay && view.range_from > kNow - 4 * kDay);
  assert.equal(state.range_text(), "all that is kept");
  assert.match(range_note(state), /in windows of 1.d, so all is shown in such ones/);
});

test("all is not said to be all where the page has no room for it, or does not know", () => {
  const rows = Array.from({ length: 10 }, (_, at) => row(kNow - (at + 1) * 600_000, 600_000));
  const whole = new WindowStore(info);
  whole.load(rows, 100);
  assert.equal(state_of(whole, "all").range_text(), "all that is kept");
  assert.equal(range_note(state_of(whole, "all")), "");

  const cut = new WindowStore(info);
  cut.load(rows, 10);
  assert.match(state_of(cut, "all").range_text(), /^the time since /);
  assert.match(range_note(state_of(cut, "all")), /may be more: .*GET \/api\/v1\/windows\/w/);
  assert.equal(range_note(state_of(cut, "15m")).includes("may be more"), false);

  const unknown = new WindowStore(info);
  unknown.load(rows, 100, 0);
  assert.ok(state_of(unknown, "all").cut());
});

test("sessions that go on in the range are shown from where they began", () => {
  const store = new WindowStore(sessions);
  const began = kNow - 3 * kHour;
  store.load(
    [
      row(kNow - 10 * kHour, kHour, "gone"),
      row(began, 2.5 * kHour, "long"),
      row(began + kHour, 2 * kHour - 60_000, "open", false),
    ],
    100,
  );
  const state = state_of(store, "1h");
  const view = state.view();
  assert.equal(view.range_from, began);
  assert.ok(view.from < began && view.to >= kNow && view.widened);
  const { seconds } = store.frames([...store.groups.values()], view.from, view.to);
  assert.deepEqual(seconds.filter((at) => [began, began + kHour].includes(at * 1000)).length, 2);
  assert.match(range_note(state), /began before it, so the charts reach back 3.h/);

  const short = new WindowStore(sessions);
  short.load([row(kNow - 10 * kHour, kHour), row(kNow - 600_000, 60_000)], 100);
  assert.equal(state_of(short, "1h").view().widened, false);
  assert.equal(range_note(state_of(short, "1h")), "");
  // All of them are over: their end is what is shown, whichever began last.
  const past = new WindowStore(sessions);
  past.load([row(kNow - 50 * kHour, 10 * kHour), row(kNow - 49 * kHour, kHour, "b")], 100);
  assert.equal(state_of(past, "1h").view().to, kNow - 40 * kHour);
  assert.equal(state_of(past, "1h").view().range_from, kNow - 50 * kHour);
});
