// What the page keeps of a window's rows: bounded, by group and time. Pure: no DOM, no clock.
// One WindowStore for each window shown; replaced when the reader chooses another window or range.

import { parse_time } from "./format";
import type { Metric, Scalar, WindowInfo, WindowRow } from "./types";

/** Distinct window starts, and rows over all groups, that are kept. The oldest leave first. */
export const kWindowsMax = 1_500;
export const kRowsMax = 60_000;
export const kSeriesMax = 8;

/** Each key of the group of everything beyond `max_keys`. */
export const kOverflow = "__overflow__";

export interface Row {
  start: number; ///< ms since the epoch
  end: number;
  closed: boolean;
  revision: number;
  values: (number | null)[]; ///< In the order of WindowStore.metrics.
  texts: (string | null)[]; ///< In the order of WindowStore.text_metrics.
}

export interface Group {
  id: string;
  keys: Scalar[]; ///< In the order of the window's keys.
  label: string;
  overflow: boolean; ///< All keys beyond `max_keys`.
  rows: Map<number, Row>;
}

/** The rows of some groups lined up on one time axis, with a hole where a window is missing. */
export interface Frames {
  seconds: number[];
  rows: (Row | null)[][]; ///< For each group one entry for each of `seconds`.
}

export function group_id(keys: readonly Scalar[]): string {
  // As text, since an anomaly may name 200 where a row has "200".
  return JSON.stringify(
    keys.map((key) => (key === null || key === undefined ? null : String(key))),
  );
}

export function group_label(keys: readonly Scalar[]): string {
  if (keys.length === 0) return "all";
  return is_overflow(keys) ? "all other keys" : keys.map(key_label).join(" · ");
}

/** One key of several: a key that is called like the overflow group is just that. */
export function key_label(key: Scalar): string {
  return key === null ? "(none)" : key === "" ? "(empty)" : String(key);
}

/** All of its keys are called so; some of them alone may be, of events. */
function is_overflow(keys: readonly Scalar[]): boolean {
  return keys.length > 0 && keys.every((key) => key === kOverflow);
}

function to_number(value: Scalar | undefined): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  // A decimal may come as text, so that no digit is lost on the way.
  if (typeof value === "string" && value !== "") {
    const number = Number(value);
    return Number.isFinite(number) ? number : null;
  }
  return null;
}

function is_numeric(type: string): boolean {
  return /^(int|float|decimal|double|number)/.test(type);
}

export class WindowStore {
  /** The metrics that can be drawn. */
  readonly metrics: Metric[];
  /** The metrics that are texts. */
  readonly text_metrics: Metric[];
  /** Windows that start before this may lack rows of some groups. */
  complete_from = Number.NEGATIVE_INFINITY;
  readonly groups = new Map<string, Group>();
  /** Grows with every change that may be seen. */
  version = 0;
  row_count = 0;
  /** Whether any closed window was ever seen. */
  has_closed = false;
  private readonly starts_ = new Map<number, number>(); ///< Window start → rows that have it.
  private readonly largest_: number[];
  private step_ms_: number;

  /** `merged`: of rows merged to longer windows, among which live rows have no place. */
  constructor(
    readonly info: WindowInfo,
    readonly merged = false,
    private readonly rows_max_ = kRowsMax,
    private readonly windows_max_ = kWindowsMax,
  ) {
    this.metrics = info.metrics.filter((metric) => is_numeric(metric.type));
    this.text_metrics = info.metrics.filter((metric) => metric.type === "string");
    this.largest_ = this.metrics.map(() => 0);
    this.step_ms_ = Math.max(1, info.size_seconds * 1000);
  }

  /** Takes rows in any order; a row older than the one that is there (by revision) is left out. */
  add(rows: readonly WindowRow[], pinned: ReadonlySet<string>): void {
    for (const row of rows) this.add_row(row);
    if (this.row_count > this.rows_max_ || this.starts_.size > this.windows_max_)
      this.evict(pinned);
    this.update_step();
  }

  /**
   * Takes the answer to a request for the newest rows `from` then on, at most `limit` of them. True
   * when there may have been more rows than that; then, and when it has all the windows that are
   * kept, older ones may be missing, and the store is whole only from there on. Of windows before
   * `from` only what late events correct comes live: a part of their groups.
   */
  load(rows: readonly WindowRow[], limit: number, from = Number.NEGATIVE_INFINITY): boolean {
    this.add(rows, new Set());
    const starts = new Set(rows.map((row) => parse_time(row["window_start"])));
    const oldest = [...starts].reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
    const cut = rows.length >= limit;
    this.whole_from(from);
    // Rows are cut anywhere, also within a window; windows are cut between them.
    if (cut) this.whole_from(oldest + 1);
    else if (starts.size >= this.windows_max_) this.whole_from(oldest);
    return cut;
  }

