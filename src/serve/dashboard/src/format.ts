// Numbers, times and units for people. Pure: no DOM, no clock.

export type Unit =
  | "plain"
  | "integer"
  | "percent"
  | "ns"
  | "us"
  | "ms"
  | "s"
  | "bytes"
  | "usd"
  | "eur"
  | "per_second"
  | `decimal:${number}`;

const kInteger = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const kMissing = "–";

/** Three significant digits or so, with k, M, G … once a number is too long to be read at a glance. */
export function format_number(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return kMissing;
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(2);
  for (const [limit, suffix] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e5, "k"],
  ] as const) {
    if (size >= limit * 0.9995) {
      return trim(value / (suffix === "k" ? 1e3 : limit)) + suffix;
    }
  }
  if (Number.isInteger(value)) return kInteger.format(value);
  return trim(value);
}

/** All the digits of a count, grouped. */
export function format_count(value: number | null | undefined): string {
  return value == null || !Number.isFinite(value) ? kMissing : kInteger.format(value);
}

function trim(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1000) return kInteger.format(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.995 ? 2 : 3;
  if (size < 0.001) return value.toPrecision(2);
  return trim_zeros(value.toFixed(digits));
}

function trim_zeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/**
 * What a metric is measured in, guessed from the end of its name, since a schema has no units: a
 * metric that is only called `s` may be anything. `largest` is
 * the largest size seen: a `…_rate` is a share only while it stays within 0 and 1.
 */
export function guess_unit(name: string, type: string, largest: number): Unit {
  const n = name.toLowerCase();
  if (/_(ms|millis|milliseconds)$/.test(n)) return "ms";
  if (/_(us|micros|microseconds)$/.test(n)) return "us";
  if (/_(ns|nanos|nanoseconds)$/.test(n)) return "ns";
  if (/(_|^)(per_second|per_sec|per_s|rps|qps|eps)$/.test(n)) return "per_second";
  if (/_(seconds|secs?|s)$/.test(n)) return "s";
  if (/_usd(_|$)/.test(n)) return "usd";
  if (/_eur(_|$)/.test(n)) return "eur";
  if (/_bytes$|^bytes(_|$)/.test(n)) return "bytes";
  if (/_(rate|ratio|share|fraction)$/.test(n) && largest <= 1) return "percent";
  // Money is shown to its last digit, not rounded to be read at a glance.
  const decimal = /^decimal\((\d+)\)$/.exec(type);
  if (decimal) return `decimal:${Number(decimal[1])}`;
  return type === "int" ? "integer" : "plain";
}

/** Whether a metric is an amount of money: exact decimals, or a currency in its name. */
export function is_money(name: string, type: string): boolean {
  return /^decimal/.test(type) || /_(usd|eur)(_|$)/.test(name.toLowerCase());
}

export function format_value(value: number | null | undefined, unit: Unit): string {
  if (value == null || !Number.isFinite(value)) return kMissing;
  switch (unit) {
    case "percent": {
      const percent = value * 100;
      const size = Math.abs(percent);
      const text =
        size === 0 || size >= 99.95
          ? percent.toFixed(0)
          : size >= 10
            ? percent.toFixed(1)
            : size >= 0.01
              ? percent.toFixed(2)
              : percent.toPrecision(1);
      return `${text}\u202f%`;
    }
    case "ns":
      return format_small_time(value);
    case "us":
      return format_small_time(value * 1e3);
    case "ms":
      return format_small_time(value * 1e6);
    case "s":
      return Math.abs(value) < 120 ? format_small_time(value * 1e9) : format_duration(value * 1000);
    case "bytes":
      return format_bytes(value);
    case "usd":
      return format_money(value, "$");
    case "eur":
      return format_money(value, "€");
    case "per_second":
      return format_rate(value);
    case "integer":
    case "plain":
      return format_number(value);
    default: {
      const digits = Number(unit.slice("decimal:".length));
      return value.toLocaleString("en", {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      });
    }
  }
}

/** As format_value, but without the zeros that only keep a changing number from moving. */
export function format_tick(value: number, unit: Unit): string {
  return unit === "percent" ? `${trim(value * 100)}\u202f%` : format_value(value, unit);
}

/** "11.3/s", with as many digits as a rate that changes all the time deserves. */
export function format_rate(per_second: number): string {
  const size = Math.abs(per_second);
  return `${size > 0 && size < 10 ? trim_zeros(per_second.toFixed(size < 1 ? 2 : 1)) : format_number(per_second)}/s`;
}

