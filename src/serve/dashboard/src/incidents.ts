// Incident cards, the list of anomalies, and what the rules are doing.

import { h, reconcile, set_attribute, set_text, set_time, time_element } from "./dom";
import {
  format_duration,
  format_number,
  format_time,
  format_utc,
  format_value,
  guess_unit,
  metric_title,
  parse_time,
  plural,
  words,
} from "./format";
import type { Anomaly, Incident, RuleState, Scalar, Severity } from "./types";

const kCardsMax = 40;
const kAnomaliesMax = 12;
const kSeverities: Severity[] = ["low", "medium", "high", "critical"];

export function severity_rank(severity: string): number {
  return kSeverities.indexOf(severity as Severity);
}

/** Open ones first, then by severity while open, then the newest first. */
export function sort_incidents(incidents: readonly Incident[]): Incident[] {
  const open = (incident: Incident): number => (incident.status === "open" ? 1 : 0);
  return [...incidents].sort(
    (a, b) =>
      open(b) - open(a) ||
      (a.status === "open" ? severity_rank(b.severity) - severity_rank(a.severity) : 0) ||
      parse_time(b.started_at) - parse_time(a.started_at),
  );
}

export function show_incidents(
  list: HTMLElement,
  incidents: readonly Incident[],
  now: number,
  on_focus: (incident: Incident) => void,
): void {
  reconcile(
    list,
    incidents.slice(0, kCardsMax),
    (incident) => incident.id,
    (incident) => make_card(incident, on_focus),
    (card, incident) => update_card(card, incident, now),
  );
}

function make_card(incident: Incident, on_focus: (incident: Incident) => void): HTMLElement {
  const show = h("button", { type: "button", class: "link" }, "Show on the charts");
  show.addEventListener("click", () => on_focus(incident));
  return h(
    "li",
    { class: "incident" },
    h(
      "div",
      { class: "incident-head" },
      h("span", { class: "pill", "data-part": "severity" }),
      h("span", { class: "state", "data-part": "status" }),
      time_with("when"),
    ),
    h("h3", { "data-part": "title" }),
    h("ul", { class: "tags", "data-part": "keys" }),
    h("p", { class: "explanation", "data-part": "explanation" }),
    h(
      "details",
      {},
      h("summary", { "data-part": "summary" }),
      h("ul", { class: "evidence", "data-part": "evidence" }),
      h("p", { class: "muted small", "data-part": "narrated" }),
    ),
    show,
  );
}

function time_with(part: string): HTMLTimeElement {
  const element = time_element();
  element.dataset["part"] = part;
  element.className = "muted";
  return element;
}

function part<T extends HTMLElement>(root: HTMLElement, name: string): T {
  return root.querySelector<T>(`[data-part="${name}"]`)!;
}

function update_card(card: HTMLElement, incident: Incident, now: number): void {
  const open = incident.status === "open";
  card.className = `incident ${incident.severity} ${open ? "is-open" : "is-resolved"}`;
  set_attribute(card, "data-status", incident.status);
  set_attribute(card, "data-severity", incident.severity);
  set_text(part(card, "severity"), incident.severity);
  set_text(part(card, "status"), open ? "Open" : "Resolved");
  const start = parse_time(incident.started_at);
  // How long it lasted, as its text says; it is called resolved only some quiet time later.
  const end = open ? now : parse_time(incident.last_seen_at);
  const length = format_duration(end - start);
  set_time(
    part<HTMLTimeElement>(card, "when"),
    open
      ? `since ${format_time(start, now)} · ${length}`
      : `${format_time(start, now)} · for ${length}`,
    format_utc(start),
    incident.started_at,
  );
  // The clock above moves on; the rest only changes with the revision.
  const state = `${incident.revision} ${incident.status} ${incident.anomaly_count} ${incident.narrated_by}`;
  if (card.dataset["state"] === state) return;
  card.dataset["state"] = state;
  set_text(part(card, "title"), incident.title);
  set_text(part(card, "explanation"), incident.explanation);
  const evidence = incident.evidence ?? [];
  set_text(
    part(card, "summary"),
    evidence.length > 0 ? `Evidence (${evidence.length})` : "Details",
  );
  part(card, "evidence").replaceChildren(...evidence.map((line) => h("li", {}, line)));
  set_text(
    part(card, "narrated"),
    `${plural(incident.anomaly_count, "anomaly", "anomalies")}, explained by ${incident.narrated_by}`,
  );
  part(card, "keys").replaceChildren(...key_tags(incident.keys));
}

