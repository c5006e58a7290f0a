// One small chart for each metric of the window shown, all on one time axis with one cursor.
// Drawing is uPlot's; here is what goes into it: series, gaps, open windows, anomaly marks, words.

import uPlot from "uplot";
import { lonely_points, shared_options } from "./chart_axes";
import { draw_bands, draw_marks, type DrawnMark, type Mark } from "./chart_marks";
import { h, set_attribute, set_text } from "./dom";
import {
  format_time,
  format_utc,
  format_value,
  guess_unit,
  metric_title,
  plural,
  shorten,
  type Unit,
} from "./format";
import { split_open, type Frames, type Group, type Row, type WindowStore } from "./store";
import { css_color } from "./theme";
import type { Severity } from "./types";

export interface ChartData {
  store: WindowStore;
  groups: (Group | undefined)[]; ///< As many as there are `slots`; undefined: no rows in sight.
  labels: string[];
  slots: number[]; ///< For each group its colour, 0 … 7.
  from: number;
  to: number;
  marks: Mark[];
  now: number;
}

const kHeight = 168;
const kLabelChars = 22;
/** Windows for each pixel beyond which lines are drawn thinner, so that they stay apart. */
const kDense = 0.5;
const kLine = 1.75;
const kThinLine = 1;

/** The colour of a series by its slot. */
export function slot_color(slot: number): string {
  return css_color(`--series-${slot + 1}`);
}

export class ChartGrid {
  private charts_: MetricChart[] = [];
  private made_for_ = "";
  private readonly resize_ = new ResizeObserver(() => {
    for (const chart of this.charts_) chart.fit();
  });

  constructor(private readonly root_: HTMLElement) {
    this.resize_.observe(root_);
  }

  /** Shows `data`; charts are made anew only when the metrics, groups or the theme changed. */
  show(data: ChartData): void {
    const theme = css_color("--surface");
    const wanted = JSON.stringify([
      data.store.info.window,
      data.store.metrics,
      data.slots,
      data.labels,
      theme,
    ]);
    if (wanted !== this.made_for_) {
      for (const chart of this.charts_) chart.destroy();
      this.charts_ = data.store.metrics.map((metric, at) => new MetricChart(metric, at, data));
      this.root_.replaceChildren(...this.charts_.map((chart) => chart.root));
      this.made_for_ = wanted;
    }
    const frames = data.store.frames(data.groups, data.from, data.to);
    for (const chart of this.charts_) chart.show(data, frames);
  }

  clear(): void {
    for (const chart of this.charts_) chart.destroy();
    this.charts_ = [];
    this.root_.replaceChildren();
    this.made_for_ = "";
  }
}

class MetricChart {
  readonly root: HTMLElement;
  private readonly plot_: HTMLElement;
  private readonly unit_label_: HTMLElement;
  private readonly values_: HTMLElement[] = [];
  private readonly tip_: HTMLElement;
  private readonly chart_: uPlot;
  private readonly colors_: string[];
  private readonly severity_colors_ = new Map<Severity, string>();
  private unit_: Unit = "plain";
  private data_: ChartData;
  private frames_: Frames = { seconds: [], rows: [] };
  private marks_: Mark[] = []; ///< Those of the groups and the range shown, of any metric.
  private hovered_ = false;
  private width_ = 0;

