// The page: loads what was, follows what is, and says which parts have to be drawn again.

import { Api, ApiError } from "./api";
import { ask_token } from "./token";
import { LiveClient, type LiveState } from "./live";
import { trend_ms } from "./overview";
import { kRanges, merged_info, span_ms, type Range } from "./range";
import { Page } from "./page";
import { Scheduler } from "./scheduler";
import { State } from "./state";
import { kSeriesMax, kWindowsMax, WindowStore, type Group } from "./store";
import { follow_system } from "./theme";
import type { Anomaly, Incident, Pulse, WindowAnswer, WindowInfo, WindowRow } from "./types";

const kRowsPerLoad = 20_000;
const kPipelineEveryMs = 3_000;
const kDetailsEveryMs = 10_000;
/** Merged rows do not come live. */
const kMergedEveryMs = 60_000;
const kClockEveryMs = 5_000;
const kRetryMs = 4_000;
/** A reader who looks elsewhere for a moment should not lose the connection. */
const kPauseAfterMs = 10_000;
const kParallel = 4;

class App {
  private readonly api_ = new Api(ask_token);
  private readonly state_ = new State(() => this.api_.now());
  private readonly page_: Page;
  private readonly scheduler_: Scheduler;
  private readonly live_: LiveClient;
  private load_number_ = 0;
  private loading_: WindowStore | null = null; ///< Being filled; takes live rows too.
  private live_anomalies_: Anomaly[] | null = null; ///< What came live while loading.
  private live_incidents_: Incident[] | null = null;
  private followed_ = ""; ///< The window whose rows come live.
  private timers_: number[] = [];
  private pause_timer_ = 0;
  private retry_timer_ = 0;
  private paused_ = false;
  private details_due_ms_ = 0;
  private merged_due_ms_ = 0;

  constructor() {
    this.page_ = new Page(this.state_, {
      range: (range) => this.choose_range(range),
      window: (name) => this.choose_window(name),
      toggle_group: (id) => this.toggle_group(id),
      automatic_groups: () => this.choose_automatic(),
      focus_incident: (incident) => this.focus_incident(incident),
      theme: () => this.scheduler_.mark("charts", "groups"),
    });
    this.scheduler_ = new Scheduler((dirty) => this.page_.draw(dirty));
    this.live_ = new LiveClient(this.api_, {
      message: (event, data) => this.take(event, data),
      state: (state) => this.connection(state),
      open: (again) => {
        if (again) void this.load();
      },
      unknown: () => void this.load(),
    });
    follow_system(() => this.scheduler_.mark("theme", "charts", "groups"));
    document.addEventListener("visibilitychange", () => this.visibility());
  }

  async start(): Promise<void> {
    const hash = new URLSearchParams(location.hash.slice(1));
    this.state_.range = kRanges.find((range) => range.id === hash.get("range")) ?? kRanges[1]!;
    this.state_.wanted_window = hash.get("window");
    this.scheduler_.mark("all");
    // Before anything else, so that a token is asked for once, and live rows are about this window.
    await this.load_windows();
    this.resume();
  }

  /** Starts everything that keeps the page up to date. */
  private resume(): void {
    this.follow();
    void this.load();
    void this.poll();
    this.timers_ = [
      setInterval(() => void this.poll(), kPipelineEveryMs),
      setInterval(() => {
        this.scheduler_.mark("charts", "incidents", "kpis", "health");
      }, kClockEveryMs),
    ];
  }

  /** Opens the live stream for the window shown. */
  private follow(): void {
    this.followed_ = this.state_.window?.window ?? "";
    this.live_.start(this.followed_ ? [this.followed_] : []);
  }

  private visibility(): void {
    clearTimeout(this.pause_timer_);
    if (document.hidden) {
      this.pause_timer_ = setTimeout(() => {
        this.paused_ = true;
        for (const timer of this.timers_) clearInterval(timer);
        this.timers_ = [];
        this.live_.pause();
      }, kPauseAfterMs);
    } else if (this.paused_) {
      this.paused_ = false;
      this.resume();
    }
  }

