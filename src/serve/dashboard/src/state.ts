// Everything the page knows, and what follows from it. No DOM. One for the life of the page.

import type { LiveState } from "./live";
import { Selection } from "./groups";
import type { Mark } from "./chart_marks";
import { anomaly_numbers } from "./incidents";
import { adding_metrics } from "./overview";
import { format_duration, format_time, metric_title, parse_time, words } from "./format";
import { StageRates } from "./pipeline";
import { kRanges, view_of, type Range, type View } from "./range";
import { group_id, History, kSeriesMax, Recent, WindowStore } from "./store";
import type {
  Anomaly,
  DeadLetters,
  HealthReport,
  Incident,
  Pipeline,
  Pulse,
  Scalar,
  StreamState,
  WindowInfo,
} from "./types";

const kAnomaliesMax = 2_000;
const kIncidentsMax = 400;
const kPulses = 60;
/** A report is asked for every ten seconds; one that is older than this says nothing of now. */
const kHealthOldMs = 45_000;

export class State {
  connection: LiveState = "connecting";
  error = "";
  loaded = false; ///< Once everything has been; then the numbers are facts.
  range: Range = kRanges[1]!;
  wanted_window: string | null = null;
  windows: WindowInfo[] = [];
  window: WindowInfo | null = null;
  store: WindowStore | null = null;
  adding: number[] = []; ///< Metrics of the store that add up over its groups.
  truncated = false; ///< The store has all groups only for the newest windows.
  pulse: Pulse | null = null;
  pipeline: Pipeline | null = null;
  letters: DeadLetters | null = null;
  streams: StreamState[] = [];
  health: HealthReport | null = null;
  health_at = Number.NaN; ///< When that report came.
  private health_failed_ = false;
  readonly selection = new Selection();
  readonly rates = new StageRates();
  readonly speed = new History(kPulses);
  readonly lag = new History(kPulses);
  // One that was over may be raised once more, when its window is corrected.
  readonly anomalies = new Recent<Anomaly>(
    (a) => parse_time(a.window_start),
    (a) => a.revision ?? (a.resolved ? 1 : 0),
    kAnomaliesMax,
  );
  // Open incidents count as newer than all others, so that they are the last to leave.
  readonly incidents = new Recent<Incident>(
    (i) => parse_time(i.started_at) + (i.status === "open" ? 1e15 : 0),
    (i) => i.revision ?? 0,
    kIncidentsMax,
  );

  constructor(readonly now: () => number) {}

  size_ms(): number {
    return Math.max(1_000, ((this.store?.info ?? this.window)?.size_seconds ?? 60) * 1000);
  }

  view(): View {
    const store = this.store;
    const view = view_of(
      this.range,
      this.now(),
      this.size_ms(),
      store?.oldest_start ?? Number.NaN,
      store?.newest_start ?? Number.NaN,
      store?.newest_end ?? Number.NaN,
    );
    if (!store || store.info.gap === null) return view;
    // A session is drawn where it began, and shown while it goes on: also when it began earlier.
    const first = store.first_start_until(view.range_from);
    if (!(first < view.range_from)) return view;
    return { ...view, from: first - this.size_ms() / 2, range_from: first, widened: true };
  }

  /** Everything was asked for, and there is more than the page has room for. */
  cut(): boolean {
    return !Number.isFinite(this.range.ms) && Number.isFinite(this.store?.complete_from ?? 0);
  }

  /** The span of time shown, as in "no incidents in …". */
  range_text(): string {
    const view = this.view();
    if (view.past) return "the range shown";
    if (this.cut()) return `the time since ${format_time(view.range_from, this.now())}`;
    return view.widened
      ? `the last ${format_duration(view.to - view.range_from)}`
      : this.range.text;
  }

  /** Now; for data from the past, the moment they end. */
  data_now(): number {
    const view = this.view();
    return view.past ? view.to : this.now();
  }