export function key_tags(keys: Record<string, Scalar>): HTMLElement[] {
  return Object.entries(keys ?? {}).map(([name, value]) =>
    h(
      "li",
      {},
      h("span", { class: "muted" }, `${name} `),
      value === null ? "(none)" : String(value),
    ),
  );
}

export function show_anomalies(
  list: HTMLElement,
  anomalies: readonly Anomaly[],
  now: number,
): void {
  reconcile(
    list,
    anomalies.slice(0, kAnomaliesMax),
    (anomaly) => anomaly.id,
    () =>
      h(
        "li",
        { class: "anomaly" },
        h("span", { class: "dot", "aria-hidden": "true" }),
        h(
          "div",
          {},
          h("p", { "data-part": "what" }),
          h("p", { class: "muted small", "data-part": "how" }),
        ),
        time_with("when"),
      ),
    (line, anomaly) => {
      set_attribute(line, "data-severity", anomaly.severity);
      set_text(part(line, "what"), `${words(anomaly.anomaly_type)} · ${key_text(anomaly.keys)}`);
      set_text(part(line, "how"), anomaly_numbers(anomaly));
      set_attribute(line, "title", anomaly.description);
      const start = parse_time(anomaly.window_start);
      set_time(
        part<HTMLTimeElement>(line, "when"),
        format_time(start, now),
        format_utc(start),
        anomaly.window_start,
      );
    },
  );
}

function key_text(keys: Record<string, Scalar>): string {
  return (
    Object.values(keys ?? {})
      .map((value) => (value === null ? "(none)" : String(value)))
      .join(" · ") || "all"
  );
}

/** "high: error rate 21 %, usually 4 %, limit 12 %" */
export function anomaly_numbers(anomaly: Anomaly): string {
  const largest = Math.max(
    Math.abs(anomaly.metric_value ?? 0),
    Math.abs(anomaly.baseline_value ?? 0),
  );
  const unit = guess_unit(anomaly.metric_name, "float", largest);
  const parts = [
    `${anomaly.severity}: ${metric_title(anomaly.metric_name).toLowerCase()} ` +
      format_value(anomaly.metric_value, unit),
  ];
  if (anomaly.baseline_value !== null)
    parts.push(`usually ${format_value(anomaly.baseline_value, unit)}`);
  if (anomaly.threshold_value !== null)
    parts.push(`limit ${format_value(anomaly.threshold_value, unit)}`);
  return parts.join(", ");
}

export interface RuleSummary {
  rule: string;
  window: string;
  phase: "firing" | "pending" | "warming_up" | "ok";
  text: string;
  progress: number; ///< of the warm-up, 0 … 1
}