  private connection(state: LiveState): void {
    this.state_.connection = state;
    this.scheduler_.mark("connection");
  }

  // Live messages.

  private take(event: string, data: unknown): void {
    switch (event) {
      case "window":
        this.take_rows(data as { window: string; rows: WindowRow[] });
        break;
      case "anomaly":
        this.state_.anomalies.add([data as Anomaly]);
        this.live_anomalies_?.push(data as Anomaly);
        this.scheduler_.mark("charts", "anomalies", "kpis");
        break;
      case "incident":
        this.state_.incidents.add([data as Incident]);
        this.live_incidents_?.push(data as Incident);
        this.scheduler_.mark("incidents", "kpis");
        break;
      case "pipeline":
        this.take_pulse(data as Pulse);
        break;
      default:
        break; // A newer engine may say more than this page knows.
    }
  }

  private take_rows(message: { window: string; rows: WindowRow[] }): void {
    const pinned = new Set(this.state_.selection.ids);
    for (const store of new Set([this.state_.store, this.loading_])) {
      if (store?.info.window === message.window && !store.merged)
        store.add(message.rows ?? [], pinned);
    }
    if (this.state_.store?.info.window !== message.window) return;
    this.state_.fill_selection();
    this.scheduler_.mark("charts", "groups");
  }

  private take_pulse(pulse: Pulse): void {
    const before = this.state_.pulse;
    this.state_.take_pulse(pulse);
    this.scheduler_.mark("kpis");
    const refused = (p: Pulse): number => (p.rejected_total ?? 0) + (p.late_total ?? 0);
    if (before && refused(pulse) !== refused(before)) {
      this.details_due_ms_ = Math.min(this.details_due_ms_, performance.now() + kPipelineEveryMs);
    }
  }

  // Loading.

  /** Everything anew: at the start, after a gap in the live stream, after a choice. */
  private async load(): Promise<void> {
    const number = ++this.load_number_;
    const current = (): boolean => number === this.load_number_;
    clearTimeout(this.retry_timer_);
    try {
      const windows = await this.api_.windows();
      if (!current()) return;
      this.state_.set_windows(windows);
      this.scheduler_.mark("all");
      const info = this.state_.window;
      // The engine may have come back with another config.
      if ((info?.window ?? "") !== this.followed_) this.follow();
      if (info) {
        const [store, truncated] = await this.load_rows(info);
        if (!current()) return;
        this.loading_ = null;
        this.state_.use_store(store, truncated);
        this.merged_due_ms_ = performance.now() + kMergedEveryMs;
        this.scheduler_.mark("all");
        if (truncated) await this.load_history(store, this.state_.selection.ids);
        if (!current()) return;
      }
      await this.load_events();
      if (!current()) return;
      this.state_.error = "";
    } catch (error) {
      if (!current()) return;
      this.fail(error);
      this.retry_timer_ = setTimeout(() => void this.load(), kRetryMs);
      return;
    }
    this.state_.loaded = true;
    this.scheduler_.mark("all");
  }

  /** The windows there are; tries until it gets them. */
  private async load_windows(): Promise<void> {
    for (;;) {
      try {
        this.state_.set_windows(await this.api_.windows());
        return;
      } catch (error) {
        this.fail(error);
        await new Promise((resolve) => setTimeout(resolve, kRetryMs));
      }
    }
  }

  private fail(error: unknown): void {
    this.state_.error = error instanceof Error ? error.message : String(error);
    this.scheduler_.mark("all");
  }

