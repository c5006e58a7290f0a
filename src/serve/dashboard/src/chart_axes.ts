// Axes, ranges and dots of a chart: what uPlot asks for as functions. No state.

import type uPlot from "uplot";
import { format_clock, format_day, format_day_year, format_tick, type Unit } from "./format";
import { css_color } from "./theme";

/** Steps of the value axis: 1, 2, 2.5 and 5 times a power of ten; for bytes the powers of two. */
const kDecimalSteps = Array.from({ length: 28 }, (_, at) => at - 9).flatMap((power) =>
  [1, 2, 2.5, 5].map((step) => Number(`${step}e${power}`)),
);
const kBinarySteps = Array.from({ length: 51 }, (_, power) => 2 ** power);

/** Dots for values without a neighbour, which a line alone would not show; all, if they are few. */
export function lonely_points(u: uPlot, series: number): number[] | null {
  const values = u.data[series] ?? [];
  const few = values.length <= 24;
  const out: number[] = [];
  for (let at = 0; at < values.length; ++at) {
    if (values[at] == null) continue;
    if (few || (values[at - 1] == null && values[at + 1] == null)) out.push(at);
  }
  return out;
}

/** From zero, unless values are below it; some air above; never empty. */
function value_range(min: number | null, max: number | null): [number, number] {
  const low = Math.min(0, min ?? 0);
  const high = Math.max(0, max ?? 0);
  if (low === 0 && high === 0) return [0, 1];
  const air = (high - low) * 0.12;
  return [low < 0 ? low - air : 0, high > 0 ? high + air : 0];
}

/** Wide enough for its labels; mostly the same, so that the charts line up. */
function axis_width(u: uPlot, values: readonly string[] | null, font: string): number {
  if (!values || values.length === 0) return 40;
  u.ctx.save();
  u.ctx.font = font;
  const widest = Math.max(...values.map((text) => u.ctx.measureText(text ?? "").width));
  u.ctx.restore();
  return Math.ceil(Math.max(52, widest + 12));
}

/** A year is named where it is not the one that the reader would think of. */
export function time_labels(splits: readonly number[], now: number): string[] {
  const step = splits.length > 1 ? splits[1]! - splits[0]! : 60;
  const year = new Date(now).getFullYear();
  const other_year = splits.some((seconds) => new Date(seconds * 1000).getFullYear() !== year);
  return splits.map((seconds) => {
    const at = new Date(seconds * 1000);
    const midnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;
    if (step >= 86_400 || midnight)
      return other_year ? format_day_year(at.getTime()) : format_day(at.getTime());
    return format_clock(at.getTime(), step < 60);
  });
}

export function clip(u: uPlot): void {
  u.ctx.beginPath();
  u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  u.ctx.clip();
}

const kSync = "streamobs";

/**
 * What all charts share: one axis of time with one cursor, one of values, in the colours of the
 * theme. `unit` is asked each time the axis is drawn.
 */
export function shared_options(unit: () => Unit): Omit<uPlot.Options, "height" | "series"> & {
  cursor: uPlot.Cursor;
} {
  const stroke = css_color("--muted");
  const grid = { stroke: css_color("--grid"), width: 1 };
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return {
    width: 300,
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false, setScale: false },
      sync: { key: kSync, setSeries: false, scales: ["x", null] },
    },
    scales: {
      x: { time: true, auto: false },
      y: { range: (_u, min, max) => value_range(min, max) },
    },
    axes: [
      {
        stroke,
        font,
        grid: { show: false },
        ticks: { ...grid, size: 4 },
        gap: 4,
        size: 26,
        space: 84,
        values: (_u, splits) => time_labels(splits, Date.now()),
      },
      {
        stroke,
        font,
        grid,
        ticks: { show: false },
        gap: 6,
        space: 34,
        incrs: () => (unit() === "bytes" ? kBinarySteps : kDecimalSteps),
        values: (_u, splits) => splits.map((value) => format_tick(value, unit())),
        size: (u, values) => axis_width(u, values, font),
      },
    ],
  };
}