  private whole_from(start: number): void {
    if (start > this.complete_from) this.complete_from = start;
  }

  private add_row(raw: WindowRow): void {
    const start = parse_time(raw["window_start"]);
    const end = parse_time(raw["window_end"]);
    if (!Number.isFinite(start) || !Number.isFinite(end)) return;
    const keys = this.info.keys.map((key) => raw[key.name] ?? null);
    const id = group_id(keys);
    let group = this.groups.get(id);
    if (!group) {
      const overflow = is_overflow(keys);
      group = { id, keys, label: group_label(keys), overflow, rows: new Map() };
      this.groups.set(id, group);
    }
    const closed = raw["closed"] === true;
    const revision = to_number(raw["revision"]) ?? 0;
    const old = group.rows.get(start);
    if (old && (revision < old.revision || (old.closed && !closed && revision === old.revision)))
      return;
    // An open session may begin earlier than it did, or have been joined with the one before it.
    if (this.info.gap !== null) {
      for (const shown of [...group.rows.values()]) {
        if (!shown.closed && shown.start > start && shown.start < end)
          this.drop(group, shown.start);
      }
      this.groups.set(id, group);
    }
    const values = this.metrics.map((metric, at) => {
      const value = to_number(raw[metric.name]);
      if (value !== null) this.largest_[at] = Math.max(this.largest_[at]!, Math.abs(value));
      return value;
    });
    this.has_closed ||= closed;
    const texts = this.text_metrics.map(({ name }) => {
      const text = raw[name] ?? null;
      return text === null ? null : String(text);
    });
    group.rows.set(start, {
      start,
      end,
      closed,
      revision,
      values,
      texts,
    });
    if (!old) {
      ++this.row_count;
      this.starts_.set(start, (this.starts_.get(start) ?? 0) + 1);
    }
    ++this.version;
  }

  private drop(group: Group, start: number): void {
    if (!group.rows.delete(start)) return;
    --this.row_count;
    const left = this.starts_.get(start)! - 1;
    if (left > 0) this.starts_.set(start, left);
    else this.starts_.delete(start);
    if (group.rows.size === 0) this.groups.delete(group.id);
  }

  /** Makes room: first old rows of groups nobody looks at, then the oldest windows altogether. */
  private evict(pinned: ReadonlySet<string>): void {
    const starts = [...this.starts_.keys()].sort((a, b) => a - b);
    const excess = starts.length - this.windows_max_;
    for (const start of starts.splice(0, Math.max(0, excess))) {
      this.whole_from(start + 1);
      for (const group of [...this.groups.values()]) this.drop(group, start);
    }
    // A tenth more than needed, so that this is not done again with the next row.
    const target = this.rows_max_ * 0.9;
    if (this.row_count <= this.rows_max_) return;
    for (const only_unpinned of [true, false]) {
      for (const start of starts) {
        if (this.row_count <= target) return;
        this.whole_from(start + 1);
        for (const group of [...this.groups.values()]) {
          if (!only_unpinned || !pinned.has(group.id)) this.drop(group, start);
        }
      }
    }
  }

  /** Windows may start more often than they are long (hopping), so the step is seen, not told. */
  private update_step(): void {
    const starts = this.starts();
    let step = this.info.size_seconds * 1000;
    for (let at = Math.max(1, starts.length - 200); at < starts.length; ++at) {
      step = Math.min(step, starts[at]! - starts[at - 1]!);
    }
    this.step_ms_ = Math.max(1, step);
  }

  /** The windows' starts, oldest first. */
  starts(): number[] {
    return [...this.starts_.keys()].sort((a, b) => a - b);
  }

  /** From one window's start to the next's. */
  get step_ms(): number {
    return this.step_ms_;
  }

  /** The largest size seen of metric `at`. */
  largest(at: number): number {
    return this.largest_[at] ?? 0;
  }

  get oldest_start(): number {
    let oldest = Number.NaN;
    for (const start of this.starts_.keys()) if (!(start >= oldest)) oldest = start;
    return oldest;
  }

  get newest_start(): number {
    let newest = Number.NaN;
    for (const start of this.starts_.keys()) if (!(start <= newest)) newest = start;
    return newest;
  }

  /** When the first began of those that end behind `time`. */
  first_start_until(time: number): number {
    let first = Number.NaN;
    for (const group of this.groups.values())
      for (const { start, end } of group.rows.values())
        if (end > time && !(start >= first)) first = start;
    return first;
  }

  /** Of the newest window; of sessions, which begin before others and end behind them, the last. */
  get newest_end(): number {
    if (this.info.gap !== null) {
      let newest = Number.NaN;
      for (const group of this.groups.values())
        for (const { end } of group.rows.values()) if (!(end <= newest)) newest = end;
      return newest;
    }
    const start = this.newest_start;
    for (const group of this.groups.values()) {
      const row = group.rows.get(start);
      if (row) return row.end;
    }
    return Number.NaN;
  }

