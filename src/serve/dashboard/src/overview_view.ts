// What a window adds up to, drawn: figures, a breakdown, the course over time. Draws what overview.ts
// finds in the store; keeps only which metric the reader chose. One for the life of the page.

import { h, reconcile, set_attribute, set_text } from "./dom";
import {
  format_clock,
  format_time,
  format_utc,
  format_value,
  guess_unit,
  metric_title,
  sum_title,
} from "./format";
import type { Unit } from "./format";
import { KpiRow } from "./kpi";
import {
  bars_of,
  figures_of,
  matrix_of,
  newest_whole_window,
  newest_window,
  period_of,
  shape_of,
  stack_of,
  total,
  type Bar,
  type Matrix,
  type Period,
  type Shape,
  type Stack,
} from "./overview";
import { part_color, StackChart } from "./stack_chart";
import type { WindowStore } from "./store";
import type { View } from "./range";

/** The strongest shade behind a cell, in percent: text on it must stay readable. */
const kShadeMax = 26;

export interface OverviewData {
  store: WindowStore;
  adding: readonly number[];
  view: View;
  range_text: string; ///< As in "in the last hour".
  now: number;
}

export class OverviewView {
  private readonly figures_ = h("dl", { class: "figures" });
  private readonly choice_ = h("fieldset", { class: "segments wrap" });
  private readonly breakdown_ = h("div");
  private readonly breakdown_title_ = h("h3");
  private readonly breakdown_note_ = h("p", { class: "muted small" });
  private readonly breakdown_card_: HTMLElement;
  private readonly trend_title_ = h("h3");
  private readonly trend_note_ = h("p", { class: "muted small" });
  private readonly trend_ = new StackChart();
  private figure_row_: KpiRow | null = null;
  private made_for_ = "";
  private readonly chosen_ = new Map<string, string>(); ///< Metric, for each window.
  private data_: OverviewData | null = null;

  constructor(private readonly root_: HTMLElement) {
    this.breakdown_card_ = h(
      "article",
      { class: "card overview-card", "data-part": "breakdown" },
      h("header", {}, this.breakdown_title_, this.breakdown_note_),
      this.breakdown_,
    );
    const trend = h(
      "article",
      { class: "card overview-card", "data-part": "trend" },
      h("header", {}, this.trend_title_, this.trend_note_),
      this.trend_.root,
    );
    const cards = h("div", { class: "overview-cards" }, this.breakdown_card_, trend);
    root_.append(this.figures_, this.choice_, cards);
    this.choice_.addEventListener("change", (event) => {
      if (!this.data_ || !(event.target instanceof HTMLInputElement)) return;
      this.chosen_.set(this.data_.store.info.window, event.target.value);
      this.show(this.data_);
    });
  }

  /** Shows `data`, or nothing where lines over time say it all. */
  show(data: OverviewData | null): void {
    this.data_ = data;
    const shape = data ? shape_of(data.store, data.adding) : null;
    const newest = data && shape ? newest_window(data.store) : null;
    this.root_.hidden = newest === null;
    if (!data || !shape || !newest) return;
    const { store } = data;
    const period = period_of(store, data.view) ?? newest;
    this.draw_figures(data, shape, period, newest);
    const options = this.options_of(store, shape);
    const wanted = this.chosen_.get(store.info.window);
    const metric = options.find((at) => store.metrics[at]!.name === wanted) ?? shape.primary;
    this.draw_choice(store, options, metric);
    const stacked = shape.adding.includes(metric) ? metric : shape.primary;
    const title = sum_title(store.metrics[stacked]!.name);
    const stack = stack_of(store, shape, stacked);
    this.draw_breakdown(data, shape, metric, period, newest, stack);
    const key = shape.stack_key >= 0 ? ` by ${store.info.keys[shape.stack_key]!.name}` : "";
    set_text(this.trend_title_, `${title}${key}`);
    set_text(this.trend_note_, `the last ${stack.starts.length} windows; pale: still open`);
    this.trend_.show(stack, unit_of(store, stacked), title, data.now);
  }

