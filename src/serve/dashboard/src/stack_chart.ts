// A metric's course over time as stacked columns, one for each window, drawn on uPlot's axes and with
// the cursor that all charts share. One for the life of the overview.

import uPlot from "uplot";
import { clip, shared_options } from "./chart_axes";
import { h, set_attribute, set_text } from "./dom";
import { format_time, format_utc, format_value, type Unit } from "./format";
import { kStacksMax, type Level, type Stack } from "./overview";
import { css_color } from "./theme";

const kHeight = 190;
const kOpenAlpha = 0.45;
const kColumnShare = 0.82; ///< Of the room of a window; the rest is the gap to the next.

const kLevelColors: Record<Level, string> = {
  critical: "--critical",
  error: "--high",
  warn: "--series-3",
  info: "--series-2",
  debug: "--border-strong",
};

/** The colour of a part of the stack: its level's, else that of its place. */
export function part_color(stack: Stack, at: number): string {
  const level = stack.series[at]!.level;
  if (level !== null) return css_color(kLevelColors[level]);
  return css_color(at < kStacksMax ? `--series-${at + 1}` : "--border-strong");
}

export class StackChart {
  readonly root: HTMLElement;
  private readonly plot_ = h("div", { class: "plot tall", tabindex: 0, role: "img" });
  private readonly tip_ = h("div", { class: "tip", hidden: true });
  private readonly legend_ = h("ul", { class: "legend" });
  private chart_: uPlot | null = null;
  private made_for_ = "";
  private stack_: Stack = { starts: [], ends: [], open: [], step_ms: 60_000, series: [] };
  private colors_: string[] = [];
  private unit_: Unit = "plain";
  private title_ = "";
  private now_ = 0;
  private hovered_ = false;
  private width_ = 0;

  constructor() {
    this.root = h(
      "div",
      { class: "stack" },
      h("div", { class: "plot-box" }, this.plot_, this.tip_),
      this.legend_,
    );
    new ResizeObserver(() => this.fit()).observe(this.plot_);
    this.plot_.addEventListener("keydown", (event) => this.key(event));
    this.plot_.addEventListener("blur", () => this.leave());
    this.plot_.addEventListener("mouseleave", () => this.leave());
    this.plot_.addEventListener("mouseenter", () => (this.hovered_ = true));
  }

  show(stack: Stack, unit: Unit, title: string, now: number): void {
    this.stack_ = stack;
    this.unit_ = unit;
    this.title_ = title;
    this.now_ = now;
    const labels = stack.series.map((each) => each.label);
    const wanted = JSON.stringify([labels, css_color("--surface")]);
    if (wanted !== this.made_for_) {
      this.made_for_ = wanted;
      this.colors_ = stack.series.map((_, at) => part_color(stack, at));
      this.chart_?.destroy();
      this.chart_ = new uPlot(this.options(), [[]], this.plot_);
      this.width_ = 0;
      this.write_legend(labels);
    }
    const top = stack.starts.map((_, at) => this.reach(at, 1));
    const bottom = stack.starts.map((_, at) => this.reach(at, -1));
    const half = stack.step_ms / 2000;
    const seconds = stack.starts.map((start) => start / 1000);
    this.fit();
    this.chart_!.batch(() => {
      this.chart_!.setData([seconds, top, bottom], false);
      if (seconds.length > 0) {
        const min = seconds[0]! - half;
        // A few windows are not drawn as broad as the page.
        const max = Math.max(seconds[seconds.length - 1]!, seconds[0]! + 22 * half) + half;
        this.chart_!.setScale("x", { min, max });
      }
    });
    this.write_values();
    this.write_tip();
    this.describe();
  }

  /** How far a window's column reaches up (sign 1) or, for values below zero, down (−1). */
  private reach(at: number, sign: 1 | -1): number {
    let sum = 0;
    for (const { values } of this.stack_.series) {
      const value = values[at] ?? 0;
      if (value * sign > 0) sum += value;
    }
    return sum;
  }

  private sum(at: number): number | null {
    const values = this.stack_.series.map((each) => each.values[at] ?? null);
    return values.every((value) => value === null)
      ? null
      : values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  }

  private fit(): void {
    const width = Math.floor(this.plot_.clientWidth);
    if (!this.chart_ || width <= 0 || width === this.width_) return;
    this.width_ = width;
    this.chart_.setSize({ width, height: kHeight });
  }

  private options(): uPlot.Options {
    const unseen: uPlot.Series = { paths: () => null, points: { show: false } };
    const shared = shared_options(() => this.unit_);
    return {
      ...shared,
      height: kHeight,
      padding: [10, 20, 0, 0],
      cursor: { ...shared.cursor, points: { show: false } },
      series: [{}, unseen, unseen],
      hooks: {
        draw: [(u) => this.draw_columns(u)],
        setCursor: [
          () => {
            this.write_values();
            this.write_tip();
          },
        ],
      },
    };
  }

