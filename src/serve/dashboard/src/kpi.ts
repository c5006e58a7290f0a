// The big numbers on top. Tiles are made once and only their texts change, so nothing moves.

import { h, set_attribute, set_text, svg } from "./dom";

const kSparkWidth = 96;
const kSparkHeight = 28;

export interface KpiValue {
  value: string;
  title?: string; ///< The exact number.
  note: string;
  spark?: readonly number[];
  bars?: boolean;
  tone?: "low" | "medium" | "high" | "critical" | "good" | "" | undefined;
}

class Tile {
  readonly root: HTMLElement;
  private readonly value_ = h("dd", { class: "kpi-value num" }, "–");
  private readonly note_ = h("dd", { class: "kpi-note" }, "\u00a0");
  private readonly spark_ = svg("svg", {
    class: "spark",
    viewBox: `0 0 ${kSparkWidth} ${kSparkHeight}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  private readonly path_ = svg("path", { d: "" });
  private readonly area_ = svg("path", { class: "spark-area", d: "" });

  constructor(id: string, label: string) {
    this.spark_.append(this.area_, this.path_);
    this.root = h(
      "div",
      { class: "card kpi", "data-kpi": id },
      h("dt", {}, label),
      this.value_,
      this.note_,
    );
    // A picture of the number before it; in a <dd>, as nothing else may stand in a list of terms.
    const picture = h("dd", { class: "kpi-spark" });
    picture.append(this.spark_);
    this.root.append(picture);
  }

  show(kpi: KpiValue): void {
    set_text(this.value_, kpi.value);
    set_attribute(this.value_, "title", kpi.title ?? null);
    // A long number is written smaller, never cut: what is left of it would be another number.
    this.value_.style.setProperty("--chars", String(kpi.value.length));
    set_text(this.note_, kpi.note || "\u00a0");
    set_attribute(this.root, "data-tone", kpi.tone || null);
    const values = kpi.spark ?? [];
    const line = kpi.bars ? bars(values) : polyline(values);
    set_attribute(this.path_, "d", line);
    set_attribute(this.path_, "class", kpi.bars ? "spark-bars" : "spark-line");
    set_attribute(
      this.area_,
      "d",
      kpi.bars || line === ""
        ? ""
        : `${line}L${kSparkWidth} ${kSparkHeight}L${first_x(values.length)} ${kSparkHeight}Z`,
    );
  }
}

/** A history shorter than this starts in the middle of the picture; all end at the right edge. */
const kSlotsMin = 15;
const kSlotsMax = 60;

function first_x(count: number): number {
  const slots = Math.min(kSlotsMax, Math.max(kSlotsMin, count));
  return round(kSparkWidth - ((Math.min(count, slots) - 1) / (slots - 1)) * kSparkWidth);
}

function polyline(all: readonly number[]): string {
  const values = all.slice(-kSlotsMax);
  if (values.length < 2) return "";
  const top = Math.max(...values, 1e-9);
  const start = first_x(values.length);
  const step = (kSparkWidth - start) / (values.length - 1);
  return values
    .map(
      (value, at) => `${at === 0 ? "M" : "L"}${round(start + at * step)} ${height_of(value, top)}`,
    )
    .join("");
}

function bars(values: readonly number[]): string {
  const top = Math.max(...values, 1);
  const step = kSparkWidth / Math.max(1, values.length);
  return values
    .map((value, at) => {
      if (value <= 0) return "";
      const y = height_of(value, top);
      return `M${round(at * step + step * 0.15)} ${kSparkHeight}V${y}h${round(step * 0.7)}V${kSparkHeight}Z`;
    })
    .join("");
}

function height_of(value: number, top: number): number {
  return round(kSparkHeight - 2 - (Math.max(0, value) / top) * (kSparkHeight - 4));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export class KpiRow {
  private readonly tiles_ = new Map<string, Tile>();

  constructor(root: HTMLElement, tiles: readonly (readonly [id: string, label: string])[]) {
    for (const [id, label] of tiles) {
      const tile = new Tile(id, label);
      this.tiles_.set(id, tile);
      root.append(tile.root);
    }
  }

  show(id: string, kpi: KpiValue): void {
    this.tiles_.get(id)?.show(kpi);
  }
}
