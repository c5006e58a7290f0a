// Draws the state: which part of index.html shows what. Reads State, never changes it.

import { ChartGrid, slot_color, type ChartData } from "./charts";
import { by_id, h, reconcile, set_attribute, set_text } from "./dom";
import {
  format_bytes,
  format_count,
  format_duration,
  format_number,
  format_time,
  format_utc,
  parse_time,
  plural,
  zone_name,
} from "./format";
import { GroupFilter } from "./groups";
import { show_health } from "./health";
import {
  no_rules_text,
  quiet_text,
  severity_rank,
  show_anomalies,
  show_incidents,
  show_rules,
  sort_incidents,
  summarize_rules,
} from "./incidents";
import { show_sinks, show_topics } from "./kafka";
import { KpiRow, type KpiValue } from "./kpi";
import type { LiveState } from "./live";
import {
  footer_texts,
  refused_and_late,
  unmatched,
  show_letters,
  show_reasons,
  show_sources,
  show_stages,
  show_streams,
  silent_since,
} from "./pipeline";
import { kRanges, type Range } from "./range";
import { range_note } from "./range_note";
import type { State } from "./state";
import { show_table } from "./table";
import { OverviewView } from "./overview_view";
import { group_label, kSeriesMax, type Group } from "./store";
import { current_theme, toggle_theme } from "./theme";
import type { Incident, Scalar, WindowInfo } from "./types";

const kTableRows = 48;
const kBuckets = 24;
const kChartsFew = 4;
const kWide = 1100; ///< px, as in style.css

const kConnectionWords: Record<LiveState, string> = {
  connecting: "Connecting…",
  live: "Live",
  stale: "Stale",
  reconnecting: "Reconnecting…",
  paused: "Paused",
};

export interface PageHandler {
  range(range: Range): void;
  window(name: string): void;
  toggle_group(id: string): void;
  automatic_groups(): void;
  focus_incident(incident: Incident): void;
  theme(): void;
}

export class Page {
  private readonly kpis_ = new KpiRow(by_id("kpis"), [
    ["events_per_second", "Events per second"],
    ["events_total", "Events"],
    ["incidents_open", "Open incidents"],
    ["anomalies", "Anomalies"],
    ["refused", "Refused and late"],
    ["watermark_lag", "Watermark lag"],
  ]);
  private readonly charts_ = new ChartGrid(by_id("charts"));
  private readonly overview_ = new OverviewView(by_id("overview"));
  private readonly groups_: GroupFilter;
  private readonly window_ = by_id<HTMLSelectElement>("window");
  private readonly theme_ = by_id<HTMLButtonElement>("theme");
  private table_for_ = ""; ///< Window for which it was decided whether the table is open.
  private readonly table_box_ = by_id<HTMLDetailsElement>("table-box");

  constructor(
    private readonly state_: State,
    private readonly handler_: PageHandler,
  ) {
    this.groups_ = new GroupFilter(by_id("groups"), {
      toggle: handler_.toggle_group,
      automatic: handler_.automatic_groups,
    });
    for (const range of kRanges) {
      const input = h("input", { type: "radio", name: "range", value: range.id });
      input.addEventListener("change", () => handler_.range(range));
      by_id("ranges").append(h("label", {}, input, h("span", {}, range.label)));
    }
    this.window_.addEventListener("change", () => handler_.window(this.window_.value));
    this.theme_.addEventListener("click", () => {
      toggle_theme();
      this.draw_theme();
      handler_.theme();
    });
    this.table_box_.addEventListener("toggle", () => this.draw_charts());
    this.draw_theme();
  }

  /** Draws the parts named; "all" is all of them. */
  draw(dirty: ReadonlySet<string>): void {
    const wants = (part: string): boolean => dirty.has("all") || dirty.has(part);
    if (wants("theme")) this.draw_theme();
    if (wants("connection")) this.draw_connection();
    if (dirty.has("all")) this.draw_choices();
    if (wants("kpis")) this.draw_kpis();
    if (wants("incidents")) this.draw_incidents();
    if (wants("rules")) this.draw_rules();
    if (wants("anomalies")) this.draw_anomalies();
    if (wants("groups")) this.draw_groups();
    if (wants("charts")) {
      this.draw_overview();
      this.draw_charts();
    }
    if (wants("pipeline")) this.draw_pipeline();
    if (wants("details")) this.draw_details();
    if (wants("health")) this.draw_health();
  }

