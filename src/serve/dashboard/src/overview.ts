// What a window adds up to: totals, a breakdown of its groups, its course over time. Pure: no DOM, no
// clock. All of it follows from the window's keys and metrics, none from what the window is called.

import { is_money } from "./format";
import { naming_of, type Naming } from "./naming";
import { group_id, key_label, type Group, type Row, type WindowStore } from "./store";
import type { Metric, WindowInfo } from "./types";
import type { View } from "./range";

/** Windows in the course over time. */
export const kTrendWindows = 100;
export const kStacksMax = 8;
const kFiguresMax = 7;
const kMatrixRows = 20;
const kMatrixColumns = 8;
const kBarsMax = 10;
/** Of the cells of rows × columns, how many must have something for them to be a matrix. */
const kFilledMin = 0.4;
const kOthers = "others";

/** Whether a metric's values may be added, over groups and over time, and are told as a total. */
export function adds_up({ name, type, aggregate }: Metric): boolean {
  if (aggregate !== "count" && aggregate !== "sum") return false;
  return type === "int" || is_money(name.toLowerCase(), type);
}

/** Those metrics of the store, by index. */
export function adding_metrics(store: WindowStore): number[] {
  return store.metrics.flatMap((metric, at) => (adds_up(metric) ? [at] : []));
}

export interface Shape {
  /** Metrics that add up, by index; the first of `figures` to be looked at is `primary`. */
  adding: number[];
  primary: number;
  breakdown: "bars" | "matrix" | "none";
  /** The text that names what its bars are of; null: their keys do. */
  naming: Naming | null;
  row_key: number;
  column_key: number;
  /** By which key the course over time is stacked; -1: not at all. */
  stack_key: number;
}

const kLevelKey = /(^|_)(level|severity)$/;

/**
 * How the window is best summed up; null when lines over time say all there is to say: few keys,
 * and metrics that do not add up.
 */
export function shape_of(store: WindowStore, adding: readonly number[]): Shape | null {
  const { info, metrics } = store;
  if (info.gap !== null || adding.length === 0) return null;
  const money = adding.find((at) => is_money(metrics[at]!.name, metrics[at]!.type));
  const only_sums = adding.length === metrics.length;
  if (money === undefined && info.keys.length < 2 && !only_sums) return null;
  const volume = store.volume_metric();
  const primary = money ?? (adding.includes(volume) ? volume : adding[0]!);
  const shape: Shape = {
    adding: [...adding],
    primary,
    breakdown: "none",
    naming: naming_of(store),
    row_key: 0,
    column_key: 0,
    stack_key: info.keys.length === 0 ? -1 : 0,
  };
  if (info.keys.length === 1) shape.breakdown = "bars";
  if (info.keys.length >= 2) choose_keys(store, shape);
  return shape;
}

/** Two of the keys: levels, or those with few values, side by side, the other from top to bottom. */
function choose_keys(store: WindowStore, shape: Shape): void {
  const { keys } = store.info;
  const values = keys.map((_, at) => new Set([...store.groups.values()].map((g) => g.keys[at])));
  const level = keys.findIndex((key) => kLevelKey.test(key.name));
  let [row, column] = [0, keys.length - 1];
  if (level >= 0) {
    column = level;
    if (row === column) row = keys.length - 1;
  } else if (values[row]!.size < values[column]!.size) {
    [row, column] = [column, row];
  }
  const cells = new Set<string>();
  for (const group of store.groups.values())
    cells.add(JSON.stringify([group.keys[row], group.keys[column]]));
  const sparse = cells.size < kFilledMin * values[row]!.size * values[column]!.size;
  // A text that a group is about says more than its keys do, and is too long for a table.
  const listed = shape.naming !== null || (sparse && level < 0);
  shape.breakdown = listed ? "bars" : "matrix";
  shape.row_key = row;
  shape.column_key = column;
  shape.stack_key = column;
}

/** Which rows count: all of a span of time, or one window where windows must not be added. */
export interface Period {
  from: number;
  to: number; ///< Window starts in [from, to].
  one_window: boolean;
  open: boolean; ///< Some window in it is still open.
  end: number; ///< Of the newest window in it.
}

