// What the engine's checks of itself and its data have found.

import { by_id, h, reconcile, set_attribute, set_text, set_time, time_element } from "./dom";
import { format_count, format_number, format_time, format_utc, parse_time, plural } from "./format";
import type { CheckResult, CheckState, FieldQuality, HealthReport, StreamQuality } from "./types";

const kStateWords: Record<CheckState, string> = {
  ok: "ok",
  warning: "warning",
  failing: "failing",
  no_data: "no data",
};

const kCheckWords: Record<string, string> = {
  engine: "Engine",
  freshness: "Freshness",
  watermark: "Event time",
  source: "Source",
  backlog: "Backlog",
  detection: "Detection",
  narration: "Narration",
  store: "Store",
  clean_up: "Clean-up",
  sink: "Sink",
  lookup: "Look-up table",
  disk: "Disk",
  nulls: "Missing values",
  outliers: "Unusual values",
  refused: "Refused events",
  late: "Late events",
  unmatched: "Events without a partner",
  archive: "Archive",
  database: "Database",
  statistics: "Statistics",
};

/** Checks of a thing by its name, not of a stream's property. */
const kOfThings = new Set(["source", "sink", "lookup", "archive"]);

/** "Freshness of requests", "Source demo". */
export function check_name(check: CheckResult): string {
  const name = kCheckWords[check.check] ?? check.check;
  if (!check.of) return name;
  return kOfThings.has(check.check) ? `${name} ${check.of}` : `${name} of ${check.of}`;
}

export function is_bad(check: CheckResult): boolean {
  return check.state === "failing" || check.state === "warning";
}

/** What the badge at the top says; empty: nothing yet. */
export function health_text(report: HealthReport): string {
  const failing = report.rows.filter((check) => check.state === "failing").length;
  const warning = report.rows.filter((check) => check.state === "warning").length;
  if (failing > 0) return failing === 1 ? "1 check fails" : `${failing} checks fail`;
  if (warning > 0) return plural(warning, "warning");
  return report.state === "ok" ? "Healthy" : "";
}

export interface Badge {
  text: string; ///< Empty: there is nothing to say yet.
  state: CheckState | "unknown";
  about: string;
}

/** What was well once is not said of now: `stale` since the report of `at`, if there was any. */
export function health_badge(
  report: HealthReport | null,
  stale: boolean,
  at: number,
  now: number,
): Badge {
  if (stale) {
    const last = report ? health_text(report) : "";
    const about = last === "" ? "" : `${last} at ${format_time(at, now)}`;
    return { text: "Health unknown", state: "unknown", about };
  }
  if (!report) return { text: "", state: "no_data", about: "" };
  return { text: health_text(report), state: report.state, about: "" };
}

/** 0.0314 → "3.1 %". */
export function share_text(share: number): string {
  const percent = share * 100;
  return `${percent !== 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)}\u202f%`;
}

/** How the fields' usual values are shown. */
export function usual_text(field: FieldQuality): string {
  if (field.usual_from === null || field.usual_to === null) return "–";
  return `${format_number(field.usual_from)} to ${format_number(field.usual_to)}`;
}

function part<T extends HTMLElement>(root: HTMLElement, name: string): T {
  return root.querySelector<T>(`[data-part="${name}"]`)!;
}

function time_part(name: string): HTMLTimeElement {
  const element = time_element();
  element.dataset["part"] = name;
  return element;
}

function show_time(element: HTMLTimeElement, iso: string | null, now: number): void {
  const at = parse_time(iso);
  const known = Number.isFinite(at);
  set_time(element, known ? format_time(at, now) : "", known ? format_utc(at) : "", iso ?? "");
}

export function show_health(
  report: HealthReport | null,
  stale: boolean,
  at: number,
  now: number,
): void {
  const badge = by_id("health-badge");
  const { text, state, about } = health_badge(report, stale, at, now);
  badge.hidden = text === "";
  set_text(badge, text);
  set_attribute(badge, "data-state", state);
  set_attribute(badge, "title", about || null);

  const rows = report?.rows ?? [];
  const bad = rows.filter(is_bad);
  show_bad(by_id("health-bad"), bad, now);
  const well = by_id("health-well");
  well.hidden = bad.length > 0;
  set_text(well, stale ? "The engine does not say how it is." : well_text(rows));
  set_text(by_id("health-when"), report ? when_text(report, stale ? at : null, now) : "");
  if (!report) return;
  show_all(by_id("health-checks"), rows, now);
  set_text(by_id("health-all-title"), `All checks (${rows.length})`);
  show_quality(by_id("quality"), report.quality);
  by_id("quality-box").hidden = report.quality.every((stream) => stream.events === 0);
}