  private draw_columns(u: uPlot): void {
    const { starts, open, series, step_ms } = this.stack_;
    const { ctx } = u;
    const half = (step_ms / 2000) * kColumnShare;
    ctx.save();
    clip(u);
    starts.forEach((start, at) => {
      const left = u.valToPos(start / 1000 - half, "x", true);
      const right = u.valToPos(start / 1000 + half, "x", true);
      const width = Math.max(right - left, devicePixelRatio);
      ctx.globalAlpha = open[at] ? kOpenAlpha : 1;
      let [up, down] = [0, 0];
      series.forEach(({ values }, part) => {
        const value = values[at] ?? 0;
        if (value === 0) return;
        const from = value > 0 ? up : down;
        if (value > 0) up += value;
        else down += value;
        const near = u.valToPos(from, "y", true);
        const far = u.valToPos(from + value, "y", true);
        ctx.fillStyle = this.colors_[part]!;
        ctx.fillRect(left, Math.min(near, far), width, Math.abs(near - far));
      });
    });
    ctx.restore();
  }

  private write_legend(labels: readonly string[]): void {
    this.legend_.replaceChildren(
      ...labels.map((label, at) => {
        const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
        swatch.style.background = this.colors_[at]!;
        const name = h("span", { class: "name", title: label }, label);
        return h("li", {}, swatch, name, h("span", { class: "num" }));
      }),
    );
  }

  private cursor_index(): number | null {
    const at = this.chart_?.cursor.idx;
    const left = this.chart_?.cursor.left ?? -1;
    return at == null || left < 0 || at >= this.stack_.starts.length ? null : at;
  }

  /** The newest closed window, or the newest at all. */
  private newest(): number {
    const closed = this.stack_.open.lastIndexOf(false);
    return closed >= 0 ? closed : this.stack_.starts.length - 1;
  }

  private write_values(): void {
    const at = this.cursor_index() ?? this.newest();
    this.stack_.series.forEach(({ values }, part) => {
      const item = this.legend_.children[part];
      if (!item) return;
      set_text(item.lastElementChild!, format_value(values[at], this.unit_));
      set_attribute(item.lastElementChild!, "title", values[at]);
    });
  }

  private write_tip(): void {
    const at = this.cursor_index();
    this.tip_.hidden = !this.hovered_ || at === null;
    if (this.tip_.hidden || at === null) return;
    const { starts, ends, open, series } = this.stack_;
    const span = `${format_time(starts[at]!, this.now_)} – ${format_time(ends[at]!, this.now_)}`;
    const head = h("p", { class: "tip-time", title: format_utc(starts[at]!) }, span);
    if (open[at]) head.append(h("span", { class: "muted" }, " still open"));
    const line = (color: string | null, name: string, value: number | null): HTMLElement => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = color ?? "transparent";
      const number = h("span", { class: "num" }, format_value(value, this.unit_));
      return h("li", {}, swatch, h("span", { class: "name" }, name), number);
    };
    // From top to bottom, as the column is.
    const parts = series.map(({ label, values }, part) =>
      line(this.colors_[part]!, label, values[at] ?? null),
    );
    const all = series.length > 1 ? [line(null, "all", this.sum(at))] : [];
    this.tip_.replaceChildren(head, h("ul", {}, ...all, ...parts.reverse()));
    this.place_tip(this.chart_!, starts[at]! / 1000);
  }

  private place_tip(u: uPlot, seconds: number): void {
    const x = u.valToPos(seconds, "x") + u.over.offsetLeft;
    const width = this.tip_.offsetWidth;
    const room = this.plot_.clientWidth;
    const right = x + 14 + width <= room;
    const left = right ? x + 14 : Math.max(0, Math.min(x - 14 - width, room - width));
    this.tip_.style.transform = `translate(${Math.round(left)}px, 8px)`;
  }

  private leave(): void {
    this.hovered_ = false;
    this.tip_.hidden = true;
  }

  /** Left and right walk through the windows; Escape leaves. */
  private key(event: KeyboardEvent): void {
    const count = this.stack_.starts.length;
    const u = this.chart_;
    if (!u || count === 0) return;
    const now = this.cursor_index();
    const steps: Record<string, number> = {
      ArrowLeft: now === null ? count - 1 : Math.max(0, now - 1),
      ArrowRight: now === null ? count - 1 : Math.min(count - 1, now + 1),
      Home: 0,
      End: count - 1,
    };
    if (event.key === "Escape") {
      u.setCursor({ left: -10, top: -10 });
      this.leave();
      return;
    }
    const at = steps[event.key];
    if (at === undefined) return;
    event.preventDefault();
    this.hovered_ = true;
    const left = u.valToPos(this.stack_.starts[at]! / 1000, "x");
    u.setCursor({ left, top: u.over.clientHeight / 2 });
  }

  /** Says in words what the picture shows, for those who do not see it and for tests. */
  private describe(): void {
    const { starts, series } = this.stack_;
    const at = this.newest();
    const values = series.map((s) => `${s.label} ${format_value(s.values[at], this.unit_)}`);
    set_attribute(this.root, "data-windows", starts.length);
    set_attribute(
      this.plot_,
      "aria-label",
      `${this.title_} over the last ${starts.length} windows, stacked. Newest: ` +
        `${values.join(", ") || "no data"}. Arrow keys walk through the windows.`,
    );
  }
}