  /** What can be chosen: all that adds up; where a cell is one group, everything. */
  private options_of(store: WindowStore, shape: Shape): number[] {
    if (shape.breakdown !== "matrix" || store.info.keys.length > 2) return shape.adding;
    return store.metrics.map((_, at) => at);
  }

  private draw_figures(data: OverviewData, shape: Shape, period: Period, newest: Period): void {
    const { store, now } = data;
    const figures = figures_of(shape);
    const names = figures.map((at) => store.metrics[at]!.name);
    const wanted = JSON.stringify([store.info.window, names]);
    if (wanted !== this.made_for_) {
      this.made_for_ = wanted;
      this.figures_.replaceChildren();
      this.figure_row_ = new KpiRow(this.figures_, [
        ...names.map((name) => [`total-${name}`, sum_title(name)] as const),
        ["latest-window", "Latest window"] as const,
      ]);
    }
    const when = period.one_window
      ? `in the window to ${format_time(period.end, now)}`
      : `in ${data.range_text}`;
    figures.forEach((at, index) => {
      const value = total(store, at, period);
      this.figure_row_!.show(`total-${names[index]!}`, {
        value: format_value(value, unit_of(store, at)),
        ...(value === null ? {} : { title: String(value) }),
        note: when,
      });
    });
    this.figure_row_!.show("latest-window", {
      value: format_clock(newest.from, newest.from % 60_000 !== 0),
      title: `${format_utc(newest.from)} to ${format_utc(newest.end)}`,
      note: `to ${format_time(newest.end, now)}, ${newest.open ? "still open" : "closed"}`,
    });
  }

  private draw_choice(store: WindowStore, options: readonly number[], metric: number): void {
    this.choice_.hidden = options.length < 2;
    reconcile(
      this.choice_,
      [null, ...options],
      (at) => (at === null ? "" : store.metrics[at]!.name),
      (at) => {
        if (at === null) return h("legend", { class: "hidden" }, "Metric") as HTMLElement;
        const { name } = store.metrics[at]!;
        const input = h("input", { type: "radio", name: "overview-metric", value: name });
        return h("label", {}, input, h("span", {}, sum_title(name)));
      },
      (item, at) => {
        const input = item.querySelector("input");
        if (input) input.checked = at === metric;
      },
    );
  }

  private draw_breakdown(
    data: OverviewData,
    shape: Shape,
    metric: number,
    period: Period,
    newest: Period,
    stack: Stack,
  ): void {
    const { store, now } = data;
    this.breakdown_card_.hidden = shape.breakdown === "none";
    if (shape.breakdown === "none") return;
    const name = store.metrics[metric]!.name;
    const adds = shape.adding.includes(metric);
    // One key: how the newest whole window is shared out. More of them: all that the range has.
    const one = store.info.keys.length === 1 || !adds;
    const shown = one ? (newest_whole_window(store) ?? newest) : period;
    const keys =
      shape.breakdown === "matrix"
        ? [shape.row_key, shape.column_key]
        : store.info.keys.map((_, at) => at);
    const named = keys.map((at) => store.info.keys[at]!.name).join(" and ");
    const by = shape.breakdown === "bars" ? (shape.naming?.metric ?? named) : named;
    set_text(this.breakdown_title_, `${adds ? sum_title(name) : metric_title(name)} by ${by}`);
    set_text(
      this.breakdown_note_,
      shown.one_window
        ? `${format_time(shown.from, now)} – ${format_time(shown.end, now)}${shown.open ? ", still open" : ""}`
        : data.range_text,
    );
    const unit = unit_of(store, metric);
    set_attribute(this.breakdown_, "class", shape.breakdown);
    set_attribute(this.breakdown_, "data-metric", name);
    set_attribute(this.breakdown_card_, "data-kind", shape.breakdown);
    if (shape.breakdown === "bars") {
      // Of one key each bar has a part in the stack, and its colour.
      const parts = store.info.keys.length === 1 ? stack.series.map((each) => each.id) : [];
      const color = (bar: Bar): string => {
        const part = bar.id === null ? -1 : parts.indexOf(bar.id);
        return part < 0 ? "var(--accent)" : part_color(stack, part);
      };
      show_bars(this.breakdown_, bars_of(store, shape, metric, shown), unit, color);
    } else show_matrix(this.breakdown_, matrix_of(store, shape, metric, shown), unit, by);
  }
}