  show_charts(): void {
    const quiet = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const title = by_id("charts-title");
    title.focus({ preventScroll: true });
    title.scrollIntoView({ behavior: quiet ? "auto" : "smooth", block: "start" });
  }

  private draw_theme(): void {
    const other = current_theme() === "dark" ? "light" : "dark";
    set_attribute(this.theme_, "aria-label", `Switch to the ${other} theme`);
    set_attribute(this.theme_, "title", `Switch to the ${other} theme`);
  }

  private draw_connection(): void {
    const { state_: state } = this;
    const element = by_id("connection");
    const silent = state.connection === "live" ? silent_since(state.streams) : null;
    set_attribute(element, "data-state", silent === null ? state.connection : "silent");
    set_text(
      element,
      silent === null
        ? kConnectionWords[state.connection]
        : `No events after ${format_time(silent, state.now())}`,
    );
    const about = `Connected, but the newest event of all streams is of ${format_utc(silent ?? 0)}: what is shown as going on is as of then.`;
    set_attribute(element, "title", silent === null ? null : about);
  }

  private draw_choices(): void {
    const { state_: state } = this;
    for (const input of by_id("ranges").querySelectorAll("input")) {
      input.checked = input.value === state.range.id;
    }
    const notice = by_id("notice");
    notice.hidden = state.error === "";
    if (state.error) set_text(notice, `Could not load the data: ${state.error}. Trying again.`);
    const names = state.windows.map((window) => window.window);
    reconcile(
      this.window_,
      names,
      (name) => name,
      (name) => h("option", { value: name }, name),
      () => undefined,
    );
    this.window_.hidden = names.length < 2;
    if (state.window && this.window_.value !== state.window.window)
      this.window_.value = state.window.window;
    if (state.window && this.table_for_ !== state.window.window) {
      // Beside few charts there is room for the table; else it is there when asked for.
      this.table_for_ = state.window.window;
      this.table_box_.open = state.window.metrics.length <= kChartsFew && innerWidth >= kWide;
    }
    const info = state.window;
    set_text(by_id("charts-title"), names.length === 1 && info ? info.window : "Windows");
    set_text(
      by_id("window-about"),
      !info
        ? ""
        : `${kind_of(info)} over ${info.stream}${
            info.keys.length > 0 ? `, by ${info.keys.map((key) => key.name).join(", ")}` : ""
          }; dashed: still open; times in ${zone_name()}`,
    );
  }