  set_windows(windows: WindowInfo[]): void {
    this.windows = windows;
    const name = this.window?.window ?? this.wanted_window;
    this.window = windows.find((window) => window.window === name) ?? windows[0] ?? null;
    if (!this.window) this.store = null;
  }

  /** True when that is another window than the one shown. */
  choose_window(name: string): boolean {
    const window = this.windows.find((candidate) => candidate.window === name);
    if (!window || window.window === this.window?.window) return false;
    this.window = window;
    this.store = null;
    this.selection.clear();
    return true;
  }

  use_store(store: WindowStore, truncated: boolean): void {
    this.store = store;
    this.truncated = truncated;
    this.adding = adding_metrics(store);
    if (this.selection.automatic) this.selection.set(this.ranked_ids());
    this.fill_selection();
  }

  /** While the page chooses: groups that have appeared are shown as long as there is room. */
  fill_selection(): void {
    const { selection, store } = this;
    if (!store || !selection.automatic || selection.full) return;
    if (selection.ids.length >= store.groups.size) return;
    for (const id of this.ranked_ids()) selection.add(id);
  }

  private ranked_ids(): string[] {
    const groups = this.store?.ranked(this.view().from) ?? [];
    // While all of them fit they go by name, as their chips do.
    if (groups.length <= kSeriesMax) groups.sort((a, b) => (a.label < b.label ? -1 : 1));
    return groups.slice(0, kSeriesMax).map((group) => group.id);
  }

  take_pulse(pulse: Pulse): void {
    this.pulse = pulse;
    this.speed.push(pulse.events_per_second ?? 0);
    if (pulse.watermark_lag_seconds != null) this.lag.push(pulse.watermark_lag_seconds);
  }

  /** Null: the engine was asked and did not say. */
  take_health(report: HealthReport | null): void {
    this.health_failed_ = report === null;
    if (!report) return;
    this.health = report;
    this.health_at = this.now();
  }

  /** What is known of the engine's health is of the past, or nothing. */
  health_stale(): boolean {
    return this.health_failed_ || this.now() - this.health_at > kHealthOldMs;
  }

  /** Without those that late events have shown to be none. */
  anomalies_in_view(): Anomaly[] {
    const { range_from, to } = this.view();
    return this.anomalies
      .list()
      .filter(
        (a) =>
          !a.withdrawn &&
          parse_time(a.window_end) > range_from &&
          parse_time(a.window_start) < to + this.size_ms(),
      );
  }

  /** Open ones, whenever they began, and those that were there in the range shown. */
  incidents_in_view(): Incident[] {
    const { range_from, to } = this.view();
    return this.incidents
      .list()
      .filter(
        (i) =>
          i.status === "open" ||
          (parse_time(i.resolved_at ?? i.last_seen_at) > range_from &&
            parse_time(i.started_at) < to),
      );
  }

  marks(): Mark[] {
    const name = this.window?.window;
    return this.anomalies_in_view()
      .filter((a) => a.window === name)
      .map((a) => ({
        start: parse_time(a.window_start),
        end: parse_time(a.window_end),
        metric: a.metric_name,
        group: this.group_of(a.keys) ?? "",
        severity: a.severity,
        value: a.metric_value,
        title: `${words(a.anomaly_type)}: ${anomaly_numbers(a) || metric_title(a.metric_name)}`,
      }));
  }

  /** The group of the window shown that has these keys. */
  group_of(keys: Record<string, Scalar>): string | null {
    const names = this.window?.keys.map((key) => key.name) ?? [];
    if (!names.every((name) => name in keys)) return null;
    return group_id(names.map((name) => keys[name] ?? null));
  }

  /** The window that is by these keys, or at least has them; rather the one shown than another. */
  window_with_keys(names: readonly string[]): string | undefined {
    const has = (window: WindowInfo): boolean =>
      names.every((name) => window.keys.some((key) => key.name === name));
    const shown_first = [...(this.window ? [this.window] : []), ...this.windows];
    const exact = shown_first.find((window) => has(window) && window.keys.length === names.length);
    return (exact ?? shown_first.find(has))?.window;
  }
}