  /** A store of what is to be shown; true when there were more rows than one answer holds. */
  private async load_rows(info: WindowInfo): Promise<[WindowStore, boolean]> {
    const range_ms = span_ms(this.state_.range, info.size_seconds * 1000);
    const span = Math.max(range_ms, trend_ms(info));
    const bounds = { windows: kWindowsMax, limit: kRowsPerLoad };
    const store = new WindowStore(info);
    this.loading_ = store;
    if (!Number.isFinite(span)) {
      const answer = await this.load_all(info, bounds);
      if (answer) {
        const longer = merged_info(info, answer);
        const all = longer ? new WindowStore(longer, true) : store;
        return [all, all.load(answer.rows, kRowsPerLoad)];
      }
    } else if (info.gap === null) {
      // (Sessions are asked for by when they began, and go on for as long as they like.)
      const from = Math.floor(this.api_.now() - span);
      const recent = { from: new Date(from).toISOString(), ...bounds };
      const { rows } = await this.api_.window_rows(info.window, recent);
      if (rows.length > 0) return [store, store.load(rows, kRowsPerLoad, from)];
      // Nothing that new. After a replay of old files the newest data are what there is to see.
    }
    const { rows } = await this.api_.window_rows(info.window, bounds);
    // Where all cannot be had, there may be more before the first of these: then it is not the first.
    const from = Number.isFinite(span) ? undefined : 0;
    return [store, store.load(rows, kRowsPerLoad, from)];
  }

  /**
   * Everything there is: as it closed or, where the oldest of it is kept only so, by the hour or the
   * day. Null where the engine cannot say, as when it would take too long.
   */
  private async load_all(
    info: WindowInfo,
    bounds: { windows: number; limit: number },
  ): Promise<WindowAnswer | null> {
    const from = new Date(0).toISOString();
    try {
      return await this.api_.window_rows(info.window, { from, ...bounds });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      console.info("all that is kept:", error.message);
      return null;
    }
  }

  /** With very many groups one answer reaches back only a little: those shown get their own. */
  private async load_history(store: WindowStore, ids: readonly string[]): Promise<void> {
    const view = this.state_.view();
    const groups = ids.map((id) => store.groups.get(id)).filter((group): group is Group => !!group);
    for (let at = 0; at < groups.length; at += kParallel) {
      await Promise.all(
        groups.slice(at, at + kParallel).map(async (group) => {
          const parameters: Record<string, string | number | null> = {
            from: new Date(view.range_from).toISOString(),
            windows: kWindowsMax,
            limit: kWindowsMax,
            step: store.merged ? store.info.size : null,
          };
          store.info.keys.forEach((key, index) => {
            const value = group.keys[index];
            // A key called "limit" cannot be asked for: the parameter of that name comes first.
            if (value != null && !(key.name in parameters)) parameters[key.name] = String(value);
          });
          const { rows } = await this.api_.window_rows(store.info.window, parameters);
          store.add(rows, new Set(ids));
        }),
      );
      this.scheduler_.mark("charts");
    }
  }

  private async load_events(): Promise<void> {
    const view = this.state_.view();
    const from = new Date(view.range_from - this.state_.size_ms()).toISOString();
    const to = view.past ? new Date(view.to + this.state_.size_ms()).toISOString() : null;
    const live_anomalies: Anomaly[] = [];
    const live_incidents: Incident[] = [];
    this.live_anomalies_ = live_anomalies;
    this.live_incidents_ = live_incidents;
    const [anomalies, open, incidents] = await Promise.all([
      this.api_.anomalies({ from, to, limit: 1000 }),
      this.api_.incidents({ status: "open", limit: 100 }),
      this.api_.incidents({ from, to, limit: 200 }),
    ]);
    this.state_.anomalies.replace(anomalies, live_anomalies);
    this.state_.incidents.replace([...incidents, ...open], live_incidents);
    // A later load may have its own lists by now; these are then not ours to end.
    if (this.live_anomalies_ === live_anomalies) this.live_anomalies_ = null;
    if (this.live_incidents_ === live_incidents) this.live_incidents_ = null;
  }

  private async poll(): Promise<void> {
    if (document.hidden) return;
    if (this.state_.store?.merged && performance.now() >= this.merged_due_ms_) {
      this.merged_due_ms_ = performance.now() + kMergedEveryMs;
      void this.load();
    }
    await Promise.all([this.poll_pipeline(), this.poll_details()]);
  }