/** The range shown; the newest window of those that overlap, or when older rows have gone. */
export function period_of(store: WindowStore, view: View): Period | null {
  const whole = store.info.hop === null && view.range_from >= store.complete_from;
  return whole ? span(store, view.range_from, view.to) : newest_window(store);
}

function span(store: WindowStore, from: number, to: number): Period | null {
  let open = false;
  let end = Number.NaN;
  for (const row of rows_in(store, from, to)) {
    open ||= !row.closed;
    if (!(row.end <= end)) end = row.end;
  }
  return Number.isFinite(end) ? { from, to, one_window: false, open, end } : null;
}

/** The newest; of windows that overlap the newest closed one, if there is any. */
export function newest_window(store: WindowStore): Period | null {
  return find_newest(store, store.info.hop !== null);
}

/** The newest that is over, if there is any: one half of which has passed looks like a fall. */
export function newest_whole_window(store: WindowStore): Period | null {
  return find_newest(store, true);
}

function find_newest(store: WindowStore, rather_closed: boolean): Period | null {
  const wants_closed = rather_closed && store.has_closed;
  let newest: Row | null = null;
  for (const group of store.groups.values()) {
    for (const row of group.rows.values()) {
      if ((!wants_closed || row.closed) && (!newest || row.start > newest.start)) newest = row;
    }
  }
  if (!newest) return null;
  const { start, end } = newest;
  let open = false;
  for (const row of rows_in(store, start, start)) open ||= !row.closed;
  return { from: start, to: start, one_window: true, open, end };
}

function* rows_in(store: WindowStore, from: number, to: number): Generator<Row> {
  for (const group of store.groups.values()) yield* rows_of(group, from, to);
}

function* rows_of(group: Group, from: number, to: number): Generator<Row> {
  if (from === to) {
    const row = group.rows.get(from);
    if (row) yield row;
    return;
  }
  for (const row of group.rows.values()) if (row.start >= from && row.start <= to) yield row;
}

/** A sum, null when there was nothing to add. */
function plus(sum: number | null, value: number | null | undefined): number | null {
  return value == null ? sum : (sum ?? 0) + value;
}

/** The metrics whose totals are told: all that add up, as far as there is room. */
export function figures_of(shape: Shape): number[] {
  const { adding, primary } = shape;
  const shown = adding.slice(0, kFiguresMax);
  if (!shown.includes(primary)) shown[kFiguresMax - 1] = primary;
  return shown;
}

export function total(store: WindowStore, metric: number, period: Period): number | null {
  let sum: number | null = null;
  for (const row of rows_in(store, period.from, period.to)) sum = plus(sum, row.values[metric]);
  return sum;
}

export interface Bar {
  id: string | null; ///< Of the part it is, which its label need not tell apart; null: all others.
  label: string;
  about: string; ///< The groups it is of, where the label is a text.
  value: number | null;
}

/** The groups with the most of a metric, those of one name together, and what all others have. */
export function bars_of(
  store: WindowStore,
  { naming }: Pick<Shape, "naming">,
  metric: number,
  period: Period,
): Bar[] {
  const found = new Map<string, Omit<Bar, "about"> & { groups: string[] }>();
  for (const group of store.groups.values()) {
    let value: number | null = null;
    for (const row of rows_of(group, period.from, period.to)) {
      value = plus(value, row.values[metric]);
    }
    if (value === null) continue;
    const part = naming?.part_of(group) ?? null;
    const id = part === null ? group.id : `named ${part.name}`;
    const bar = found.get(id) ?? {
      id: part?.id ?? group.id,
      label: part?.name ?? group.label,
      value: null,
      groups: [],
    };
    bar.value = plus(bar.value, value);
    bar.groups.push(group.label);
    found.set(id, bar);
  }
  const bars: Bar[] = [...found.values()].map(({ id, label, value, groups }) => {
    const about = groups.sort().join(", ");
    return { id, label, about: about === label ? "" : about, value };
  });
  // By name while all fit: bars that change places cannot be followed. A list of texts is a ranking.
  const ranked = bars.length > kBarsMax || naming !== null;
  const weight = (bar: Bar): number => (ranked ? Math.abs(bar.value ?? 0) : 0);
  bars.sort((a, b) => weight(b) - weight(a) || by_name(a.label, b.label));
  const rest = bars.splice(kBarsMax);
  if (rest.length > 0) {
    const sum = rest.reduce<number | null>((so_far, bar) => plus(so_far, bar.value), null);
    bars.push({ id: null, label: `${rest.length} ${kOthers}`, about: "", value: sum });
  }
  return bars;
}