  /** Which metric says how much a group is about: a count if there is one. -1: none does. */
  volume_metric(): number {
    const exact = this.metrics.findIndex(
      (m) =>
        /(^|_)(count|requests|transactions|events)$/.test(m.name) &&
        !/error|fail|distinct/.test(m.name),
    );
    if (exact >= 0) return exact;
    const count = this.metrics.findIndex((m) => /count|requests|total|sum/.test(m.name));
    return count >= 0 ? count : this.metrics.findIndex((m) => m.type === "int");
  }

  /** All groups, those with the most volume since `from` first; the overflow group last. */
  ranked(from: number): Group[] {
    const metric = this.volume_metric();
    const scored = [...this.groups.values()].map((group) => {
      let volume = 0;
      for (const row of group.rows.values()) {
        if (row.start < from) continue;
        volume += metric < 0 ? 1 : Math.abs(row.values[metric] ?? 0);
      }
      return { group, volume: group.overflow ? -1 : volume };
    });
    scored.sort((a, b) => b.volume - a.volume || (a.group.label < b.group.label ? -1 : 1));
    return scored.map((entry) => entry.group);
  }

  /** Rows of these groups in [from, to) on one axis; a hole is put where windows are missing. */
  frames(groups: readonly (Group | undefined)[], from: number, to: number): Frames {
    const wanted = new Set<number>();
    for (const group of groups) {
      if (!group) continue;
      for (const start of group.rows.keys()) if (start >= from && start < to) wanted.add(start);
    }
    const starts = [...wanted].sort((a, b) => a - b);
    const axis: number[] = [];
    for (const start of starts) {
      const last = axis[axis.length - 1];
      if (last !== undefined && start - last > this.step_ms_ * 1.5) axis.push(last + this.step_ms_);
      axis.push(start);
    }
    return {
      seconds: axis.map((start) => start / 1000),
      rows: groups.map((group) => axis.map((start) => group?.rows.get(start) ?? null)),
    };
  }

  /** The newest rows, newest first, then in the order of `groups`. */
  newest_rows(groups: readonly Group[], limit: number): { group: Group; row: Row }[] {
    const out: { group: Group; row: Row }[] = [];
    for (const start of this.starts().reverse()) {
      for (const group of groups) {
        const row = group.rows.get(start);
        if (row) out.push({ group, row });
        if (out.length >= limit) return out;
      }
    }
    return out;
  }
}

/** Values of one metric for uPlot: closed windows, and apart from them those still open. */
export function split_open(
  rows: readonly (Row | null)[],
  metric: number,
): [(number | null)[], (number | null)[]] {
  const closed: (number | null)[] = new Array<number | null>(rows.length).fill(null);
  const open: (number | null)[] = new Array<number | null>(rows.length).fill(null);
  for (let at = 0; at < rows.length; ++at) {
    const row = rows[at];
    if (!row) continue;
    const value = row.values[metric] ?? null;
    if (row.closed) {
      closed[at] = value;
      continue;
    }
    open[at] = value;
    // The dashed line starts where the solid one ends.
    const before = rows[at - 1];
    if (at > 0 && before?.closed) open[at - 1] = before.values[metric] ?? null;
  }
  return [closed, open];
}

/** A list by id, newest first, with a bound: anomalies and incidents. */
export class Recent<T extends { id: string }> {
  private readonly items_ = new Map<string, T>();

  /** `version_` grows with each change of an item: live messages may come late or twice. */
  constructor(
    private readonly time_: (item: T) => number,
    private readonly version_: (item: T) => number,
    private readonly max_: number,
  ) {}

  add(items: readonly T[]): void {
    for (const item of items) {
      const old = this.items_.get(item.id);
      if (!old || this.version_(item) >= this.version_(old)) this.items_.set(item.id, item);
    }
    if (this.items_.size <= this.max_) return;
    for (const item of this.list().slice(this.max_)) this.items_.delete(item.id);
  }

  /** Only these, and those of `live` that came while they were being fetched. */
  replace(items: readonly T[], live: readonly T[]): void {
    this.items_.clear();
    this.add(items);
    this.add(live);
  }

  get(id: string): T | undefined {
    return this.items_.get(id);
  }

  list(): T[] {
    return [...this.items_.values()].sort((a, b) => this.time_(b) - this.time_(a));
  }
}

/** The last `max` numbers of a series that goes on for ever. */
export class History {
  readonly values: number[] = [];

  constructor(private readonly max_: number) {}

  push(value: number): void {
    this.values.push(value);
    if (this.values.length > this.max_) this.values.shift();
  }
}