  private async poll_pipeline(): Promise<void> {
    await this.ask("pipeline", this.api_.pipeline(), (pipeline) => {
      this.state_.pipeline = pipeline;
      this.state_.rates.update(pipeline.rows ?? [], performance.now());
      this.scheduler_.mark("pipeline", "rules", "incidents");
    });
  }

  /** Each by itself: what the database cannot say at the moment must not hide how the engine is. */
  private async poll_details(): Promise<void> {
    const { state_: state, api_: api } = this;
    const now = performance.now();
    if (now < this.details_due_ms_) return;
    this.details_due_ms_ = now + kDetailsEveryMs;
    await Promise.all([
      this.ask("dead letters", api.dead_letters(20), (letters) => {
        state.letters = letters;
        this.scheduler_.mark("details", "kpis");
      }),
      this.ask("streams", api.streams(), (streams) => {
        state.streams = streams;
        this.scheduler_.mark("details", "connection");
      }),
      this.ask("health", api.health().catch(() => null), (health) => {
        state.take_health(health);
        this.scheduler_.mark("health");
      }),
    ]);
  }

  /** Failures are only noted: the connection's state says the same, and the next round tries again. */
  private async ask<T>(name: string, answer: Promise<T>, take: (answer: T) => void): Promise<void> {
    try {
      take(await answer);
    } catch (error) {
      console.info(`${name}:`, error instanceof Error ? error.message : error);
    }
  }

  // The reader's choices.

  private remember(): void {
    const hash = new URLSearchParams();
    if (this.state_.window) hash.set("window", this.state_.window.window);
    hash.set("range", this.state_.range.id);
    history.replaceState(null, "", `#${hash}`);
  }

  private choose_range(range: Range): void {
    this.state_.range = range;
    this.remember();
    this.scheduler_.mark("all");
    void this.load();
  }

  private choose_window(name: string): void {
    if (!this.state_.choose_window(name)) return;
    this.remember();
    this.scheduler_.mark("all");
    void this.load();
    this.follow();
  }

  private toggle_group(id: string): void {
    const { selection, store } = this.state_;
    selection.automatic = false;
    if (selection.has(id)) {
      selection.remove(id);
    } else if (selection.add(id) && store && this.state_.truncated) {
      this.load_history(store, [id]).catch((error: unknown) => console.info("history:", error));
    }
    this.scheduler_.mark("charts", "groups");
  }

  private choose_automatic(): void {
    this.state_.selection.clear();
    this.state_.fill_selection();
    if (this.state_.store && this.state_.truncated) {
      this.load_history(this.state_.store, this.state_.selection.ids).catch((error: unknown) =>
        console.info("history:", error),
      );
    }
    this.scheduler_.mark("charts", "groups");
  }

  /** Window, group and range such that the incident can be seen. */
  private focus_incident(incident: Incident): void {
    const anomaly = incident.anomaly_ids.map((id) => this.state_.anomalies.get(id)).find((a) => a);
    const name = anomaly?.window ?? this.state_.window_with_keys(Object.keys(incident.keys));
    const started = Date.parse(incident.started_at);
    const fitting = kRanges.find((range) => started > this.api_.now() - range.ms);
    const far = !(started >= this.state_.view().range_from);
    if (far && fitting) this.state_.range = fitting;
    const moved = name !== undefined && this.state_.choose_window(name);
    const id = this.state_.group_of(anomaly?.keys ?? incident.keys);
    if (id && !this.state_.selection.has(id)) {
      const { selection } = this.state_;
      selection.automatic = false;
      selection.set([id, ...selection.ids].slice(0, kSeriesMax));
    }
    this.remember();
    this.scheduler_.mark("all");
    if (moved || far) void this.load();
    if (moved) this.follow();
    this.page_.show_charts();
  }
}

void new App().start();