export interface Matrix {
  columns: string[];
  rows: { label: string; cells: (number | null)[]; total: number | null }[];
  totals: (number | null)[] | null; ///< Null: values of this metric cannot be added.
  total: number | null;
  left_out: number; ///< Groups that are not in it.
}

/** A metric by two keys; one that does not add up only where each cell is one group. */
export function matrix_of(
  store: WindowStore,
  shape: Shape,
  metric: number,
  period: Period,
): Matrix {
  const adds = shape.adding.includes(metric);
  const cells: Cell[] = [];
  const weight = { rows: new Weights(), columns: new Weights() };
  const volume = adds ? metric : shape.primary;
  for (const group of store.groups.values()) {
    let value: number | null = null;
    let volume_sum = 0;
    let seen = false;
    for (const each of rows_of(group, period.from, period.to)) {
      seen = true;
      value = plus(value, each.values[metric]);
      volume_sum += Math.abs(each.values[volume] ?? 0);
    }
    if (!seen) continue;
    cells.push({
      row: weight.rows.add(...part_of(group, shape.row_key), volume_sum),
      column: weight.columns.add(...part_of(group, shape.column_key), volume_sum),
      value,
    });
  }
  const rows = weight.rows.pick(kMatrixRows);
  const columns = weight.columns.pick(kMatrixColumns);
  return lay_out(cells, rows, columns, adds);
}

/** Id and label of a group by one of its keys; `key` -1: by all. As those of a group by it alone. */
function part_of(group: Group, key: number): [id: string, label: string] {
  if (key < 0 || group.overflow) return [group.id, group.label];
  const value = group.keys[key] ?? null;
  return [group_id([value]), key_label(value)];
}

/** Where it goes is said by ids: what two keys are called may be the same, or be "others". */
interface Cell {
  row: string;
  column: string;
  value: number | null;
}

function lay_out(cells: readonly Cell[], rows: Picked, columns: Picked, adds: boolean): Matrix {
  const names = ({ kept, rest }: Picked): string[] => [
    ...kept.map((part) => part.label),
    ...(rest.length > 0 && adds ? [kOthers] : []),
  ];
  const places = ({ kept, rest }: Picked): Map<string, number> =>
    new Map([
      ...kept.map((part, at) => [part.id, at] as const),
      ...(adds ? rest : []).map((part) => [part.id, kept.length] as const),
    ]);
  const column_names = names(columns);
  const [row_places, column_places] = [places(rows), places(columns)];
  const matrix: Matrix = {
    columns: column_names,
    rows: names(rows).map((label) => ({
      label,
      cells: column_names.map(() => null),
      total: null,
    })),
    totals: adds ? column_names.map(() => null) : null,
    total: null,
    left_out: 0,
  };
  for (const { row, column, value } of cells) {
    const r = row_places.get(row);
    const c = column_places.get(column);
    if (r === undefined || c === undefined) {
      ++matrix.left_out;
      continue;
    }
    const target = matrix.rows[r]!;
    target.cells[c] = plus(target.cells[c]!, value);
    if (!adds) continue;
    target.total = plus(target.total, value);
    matrix.totals![c] = plus(matrix.totals![c]!, value);
    matrix.total = plus(matrix.total, value);
  }
  return matrix;
}

interface Part {
  id: string;
  label: string;
  weight: number;
}

interface Picked {
  kept: Part[];
  rest: Part[];
}

/** The parts that something is made of, and how much of it each has. */
class Weights {
  private readonly parts_ = new Map<string, Part>();