  private draw_kpis(): void {
    const { state_: state } = this;
    const { pulse, pipeline } = state;
    const waiting: KpiValue = { value: "–", note: "" };
    const show = (id: string, kpi: KpiValue): void => this.kpis_.show(id, kpi);
    const view = state.view();
    const anomalies = state.anomalies_in_view();
    const open = state.incidents_in_view().filter((incident) => incident.status === "open");
    const worst = [...open].sort(
      (a, b) => severity_rank(b.severity) - severity_rank(a.severity),
    )[0];
    show("incidents_open", {
      value: state.loaded || worst ? format_count(open.length) : "–",
      note: worst ? `highest: ${worst.severity}` : state.loaded ? "all quiet" : "",
      tone: worst ? worst.severity : state.loaded ? "good" : "",
    });
    const length = (view.to - view.range_from) / kBuckets;
    const buckets = new Array<number>(kBuckets).fill(0);
    for (const anomaly of anomalies) {
      const at = Math.floor((parse_time(anomaly.window_start) - view.range_from) / length);
      ++buckets[Math.min(kBuckets - 1, Math.max(0, at))]!;
    }
    show("anomalies", {
      value: state.loaded || anomalies.length > 0 ? format_count(anomalies.length) : "–",
      note: `in ${state.range_text()}`,
      spark: buckets,
      bars: true,
    });
    if (!pulse) {
      for (const id of ["events_per_second", "events_total", "refused", "watermark_lag"])
        show(id, waiting);
      return;
    }
    show("events_per_second", {
      value: format_number(pulse.events_per_second),
      note: "last minute",
      spark: state.speed.values,
    });
    const started = parse_time(pipeline?.started_at);
    show("events_total", {
      value: format_number(pulse.events_total),
      title: format_count(pulse.events_total),
      note: Number.isFinite(started)
        ? `in this run, ${format_duration(state.now() - started)}`
        : "since the start",
    });
    const counts = state.letters?.counts ?? [];
    const { refused, late, stored } = refused_and_late(pulse, counts);
    const told = Object.entries({ refused, late, unmatched: unmatched(counts) })
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${format_number(count)} ${what}`)
      .join(" · ");
    const earlier = stored || unmatched(counts) > 0;
    show("refused", {
      value: format_number(refused + late),
      title: format_count(refused + late) + (earlier ? " since the database was made" : ""),
      note: told === "" ? "0 refused · 0 late" : told + (earlier ? ", in all runs" : ""),
      tone: refused + late > 0 ? "medium" : "",
    });
    const lag = pulse.watermark_lag_seconds;
    show("watermark_lag", {
      value:
        lag == null
          ? "–"
          : lag < 10
            ? `${Math.max(0, lag).toFixed(1)}\u202fs`
            : format_duration(lag * 1000),
      note: plural(pulse.windows_open ?? 0, "open window"),
      spark: state.lag.values,
    });
  }

  private draw_incidents(): void {
    const { state_: state } = this;
    const incidents = sort_incidents(state.incidents_in_view());
    const open = incidents.filter((incident) => incident.status === "open").length;
    show_incidents(by_id("incidents"), incidents, state.data_now(), this.handler_.focus_incident);
    set_text(
      by_id("incidents-count"),
      incidents.length === 0 ? "" : `${open} open, ${incidents.length - open} resolved`,
    );
    const empty = by_id("incidents-empty");
    empty.hidden = incidents.length > 0 || !state.loaded || !state.pipeline;
    if (!empty.hidden) {
      const { rules = [], rules_configured: configured } = state.pipeline ?? {};
      set_text(empty, quiet_text(state.range_text(), summarize_rules(rules), configured));
    }
    set_text(document.querySelector("title")!, open > 0 ? `(${open}) streamobs` : "streamobs");
  }

  private draw_rules(): void {
    const rules = summarize_rules(this.state_.pipeline?.rules ?? []);
    show_rules(by_id("rules"), rules);
    set_text(by_id("rules-empty"), no_rules_text(this.state_.pipeline?.rules_configured));
    by_id("rules-empty").hidden = rules.length > 0 || this.state_.pipeline === null;
  }

  private draw_anomalies(): void {
    const anomalies = this.state_.anomalies_in_view();
    by_id("anomalies-panel").hidden = anomalies.length === 0;
    show_anomalies(by_id("anomalies"), anomalies, this.state_.now());
  }

  private draw_groups(): void {
    const { store, selection } = this.state_;
    const groups = store ? store.ranked(this.state_.view().from) : [];
    // In alphabetical order while they all fit: chips then do not change places.
    if (groups.length <= kSeriesMax) groups.sort((a, b) => (a.label < b.label ? -1 : 1));
    this.groups_.show(groups, selection, slot_color);
  }

  private chart_data(): ChartData | null {
    const { state_: state } = this;
    const { store, selection } = state;
    if (!store) return null;
    const ids = selection.ids.sort((a, b) => selection.slot(a) - selection.slot(b));
    const groups = ids.map((id) => store.groups.get(id));
    const view = state.view();
    return {
      store,
      groups,
      slots: ids.map((id) => selection.slot(id)),
      labels: groups.map(
        (group, at) => group?.label ?? group_label(JSON.parse(ids[at]!) as Scalar[]),
      ),
      from: view.from,
      to: view.to,
      marks: state.marks(),
      now: state.now(),
    };
  }

  private draw_overview(): void {
    const { store, adding } = this.state_;
    const view = this.state_.view();
    const text = this.state_.range_text();
    const data = store && { store, adding, view, range_text: text, now: this.state_.now() };
    this.overview_.show(data);
  }

  private draw_charts(): void {
    const { state_: state } = this;
    const data = this.chart_data();
    const has_rows = data !== null && data.store.row_count > 0;
    const view = state.view();
    this.draw_range_note(has_rows);
    by_id("charts").hidden = !has_rows;
    this.table_box_.hidden = !has_rows;
    const empty = by_id("charts-empty");
    const known = state.loaded && state.error === "" && (!state.window || data !== null);
    empty.hidden = has_rows || !known;
    if (!empty.hidden) this.draw_empty(empty);
    if (!has_rows) {
      if (!data) this.charts_.clear();
      return;
    }
    this.charts_.show({ ...data, from: view.from, to: view.to });
    const [drawn, there] = [data.groups.length, data.store.groups.size];
    set_text(
      by_id("table-groups"),
      drawn < there ? `(${drawn} of ${plural(there, "group")}: those drawn)` : "",
    );
    if (this.table_box_.open) {
      const groups = data.groups.filter((group): group is Group => group !== undefined);
      show_table(by_id<HTMLTableElement>("table"), { ...data, groups }, kTableRows);
    }
  }

  private draw_range_note(has_rows: boolean): void {
    const { state_: state } = this;
    const note = by_id("range-note");
    const text = has_rows ? range_note(state) : "";
    note.hidden = text === "";
    set_text(note, text);
    const { past, to } = state.view();
    set_attribute(note, "title", text && past ? format_utc(to) : null);
  }

  /** No rows: what that means, and what to do about it. */
  private draw_empty(root: HTMLElement): void {
    const info = this.state_.window;
    if (!info) {
      root.replaceChildren(
        h("p", {}, "This config has no windows. Add one as [window.NAME] to see charts here."),
      );
      return;
    }
    const address = new URL(`v1/events/${encodeURIComponent(info.stream)}`, location.href);
    address.hash = "";
    const line = `curl -X POST ${address.href} -H 'Content-Type: application/json' -d '{…}'`;
    if (root.querySelector("code")?.textContent === line) return;
    root.replaceChildren(
      h(
        "p",
        {},
        `Waiting for the first events of stream ${info.stream}. A window is drawn as soon as it has one.`,
      ),
      h("p", { class: "muted" }, "To send some:"),
      h("pre", { tabindex: 0 }, h("code", {}, line)),
    );
  }

  private draw_pipeline(): void {
    const { pipeline, rates } = this.state_;
    if (!pipeline) return;
    show_stages(by_id("stages"), pipeline.rows ?? [], rates);
    const now = this.state_.now();
    show_sources(by_id("sources"), pipeline.sources ?? [], now);
    const topics = show_topics(by_id("topics"), pipeline.sources ?? [], now);
    const sinks = show_sinks(by_id("sinks"), pipeline.sinks ?? [], now);
    by_id("topics-box").hidden = !topics;
    by_id("sinks-box").hidden = !sinks;
    by_id("kafka").hidden = !topics && !sinks;
    const store = pipeline.store;
    const parts = [
      `streamobs ${pipeline.version}`,
      `up ${format_duration(pipeline.uptime_seconds * 1000)}`,
      ...(store ? [`store ${format_bytes(store.bytes)}`] : []),
      ...footer_texts(pipeline, now),
    ];
    reconcile(
      by_id("foot"),
      parts.map((text, at) => ({ text, at })),
      ({ at }) => String(at),
      () => h("li"),
      (item, { text }) => set_text(item, text),
    );
    set_attribute(by_id("foot"), "title", store?.path ?? null);
  }

  private draw_details(): void {
    const { letters, streams } = this.state_;
    const now = this.state_.now();
    show_streams(by_id("streams"), streams, now);
    if (!letters) return;
    show_reasons(by_id("reasons"), letters.counts);
    by_id("reasons-empty").hidden = letters.counts.length > 0;
    show_letters(by_id("letters"), letters.rows, now);
    by_id("letters-empty").hidden = letters.rows.length > 0;
  }

  private draw_health(): void {
    const { state_: state } = this;
    show_health(state.health, state.health_stale(), state.health_at, state.now());
  }
}

function kind_of(info: WindowInfo): string {
  if (info.gap !== null) return `Sessions (${info.gap} apart)`;
  return info.hop === null
    ? `${info.size} windows`
    : `${info.size} windows, one every ${info.hop},`;
}
