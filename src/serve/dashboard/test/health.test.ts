// What is said of the engine's checks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { check_name, health_text, sentence, share_text, usual_text } from "../src/health";
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