  constructor(
    private readonly metric_: { name: string; type: string },
    private readonly at_: number,
    data: ChartData,
  ) {
    this.data_ = data;
    this.colors_ = data.slots.map(slot_color);
    this.plot_ = h("div", { class: "plot", tabindex: 0, role: "img" });
    this.tip_ = h("div", { class: "tip", hidden: true });
    this.unit_label_ = h("span", { class: "unit" });
    const legend = h("ul", { class: "legend" });
    data.labels.forEach((label, at) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = this.colors_[at]!;
      const value = h("span", { class: "num" });
      this.values_.push(value);
      legend.append(
        h(
          "li",
          {},
          swatch,
          h("span", { class: "name", title: label }, shorten(label, kLabelChars)),
          value,
        ),
      );
    });
    this.root = h(
      "article",
      { class: "card chart", "data-metric": metric_.name },
      h(
        "header",
        {},
        h("h3", { title: metric_.name }, metric_title(metric_.name)),
        this.unit_label_,
      ),
      h("div", { class: "plot-box" }, this.plot_, this.tip_),
      legend,
    );
    this.chart_ = new uPlot(this.options(), [[]], this.plot_);
    this.plot_.addEventListener("keydown", (event) => this.key(event));
    this.plot_.addEventListener("blur", () => this.leave());
    this.chart_.over.addEventListener("mouseenter", () => (this.hovered_ = true));
    this.chart_.over.addEventListener("mouseleave", () => this.leave());
  }

  destroy(): void {
    this.chart_.destroy();
  }

  /** Takes the width that the layout gives. */
  fit(): void {
    const width = Math.floor(this.plot_.clientWidth);
    if (width <= 0 || width === this.width_) return;
    this.width_ = width;
    this.chart_.setSize({ width, height: kHeight });
  }

  show(data: ChartData, frames: Frames): void {
    this.data_ = data;
    this.frames_ = frames;
    const shown = new Set(data.groups.map((group) => group?.id));
    this.marks_ = data.marks.filter(
      (mark) => shown.has(mark.group) && mark.end > data.from && mark.start < data.to,
    );
    this.unit_ = guess_unit(this.metric_.name, this.metric_.type, data.store.largest(this.at_));
    const closed: (number | null)[][] = [];
    const open: (number | null)[][] = [];
    for (const rows of frames.rows) {
      const [a, b] = split_open(rows, this.at_);
      closed.push(a);
      open.push(b);
    }
    this.fit();
    const dense = frames.seconds.length > this.width_ * kDense;
    for (const series of this.chart_.series.slice(1)) series.width = dense ? kThinLine : kLine;
    this.chart_.batch(() => {
      this.chart_.setData([frames.seconds, ...closed, ...open], false);
      this.chart_.setScale("x", { min: data.from / 1000, max: data.to / 1000 });
    });
    this.write_values();
    this.write_tip();
    this.describe(closed);
  }

  private options(): uPlot.Options {
    const count = this.colors_.length;
    const surface = css_color("--surface");
    const series: uPlot.Series[] = [{}];
    for (const dashed of [false, true]) {
      for (const color of this.colors_) {
        series.push({
          stroke: color,
          width: kLine,
          ...(dashed ? { dash: [3, 3] } : {}),
          points: {
            size: dashed ? 6.5 : 4.5,
            width: 1.5,
            stroke: color,
            fill: dashed ? surface : color,
            show: true,
            filter: (u, at) => (dashed ? this.open_points(u, at) : lonely_points(u, at)),
          },
        });
      }
    }
    const shared = shared_options(() => this.unit_);
    return {
      ...shared,
      height: kHeight,
      padding: [10, 8, 0, 0],
      cursor: {
        ...shared.cursor,
        points: {
          size: 8,
          width: 1.5,
          // A cursor point for the closed series only would jump over open windows: both have one.
          fill: (_u, at) => this.colors_[(at - 1) % count]!,
          stroke: () => surface,
        },
      },
      series,
      hooks: {
        drawClear: [(u) => draw_bands(u, this.drawn_marks(), this.data_.store.step_ms)],
        draw: [(u) => draw_marks(u, this.drawn_marks())],
        setCursor: [() => this.write_cursor()],
      },
    };
  }

  /** Where an open window is: the closed point that the dashed line starts from has its own dot. */
  private open_points(u: uPlot, series: number): number[] | null {
    const rows = this.frames_.rows[(series - 1) % this.colors_.length] ?? [];
    const values = u.data[series] ?? [];
    const out: number[] = [];
    for (let at = 0; at < rows.length; ++at) {
      if (rows[at] && !rows[at]!.closed && values[at] != null) out.push(at);
    }
    return out;
  }

  private drawn_marks(): DrawnMark[] {
    return this.marks_.map((mark) => ({
      mark,
      own: mark.metric === this.metric_.name,
      color: this.severity_color(mark.severity),
    }));
  }

  /** Asked of the page once a chart: a busy day has a thousand marks. */
  private severity_color(severity: Severity): string {
    let color = this.severity_colors_.get(severity);
    if (color === undefined) {
      color = css_color(`--${severity}`);
      this.severity_colors_.set(severity, color);
    }
    return color;
  }

  private leave(): void {
    this.hovered_ = false;
    this.tip_.hidden = true;
  }

  private cursor_index(): number | null {
    const at = this.chart_.cursor.idx;
    const left = this.chart_.cursor.left ?? -1;
    return at == null || left < 0 || at >= this.frames_.seconds.length ? null : at;
  }

  private write_cursor(): void {
    this.write_values();
    this.write_tip();
  }

  /** The legend's values: under the cursor if there is one, else each group's newest. */
  private write_values(): void {
    const cursor = this.cursor_index();
    this.frames_.rows.forEach((rows, at) => {
      const row = cursor === null ? newest(rows) : rows[cursor];
      const element = this.values_[at]!;
      set_text(element, format_value(row?.values[this.at_], this.unit_));
      element.classList.toggle("open", row ? !row.closed : false);
    });
  }

  private write_tip(): void {
    const cursor = this.cursor_index();
    const show = this.hovered_ && cursor !== null;
    this.tip_.hidden = !show;
    if (!show) return;
    const rows = this.frames_.rows.map((of_group) => of_group[cursor] ?? null);
    const any = rows.find((row) => row !== null);
    const start = this.frames_.seconds[cursor]! * 1000;
    const { now, labels } = this.data_;
    const span = any
      ? `${format_time(start, now)} – ${format_time(any.end, now)}`
      : format_time(start, now);
    const head = h("p", { class: "tip-time", title: format_utc(start) }, span);
    if (any && !any.closed) head.append(h("span", { class: "muted" }, " still open"));
    const lines = rows
      .map((row, at) => ({ at, value: row?.values[this.at_] ?? null }))
      .sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity))
      .map(({ at, value }) => {
        const swatch = h("span", { class: "swatch" });
        swatch.style.background = this.colors_[at]!;
        return h(
          "li",
          {},
          swatch,
          h("span", { class: "name" }, shorten(labels[at]!, kLabelChars)),
          h("span", { class: "num" }, format_value(value, this.unit_)),
        );
      });
    const marks = this.marks_
      .filter((mark) => mark.start === start)
      .map((mark) => h("li", { class: `tip-mark ${mark.severity}` }, mark.title));
    this.tip_.replaceChildren(
      head,
      h("ul", {}, ...lines),
      ...(marks.length > 0 ? [h("ul", { class: "tip-marks" }, ...marks.slice(0, 4))] : []),
    );
    this.place_tip(start / 1000);
  }

  private place_tip(seconds: number): void {
    const { chart_: u, tip_: tip } = this;
    const x = u.valToPos(seconds, "x") + u.over.offsetLeft;
    const width = tip.offsetWidth;
    const room = this.plot_.clientWidth;
    const right = x + 14 + width <= room;
    const left = right ? x + 14 : Math.max(0, Math.min(x - 14 - width, room - width));
    tip.style.transform = `translate(${Math.round(left)}px, 8px)`;
  }

  /** Left and right walk through the windows; Escape leaves. */
  private key(event: KeyboardEvent): void {
    const count = this.frames_.seconds.length;
    if (count === 0) return;
    const now = this.cursor_index();
    let at: number;
    switch (event.key) {
      case "ArrowLeft":
        at = now === null ? count - 1 : Math.max(0, now - 1);
        break;
      case "ArrowRight":
        at = now === null ? count - 1 : Math.min(count - 1, now + 1);
        break;
      case "Home":
        at = 0;
        break;
      case "End":
        at = count - 1;
        break;
      case "Escape":
        this.chart_.setCursor({ left: -10, top: -10 });
        this.leave();
        return;
      default:
        return;
    }
    event.preventDefault();
    this.hovered_ = true;
    const left = this.chart_.valToPos(this.frames_.seconds[at]!, "x");
    this.chart_.setCursor({ left, top: this.chart_.over.clientHeight / 2 });
  }

  /** Says in words what the picture shows, for those who do not see it and for tests. */
  private describe(closed: (number | null)[][]): void {
    const points = closed.reduce((sum, values) => sum + values.filter((v) => v !== null).length, 0);
    const values = this.data_.labels.map(
      (label, at) =>
        `${label} ${format_value(newest(this.frames_.rows[at]!)?.values[this.at_], this.unit_)}`,
    );
    const marks = this.marks_.filter((mark) => mark.metric === this.metric_.name).length;
    set_attribute(this.root, "data-points", points);
    set_attribute(this.root, "data-marks", marks);
    set_attribute(
      this.plot_,
      "aria-label",
      `${metric_title(this.metric_.name)} over time. Newest: ${values.join(", ") || "no data"}.` +
        (marks > 0 ? ` ${plural(marks, "anomaly", "anomalies")} marked.` : "") +
        " Arrow keys walk through the windows.",
    );
    set_text(this.unit_label_, unit_label(this.unit_));
  }
}

function unit_label(unit: Unit): string {
  switch (unit) {
    case "percent":
      return "%";
    case "usd":
      return "USD";
    case "eur":
      return "EUR";
    case "us":
      return "µs";
    case "per_second":
      return "per second";
    case "plain":
    case "integer":
      return "";
    default:
      return unit.startsWith("decimal:") ? "" : unit;
  }
}

function newest(rows: readonly (Row | null)[]): Row | null {
  // An open window's numbers are still growing, so a closed one speaks for the group if there is one.
  let open: Row | null = null;
  for (let at = rows.length - 1; at >= 0; --at) {
    const row = rows[at];
    if (!row) continue;
    if (row.closed) return row;
    open ??= row;
  }
  return open;
}
