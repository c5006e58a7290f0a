// The time range: what can be chosen, and which span of time that is for the data there is. Pure.

import { parse_time } from "./format";
import type { WindowAnswer, WindowInfo } from "./types";

export interface Range {
  id: string;
  label: string;
  ms: number; ///< Infinity: everything the page keeps.
  text: string; ///< As in "no incidents in …".
}

const kMinute = 60_000;

export const kRanges: readonly Range[] = [
  { id: "15m", label: "15 min", ms: 15 * kMinute, text: "the last 15 minutes" },
  { id: "1h", label: "1 h", ms: 60 * kMinute, text: "the last hour" },
  { id: "6h", label: "6 h", ms: 360 * kMinute, text: "the last 6 hours" },
  { id: "24h", label: "24 h", ms: 1440 * kMinute, text: "the last 24 hours" },
  { id: "all", label: "All", ms: Number.POSITIVE_INFINITY, text: "all that is kept" },
];

/** Fewer windows than this make no curve: then the span is longer than what was chosen. */
const kWindowsMin = 12;

export interface View {
  from: number; ///< ms since the epoch; what the charts begin with
  to: number;
  /** Where the range begins: earlier than `from` while the data are younger than the range. */
  range_from: number;
  /** The data end before the range begins, as after a replay: the view is of their end. */
  past: boolean;
  /** Longer than was chosen, for the windows' sake. */
  widened: boolean;
}

/** Merged rows as rows of a window of their own: as long as the longest of them. */
export function merged_info(info: WindowInfo, { rows, resolution }: WindowAnswer): WindowInfo | null {
  if (info.gap !== null || resolution.every((each) => each === "raw")) return null;
  const longest = rows.reduce((most, row) => {
    const length = parse_time(row["window_end"]) - parse_time(row["window_start"]);
    return length > most ? length : most;
  }, 0);
  const size_seconds = longest / 1000;
  if (size_seconds <= info.size_seconds) return null;
  return { ...info, size: `${size_seconds}s`, size_seconds, hop: null };
}

/** How far back rows are wanted for this range. */
export function span_ms(range: Range, size_ms: number): number {
  return Math.max(range.ms, kWindowsMin * size_ms);
}

export function view_of(
  range: Range,
  now: number,
  size_ms: number,
  oldest_start: number,
  newest_start: number,
  newest_end: number,
): View {
  const span = span_ms(range, size_ms);
  if (!Number.isFinite(newest_start)) {
    const from = now - (Number.isFinite(span) ? span : kRanges[1]!.ms);
    return { from, to: now, range_from: from, past: false, widened: false };
  }
  if (!Number.isFinite(span)) {
    // Half a window of air on both sides, so that the first and the last dot are whole.
    const from = oldest_start - size_ms / 2;
    return { from, to: newest_start + size_ms / 2, range_from: from, past: false, widened: false };
  }
  const past = newest_end < now - span;
  const to = past ? newest_end : Math.max(now, newest_start + size_ms / 4);
  const range_from = to - span;
  // An engine that has just begun has little to show: it gets the whole width all the same.
  const data_from = Math.min(oldest_start - size_ms / 2, to - kWindowsMin * size_ms);
  return { from: Math.max(range_from, data_from), to, range_from, past, widened: span > range.ms };
}