function unit_of(store: WindowStore, at: number): Unit {
  const { name, type } = store.metrics[at]!;
  return guess_unit(name, type, store.largest(at));
}

function show_bars(
  root: HTMLElement,
  bars: readonly Bar[],
  unit: Unit,
  color: (bar: Bar) => string,
): void {
  if (!root.querySelector("ol")) root.replaceChildren(h("ol"));
  const top = Math.max(...bars.map((bar) => Math.abs(bar.value ?? 0)), Number.MIN_VALUE);
  reconcile(
    root.firstElementChild!,
    bars,
    (bar) => `${bar.id} ${bar.label} ${bar.about}`,
    (bar) =>
      h(
        "li",
        {},
        h("span", { class: "name", title: bar.label }, bar.label),
        h("span", { class: "num" }),
        h("span", { class: "bar", "aria-hidden": "true" }, h("span")),
        ...(bar.about === ""
          ? []
          : [h("span", { class: "muted small name", title: bar.about }, bar.about)]),
      ),
    (item, bar) => {
      set_text(item.children[1]!, format_value(bar.value, unit));
      set_attribute(item.children[1]!, "title", bar.value);
      const fill = item.children[2]!.firstElementChild as HTMLElement;
      fill.style.background = color(bar);
      fill.style.width = `${(Math.abs(bar.value ?? 0) / top) * 100}%`;
    },
  );
}

function show_matrix(root: HTMLElement, matrix: Matrix, unit: Unit, by: string): void {
  const state = JSON.stringify([matrix, unit, by]);
  if (root.dataset["state"] === state && root.querySelector("table")) return;
  root.dataset["state"] = state;
  const largest = (values: (number | null)[]): number =>
    Math.max(...values.map((value) => Math.abs(value ?? 0)), Number.MIN_VALUE);
  const totals = matrix.totals !== null;
  // What cannot be added may not even be comparable: each row then has a scale of its own.
  const top = largest(matrix.rows.flatMap((row) => row.cells));
  const number = (value: number | null, most: number | null): HTMLElement => {
    const cell = h("td", { class: "num", title: value }, format_value(value, unit));
    if (most !== null && value !== null) {
      const share = Math.round((Math.abs(value) / most) * kShadeMax);
      cell.style.background = `color-mix(in srgb, var(--accent) ${share}%, transparent)`;
    }
    return cell;
  };
  const head = (name: string): HTMLElement =>
    h("th", { scope: "col", class: "num", title: name }, name);
  const lines = matrix.rows.map((row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", title: row.label }, row.label),
      ...row.cells.map((value) => number(value, totals ? top : largest(row.cells))),
      totals ? number(row.total, null) : null,
    ),
  );
  const foot = totals
    ? h(
        "tr",
        { class: "totals" },
        h("th", { scope: "row" }, "all"),
        ...matrix.totals!.map((value) => number(value, null)),
        number(matrix.total, null),
      )
    : null;
  const table = h(
    "table",
    { class: totals ? "summed" : null },
    h("caption", { class: "hidden" }, `By ${by}`),
    h("thead", {}, h("tr", {}, h("td"), ...matrix.columns.map(head), totals ? head("all") : null)),
    h("tbody", {}, ...lines, foot),
  );
  const note = matrix.left_out > 0 ? `${matrix.left_out} groups with less are not shown.` : null;
  root.replaceChildren(
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `By ${by}` }, table),
    ...(note === null ? [] : [h("p", { class: "muted small" }, note)]),
  );
}
