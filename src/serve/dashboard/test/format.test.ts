import assert from "node:assert/strict";
import { test } from "node:test";
import {
  format_bytes,
  format_count,
  format_duration,
  format_number,
  format_rate,
  format_tick,
  format_time,
  format_utc,
  format_value,
  guess_unit,
  metric_title,
  parse_time,
  plural,
  shorten,
  words,
} from "../src/format";

const plain = (text: string): string => text.replaceAll("\u202f", " ");

test("numbers are short enough to be read at a glance", () => {
  const cases: [number | null | undefined, string][] = [
    [0, "0"],
    [7, "7"],
    [1234, "1,234"],
    [99_900, "99,900"],
    [99_990, "100k"],
    [123_456, "123k"],
    [1_500_000, "1.5M"],
    [2.5e9, "2.5G"],
    [-1234, "-1,234"],
    [0.5, "0.5"],
    [0.12345, "0.123"],
    [12.34, "12.3"],
    [456.7, "457"],
    [0.00012345, "0.00012"],
    [999_960, "1M"],
    [3e15, "3.00e+15"],
    [null, "–"],
    [undefined, "–"],
    [Number.NaN, "–"],
    [Number.POSITIVE_INFINITY, "–"],
  ];
  for (const [value, text] of cases) assert.equal(format_number(value), text, String(value));
  assert.equal(format_count(1_234_567), "1,234,567");
});

test("units are guessed from names", () => {
  assert.equal(guess_unit("p95_latency_ms", "float", 300), "ms");
  assert.equal(guess_unit("error_rate", "float", 0.4), "percent");
  assert.equal(guess_unit("request_rate", "float", 35), "plain", "a rate above 1 is no share");
  assert.equal(guess_unit("rate", "float", 0.5), "plain");
  assert.equal(guess_unit("estimated_cost_usd", "decimal(4)", 1), "usd");
  assert.equal(guess_unit("received_bytes", "int", 1), "bytes");
  assert.equal(guess_unit("request_count", "int", 1), "integer");
  assert.equal(guess_unit("wait_seconds", "float", 1), "s");
  assert.equal(guess_unit("per_s", "float", 16.7), "per_second");
  assert.equal(guess_unit("events_per_second", "float", 16.7), "per_second");
  assert.equal(guess_unit("status", "int", 1), "integer", "a name that only ends in s is no time");
  for (const name of ["s", "ms", "us", "ns", "sec"])
    assert.equal(guess_unit(name, "int", 1), "integer", `${name} is a name, no unit`);
  assert.equal(guess_unit("delay_s", "float", 1), "s");
});

test("values carry their unit", () => {
  const show = (value: number, unit: Parameters<typeof format_value>[1]): string =>
    plain(format_value(value, unit));
  assert.equal(show(0.1234, "percent"), "12.3 %");
  assert.equal(show(0.0137, "percent"), "1.37 %");
  assert.equal(show(1, "percent"), "100 %");
  assert.equal(show(0, "percent"), "0 %");
  assert.equal(show(0.4, "ms"), "400 µs");
  assert.equal(show(84.26, "ms"), "84.3 ms");
  assert.equal(show(1500, "ms"), "1.5 s");
  assert.equal(show(3600, "s"), "1 h");
  assert.equal(show(12.5, "usd"), "$12.50");
  assert.equal(show(0.0042, "usd"), "$0.0042");
  assert.equal(show(-3, "usd"), "−$3.00");
  assert.equal(show(1536, "bytes"), "1.5 KiB");
  assert.equal(plain(format_tick(0.2, "percent")), "20 %");
  assert.equal(format_rate(0.3333), "0.33/s");
  assert.equal(format_rate(11.26), "11.3/s");
  assert.equal(format_rate(0), "0/s");
});

test("bytes do not show 1,024 of a unit", () => {
  assert.equal(plain(format_bytes(1023)), "1,023 B");
  assert.equal(plain(format_bytes(1024 * 1024 - 1)), "1 MiB");
});

test("spans of time have at most two units", () => {
  const cases: [number, string][] = [
    [0, "0 s"],
    [59_400, "59 s"],
    [59_600, "1 min"],
    [61_000, "1 min 1 s"],
    [600_000, "10 min"],
    [3_600_000, "1 h"],
    [4_320_000, "1 h 12 min"],
    [86_400_000, "1 d"],
    [100_000_000, "1 d 3 h"],
    [-5, "0 s"],
  ];
  for (const [ms, text] of cases) assert.equal(plain(format_duration(ms)), text);
});

test("times are local, with the day only when it is another one", () => {
  const noon = new Date(2026, 10, 20, 12, 5, 0).getTime();
  assert.equal(format_time(noon, noon + 3_600_000), "12:05");
  assert.equal(format_time(noon + 9_000, noon), "12:05:09");
  assert.equal(format_time(noon, noon + 86_400_000), "20 Nov, 12:05");
  assert.equal(format_time(noon, noon + 400 * 86_400_000), "20 Nov 2026, 12:05");
  assert.equal(format_time(Number.NaN, noon), "–");
  assert.equal(format_utc(Date.UTC(2026, 10, 20, 21, 49, 7)), "2026-11-20 21:49:07 UTC");
  assert.equal(parse_time("2026-11-20T21:49:07.123456Z"), Date.UTC(2026, 10, 20, 21, 49, 7, 123));
  assert.ok(Number.isNaN(parse_time(null)));
});

test("names become words", () => {
  assert.equal(metric_title("p95_latency_ms"), "p95 latency");
  assert.equal(metric_title("error_rate"), "Error rate");
  assert.equal(metric_title("_ms"), "_ms");
  assert.equal(words("error_surge"), "error surge");
  assert.equal(plural(1, "anomaly", "anomalies"), "1 anomaly");
  assert.equal(plural(2, "anomaly", "anomalies"), "2 anomalies");
  assert.equal(shorten("short", 10), "short");
  const long = shorten("checkout · /api/v2/resource-17/items", 26);
  assert.equal(long.length, 26);
  assert.ok(long.startsWith("checkout") && long.endsWith("-17/items"), long);
});
