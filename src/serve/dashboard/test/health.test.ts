// What is said of the engine's checks.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  check_name,
  health_badge,
  health_text,
  sentence,
  share_text,
  usual_text,
} from "../src/health";
import { State } from "../src/state";
import type { CheckResult, CheckState, HealthReport } from "../src/types";

const check = (name: string, of: string, state: CheckState): CheckResult => ({
  check: name,
  of,
  state,
  value: null,
  bound: null,
  unit: "",
  detail: "",
  advice: "",
  since: null,
  checked_at: "2026-01-09T12:00:00Z",
});

const report = (...states: CheckState[]): HealthReport => ({
  state: states[0] ?? "no_data",
  quick_at: null,
  deep_at: null,
  rows: states.map((state, at) => check("freshness", `s${at}`, state)),
  quality: [],
});

test("the badge says the worst there is", () => {
  assert.equal(health_text(report("failing", "failing", "warning", "ok")), "2 checks fail");
  assert.equal(health_text(report("failing", "ok")), "1 check fails");
  assert.equal(health_text(report("warning", "ok", "no_data")), "1 warning");
  assert.equal(health_text(report("ok", "no_data")), "Healthy");
  assert.equal(health_text(report("no_data")), "");
  assert.equal(health_text(report()), "");
});

test("nothing is said to be well that has not been asked lately", () => {
  let now = Date.UTC(2026, 0, 9, 12);
  const state = new State(() => now);
  const badge = () => health_badge(state.health, state.health_stale(), state.health_at, now);
  assert.equal(badge().text, "", "not asked yet");
  state.take_health(null);
  assert.equal(badge().text, "Health unknown");
  assert.equal(badge().about, "");
  state.take_health(report("ok"));
  assert.deepEqual(badge(), { text: "Healthy", state: "ok", about: "" });
  now += 10_000;
  state.take_health(null);
  assert.equal(badge().text, "Health unknown");
  assert.equal(badge().state, "unknown");
  assert.match(badge().about, /^Healthy at /);
  state.take_health(report("failing"));
  assert.equal(badge().text, "1 check fails");
  now += 40_000;
  assert.equal(badge().state, "failing", "a round or two may be late");
  now += 20_000;
  assert.equal(badge().text, "Health unknown", "nobody has answered at all");
});

test("checks have names for people, unknown ones their own", () => {
  assert.equal(check_name(check("freshness", "requests", "ok")), "Freshness of requests");
  assert.equal(check_name(check("source", "demo", "ok")), "Source demo");
  assert.equal(check_name(check("disk", "", "ok")), "Disk");
  assert.equal(check_name(check("moon_phase", "", "ok")), "moon_phase");
});

test("findings become sentences, shares percents", () => {
  assert.equal(sentence("the disk is full"), "The disk is full.");
  assert.equal(sentence("Stop it."), "Stop it.");
  assert.equal(share_text(0), "0\u202f%");
  assert.equal(share_text(0.0314), "3.1\u202f%");
  assert.equal(share_text(0.314), "31\u202f%");
  const field = { field: "v", null_share: 0, null_share_before: null, outlier_share: null };
  assert.equal(usual_text({ ...field, usual_from: null, usual_to: null }), "–");
  assert.equal(usual_text({ ...field, usual_from: 12.5, usual_to: 310 }), "12.5 to 310");
});