/** One line for each rule, over all its keys. */
export function summarize_rules(states: readonly RuleState[]): RuleSummary[] {
  const by_rule = new Map<string, RuleState[]>();
  for (const state of states) {
    const name = `${state.rule}\n${state.window}`;
    const list = by_rule.get(name);
    if (list) list.push(state);
    else by_rule.set(name, [state]);
  }
  return [...by_rule.values()].map((list) => {
    const { rule, window } = list[0]!;
    const count = (phase: string): number => list.filter((state) => state.phase === phase).length;
    const firing = count("firing");
    const pending = count("pending");
    const warming = list.filter((state) => state.phase === "warming_up");
    const many = list.length > 1;
    const of_all = many ? ` of ${plural(list.length, "key")}` : "";
    if (firing > 0) {
      const keys = list.filter((state) => state.phase === "firing" && state.key !== "");
      const named = keys
        .slice(0, 3)
        .map((state) => state.key.replaceAll("|", " · "))
        .join(", ");
      const rest = keys.length > 3 ? ` and ${format_number(keys.length - 3)} more` : "";
      return {
        rule,
        window,
        phase: "firing",
        progress: 1,
        text: `firing: ${named || "now"}${rest}`,
      };
    }
    if (pending > 0) {
      return {
        rule,
        window,
        phase: "pending",
        progress: 1,
        text: `true for ${pending}${of_all}, not yet for long enough`,
      };
    }
    if (warming.length > 0) {
      // The key that is furthest says when the rule first becomes useful.
      const best = warming.reduce((a, b) => (b.history_windows > a.history_windows ? b : a));
      const progress =
        best.warmup_windows > 0 ? Math.min(1, best.history_windows / best.warmup_windows) : 0;
      const windows = `${best.history_windows} of ${plural(best.warmup_windows, "window")}`;
      const text =
        warming.length === list.length
          ? `warming up: ${windows}`
          : `quiet; still warming up for ${warming.length}${of_all} (${windows})`;
      return { rule, window, phase: "warming_up", progress, text };
    }
    const silent = count("silent");
    const gone = silent > 0 ? `; no data any more from ${silent}${of_all}, last seen firing` : "";
    return {
      rule,
      window,
      phase: "ok",
      progress: 1,
      text: (many ? `quiet for ${plural(list.length - silent, "key")}` : "quiet") + gone,
    };
  });
}

export function show_rules(list: HTMLElement, rules: readonly RuleSummary[]): void {
  reconcile(
    list,
    rules,
    (rule) => `${rule.rule} ${rule.window}`,
    () =>
      h(
        "li",
        { class: "rule" },
        h("span", { class: "dot", "aria-hidden": "true" }),
        h(
          "div",
          {},
          h(
            "p",
            {},
            h("span", { "data-part": "name" }),
            h("span", { class: "muted", "data-part": "window" }),
          ),
          h("p", { class: "muted small", "data-part": "text" }),
          h("progress", { max: 1, hidden: true, "aria-label": "Warm-up" }),
        ),
      ),
    (line, rule) => {
      set_attribute(line, "data-phase", rule.phase);
      set_text(part(line, "name"), words(rule.rule));
      set_text(part(line, "window"), ` on ${rule.window}`);
      set_text(part(line, "text"), rule.text);
      const bar = line.querySelector("progress")!;
      bar.hidden = rule.phase !== "warming_up";
      if (bar.value !== rule.progress) bar.value = rule.progress;
    },
  );
}

/** What an empty list of rules means. */
export function no_rules_text(configured: number | undefined): string {
  return configured === 0
    ? "No rules are configured: nothing here is watched."
    : "No rule has seen a closed window yet.";
}

/** What an empty list of incidents means. */
export function quiet_text(
  range: string,
  rules: readonly RuleSummary[],
  configured: number | undefined,
): string {
  if (rules.length === 0)
    return configured
      ? `No incidents in ${range}. ${no_rules_text(configured)}`
      : `No incidents in ${range}. There are no rules that could raise one.`;
  const warming = rules.filter((rule) => rule.phase === "warming_up");
  const rest = warming
    .map((rule) => `${rule.rule} is ${rule.text.replace(/^quiet; /, "")}.`)
    .join(" ");
  if (warming.length === rules.length)
    return `No incidents in ${range}, but no rule is ready yet. ${rest}`;
  const firing = rules.some((rule) => rule.phase === "firing" || rule.phase === "pending");
  const which = warming.length > 0 ? "the rules that are ready are" : "every rule is";
  const head = firing
    ? `No incidents in ${range} so far.`
    : `No incidents in ${range}: ${which} quiet.`;
  return rest ? `${head} ${rest}` : head;
}