function format_money(value: number, sign: string): string {
  const size = Math.abs(value);
  const minus = value < 0 ? "−" : "";
  if (size >= 1e5) return `${minus}${sign}${format_number(size)}`;
  const digits = size === 0 || size >= 0.1 ? 2 : 4;
  return `${minus}${sign}${size.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })}`;
}

function format_small_time(ns: number): string {
  const size = Math.abs(ns);
  if (size === 0) return "0\u202fms";
  if (size < 1e3) return `${trim(ns)}\u202fns`;
  if (size < 1e6) return `${trim(ns / 1e3)}\u202fµs`;
  if (size < 0.9995e9) return `${trim(ns / 1e6)}\u202fms`;
  return `${trim(ns / 1e9)}\u202fs`;
}

export function format_bytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let at = 0;
  while (Math.abs(value) >= 1023.5 && at + 1 < units.length) {
    value /= 1024;
    ++at;
  }
  return `${trim(value)}\u202f${units[at]}`;
}

/** "p95_latency_ms" → "p95 latency": the unit goes to the axis. */
export function metric_title(name: string): string {
  const text =
    name
      .replace(/_(ms|us|ns|usd|eur|bytes)$/i, "")
      .replaceAll("_", " ")
      .trim() || name;
  return /^p\d/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

/** What a total is called: "transaction_count" → "Transactions", "total_sales" → "Total sales". */
export function sum_title(name: string): string {
  const counted = /^(.+[^s])s?_count$/i.exec(name);
  return metric_title(counted ? `${counted[1]!}s` : name);
}

/** A long name with its middle left out: names that belong together mostly differ at their end. */
export function shorten(text: string, chars_max: number): string {
  if (text.length <= chars_max) return text;
  const tail = Math.ceil((chars_max - 1) * 0.55);
  return `${text.slice(0, chars_max - 1 - tail)}…${text.slice(-tail)}`;
}

/** "error_surge" → "error surge". */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

/** A span of time in its two largest units: "48 s", "6 min", "1 h 12 min", "3 d 4 h". */
export function format_duration(ms: number): string {
  if (!Number.isFinite(ms)) return kMissing;
  const total = Math.max(0, Math.round(ms / 1000));
  if (total < 60) return `${total}\u202fs`;
  const minutes = Math.floor(total / 60);
  if (minutes < 10 && total % 60 !== 0) return `${minutes}\u202fmin ${total % 60}\u202fs`;
  if (minutes < 60) return `${minutes}\u202fmin`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return join(`${hours}\u202fh`, minutes % 60, "min");
  const days = Math.floor(hours / 24);
  return join(`${days}\u202fd`, hours % 24, "h");
}

function join(first: string, rest: number, unit: string): string {
  return rest === 0 ? first : `${first} ${rest}\u202f${unit}`;
}

/** Milliseconds since the epoch of an RFC 3339 text; NaN when it is not one. */
export function parse_time(text: unknown): number {
  return typeof text === "string" ? Date.parse(text) : Number.NaN;
}

const kClock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const kClockSeconds = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const kDay = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const kDayYear = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
});

export function format_clock(ms: number, seconds: boolean): string {
  return (seconds ? kClockSeconds : kClock).format(ms);
}

export function format_day(ms: number): string {
  return kDay.format(ms);
}

export function format_day_year(ms: number): string {
  return kDayYear.format(ms);
}

/** The reader's zone, in which times are shown: "Europe/Berlin", "UTC". */
export function zone_name(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
}

/** A moment in the reader's zone; the day is left out when it is the day of `now`. */
export function format_time(ms: number, now: number): string {
  if (!Number.isFinite(ms)) return kMissing;
  const at = new Date(ms);
  const clock = format_clock(ms, at.getSeconds() !== 0);
  if (at.toDateString() === new Date(now).toDateString()) return clock;
  const day =
    at.getFullYear() === new Date(now).getFullYear() ? kDay.format(at) : kDayYear.format(at);
  return `${day}, ${clock}`;
}

/** The same moment in UTC, for titles. */
export function format_utc(ms: number): string {
  return Number.isFinite(ms)
    ? `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`
    : "";
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${format_count(count)} ${count === 1 ? one : many}`;
}