function well_text(rows: readonly CheckResult[]): string {
  const judged = rows.filter((check) => check.state !== "no_data").length;
  if (judged === 0) return "Nothing has been checked yet.";
  if (judged === rows.length) return `All is well: ${plural(judged, "check")}.`;
  return `All is well: ${judged} of ${plural(rows.length, "check")}, the others have had nothing to look at.`;
}

function when_text(report: HealthReport, silent_since: number | null, now: number): string {
  const parts: string[] = [];
  if (silent_since !== null) parts.push(`no word since ${format_time(silent_since, now)}`);
  if (report.quick_at) parts.push(`looked at ${format_time(parse_time(report.quick_at), now)}`);
  if (report.deep_at)
    parts.push(`data and database at ${format_time(parse_time(report.deep_at), now)}`);
  return parts.join(", ");
}

function show_bad(list: HTMLElement, checks: readonly CheckResult[], now: number): void {
  reconcile(
    list,
    checks,
    (check) => `${check.check} ${check.of}`,
    () =>
      h(
        "li",
        { class: "finding" },
        h(
          "p",
          { class: "finding-head" },
          h("span", { class: "pill", "data-part": "state" }),
          h("strong", { "data-part": "name" }),
          h("span", { class: "muted small" }, "since ", time_part("since")),
        ),
        h("p", { "data-part": "detail" }),
        h("p", { class: "muted", "data-part": "advice" }),
      ),
    (item, check) => {
      // Colours of the page's severities: what fails is as loud as a critical incident.
      set_attribute(item, "data-severity", check.state === "failing" ? "critical" : "high");
      set_text(part(item, "state"), kStateWords[check.state]);
      set_text(part(item, "name"), check_name(check));
      set_text(part(item, "detail"), sentence(check.detail));
      set_text(part(item, "advice"), check.advice ? sentence(check.advice) : "");
      show_time(part<HTMLTimeElement>(item, "since"), check.since, now);
    },
  );
}

/** "the disk is full" → "The disk is full." */
export function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function show_all(body: HTMLElement, checks: readonly CheckResult[], now: number): void {
  reconcile(
    body,
    checks,
    (check) => `${check.check} ${check.of}`,
    () =>
      h(
        "tr",
        {},
        h("th", { scope: "row", "data-part": "name" }),
        h("td", {}, h("span", { class: "state-dot", "data-part": "state" })),
        h("td", { class: "found", "data-part": "detail" }),
        h("td", {}, time_part("since")),
      ),
    (line, check) => {
      set_text(part(line, "name"), check_name(check));
      set_text(part(line, "state"), kStateWords[check.state]);
      set_attribute(part(line, "state"), "data-state", check.state);
      set_text(part(line, "detail"), sentence(check.detail));
      set_attribute(line, "title", check.advice || null);
      show_time(part<HTMLTimeElement>(line, "since"), check.since, now);
    },
  );
}

function show_quality(body: HTMLElement, streams: readonly StreamQuality[]): void {
  const lines = streams
    .filter((stream) => stream.events > 0)
    .flatMap((stream) => stream.fields.map((field) => ({ stream, field })));
  reconcile(
    body,
    lines,
    ({ stream, field }) => `${stream.stream} ${field.field}`,
    () =>
      h(
        "tr",
        {},
        h("th", { scope: "row", "data-part": "name" }),
        h("td", { "data-part": "stream" }),
        h("td", { class: "num", "data-part": "nulls" }),
        h("td", { class: "num", "data-part": "before" }),
        h("td", { class: "num", "data-part": "outliers" }),
        h("td", { class: "num", "data-part": "usual" }),
      ),
    (line, { stream, field }) => {
      set_text(part(line, "name"), field.field);
      set_text(part(line, "stream"), stream.stream);
      set_attribute(line, "title", `of ${format_count(stream.events)} events`);
      set_text(part(line, "nulls"), share_text(field.null_share));
      const before = field.null_share_before;
      set_text(part(line, "before"), before === null ? "–" : share_text(before));
      set_text(
        part(line, "outliers"),
        field.outlier_share === null ? "–" : share_text(field.outlier_share),
      );
      set_text(part(line, "usual"), usual_text(field));
    },
  );
}
