// Anomalies in a chart: bands behind the lines, and on the anomaly's own metric where its value was.

import type uPlot from "uplot";
import { clip } from "./chart_axes";
import type { Severity } from "./types";

export interface Mark {
  start: number; ///< ms since the epoch: start of the anomalous window
  end: number;
  metric: string;
  group: string; ///< group id
  severity: Severity;
  value: number | null;
  title: string;
}

export interface DrawnMark {
  mark: Mark;
  own: boolean; ///< It is about the metric that the chart shows.
  color: string;
}

/** Bands behind the lines: strong on the anomaly's own metric, faint on the others. */
export function draw_bands(u: uPlot, marks: readonly DrawnMark[], step_ms: number): void {
  const { ctx } = u;
  const half = step_ms / 2000;
  ctx.save();
  clip(u);
  // One band a window, however many groups and rules see something in it: they would add up.
  const bands = new Map<number, DrawnMark>();
  for (const drawn of marks) {
    const old = bands.get(drawn.mark.start);
    if (!old || (drawn.own && !old.own)) bands.set(drawn.mark.start, drawn);
  }
  for (const { mark, own, color } of bands.values()) {
    const left = u.valToPos(mark.start / 1000 - half, "x", true);
    const right = u.valToPos(mark.start / 1000 + half, "x", true);
    const width = Math.max(right - left, 2 * devicePixelRatio);
    ctx.globalAlpha = own ? 0.2 : 0.07;
    ctx.fillStyle = color;
    ctx.fillRect(left, u.bbox.top, width, u.bbox.height);
  }
  ctx.restore();
}

/** On the anomaly's own metric: a triangle on top of the band and a ring round the value. */
export function draw_marks(u: uPlot, marks: readonly DrawnMark[]): void {
  const { ctx } = u;
  const px = devicePixelRatio;
  ctx.save();
  clip(u);
  for (const { mark, own, color } of marks) {
    if (!own) continue;
    const x = u.valToPos(mark.start / 1000, "x", true);
    ctx.fillStyle = color;
    ctx.beginPath();
    ctx.moveTo(x - 4.5 * px, u.bbox.top);
    ctx.lineTo(x + 4.5 * px, u.bbox.top);
    ctx.lineTo(x, u.bbox.top + 7 * px);
    ctx.fill();
    if (mark.value === null) continue;
    ctx.strokeStyle = color;
    ctx.lineWidth = 1.75 * px;
    ctx.beginPath();
    ctx.arc(x, u.valToPos(mark.value, "y", true), 5 * px, 0, 2 * Math.PI);
    ctx.stroke();
  }
  ctx.restore();
}