  /** Gives the id. */
  add(id: string, label: string, weight: number): string {
    const part = this.parts_.get(id);
    if (part) part.weight += weight;
    else this.parts_.set(id, { id, label, weight });
    return id;
  }

  /** The `most` heaviest, in the order that people expect. */
  pick(most: number): Picked {
    const all = [...this.parts_.values()].sort((a, b) => b.weight - a.weight || by_part(a, b));
    return { kept: all.slice(0, most).sort(by_part), rest: all.slice(most) };
  }
}

function by_part(a: Part, b: Part): number {
  return by_name(a.label, b.label) || by_name(a.id, b.id);
}

export interface Stack {
  starts: number[];
  ends: number[];
  open: boolean[];
  step_ms: number;
  /** As of a bar, an id of null is all others. */
  series: { id: string | null; label: string; level: Level | null; values: (number | null)[] }[];
}

/** The newest windows, at most kTrendWindows, and what each part has of a metric. */
export function stack_of(store: WindowStore, shape: Shape, metric: number): Stack {
  const values_of = new Map<string, Map<number, number | null>>();
  const weights = new Weights();
  const windows = new Map<number, { end: number; open: boolean }>();
  const starts = newest_starts(store);
  const first = starts[0] ?? Number.NaN;
  for (const group of store.groups.values()) {
    const [id, label] = part_of(group, shape.stack_key);
    const values = values_of.get(id) ?? new Map<number, number | null>();
    values_of.set(id, values);
    for (const row of rows_of(group, first, Number.POSITIVE_INFINITY)) {
      const window = windows.get(row.start) ?? { end: row.end, open: false };
      window.open ||= !row.closed;
      windows.set(row.start, window);
      values.set(row.start, plus(values.get(row.start) ?? null, row.values[metric]));
      weights.add(id, label, Math.abs(row.values[metric] ?? 0));
    }
  }
  const { kept, rest } = weights.pick(kStacksMax);
  const line = (parts: readonly Part[]): (number | null)[] => {
    const maps = parts.map((part) => values_of.get(part.id)!);
    return starts.map((start) =>
      maps.reduce<number | null>((sum, values) => plus(sum, values.get(start)), null),
    );
  };
  const series: Stack["series"] = kept.map((part) => {
    const { id, label } = part;
    return { id, label, level: level_of(label), values: line([part]) };
  });
  if (!series.every((each) => each.level !== null)) for (const each of series) each.level = null;
  if (rest.length > 0) series.push({ id: null, label: kOthers, level: null, values: line(rest) });
  return {
    starts,
    ends: starts.map((start) => windows.get(start)!.end),
    open: starts.map((start) => windows.get(start)!.open),
    step_ms: store.step_ms,
    series,
  };
}

/** Oldest first; only windows of which all groups are here. */
function newest_starts(store: WindowStore): number[] {
  return store
    .starts()
    .filter((start) => start >= store.complete_from)
    .slice(-kTrendWindows);
}

export type Level = "critical" | "error" | "warn" | "info" | "debug";

const kLevels: readonly [Level, RegExp][] = [
  ["critical", /^(crit|critical|fatal|alert|emerg|emergency|panic)$/i],
  ["error", /^(err|error|severe|high)$/i],
  ["warn", /^(warn|warning|medium)$/i],
  ["info", /^(info|information|notice|low)$/i],
  ["debug", /^(debug|trace|verbose|fine)$/i],
];

export function level_of(text: string): Level | null {
  return kLevels.find(([, words]) => words.test(text))?.[0] ?? null;
}

/** Levels with the worst first, everything else by name; what is left over comes last. */
function by_name(a: string, b: string): number {
  const rank = (text: string): number => {
    const level = level_of(text);
    return level === null ? kLevels.length : kLevels.findIndex(([name]) => name === level);
  };
  return rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** How far back rows are wanted for the course over time. */
export function trend_ms(info: WindowInfo): number {
  // Windows that overlap come often: as many as the range has are enough.
  return info.hop === null && info.gap === null ? kTrendWindows * info.size_seconds * 1000 : 0;
}
