// The health of the pipeline: stages in the order of an event's way, sources, streams, dead letters.

import { h, reconcile, set_attribute, set_text, set_time, time_element } from "./dom";
import {
  format_count,
  format_number,
  format_rate,
  format_time,
  format_utc,
  parse_time,
  plural,
  words,
} from "./format";
import { source_tone } from "./kafka";
import type {
  DeadLetter,
  DeadLetters,
  Pipeline,
  Pulse,
  SourceState,
  StageState,
  StreamState,
} from "./types";

const kPayloadCharsMax = 4_000;
const kLettersMax = 20;
const kReasonsMax = 8;

const kStageWords: Record<string, string> = {
  source: "take in",
  decode: "check and parse",
  sequence: "put in order",
  window: "aggregate",
  merge: "close windows",
  detect: "judge",
  narrate: "explain",
  store: "keep",
  serve: "show",
};

/** Rates of the stages between two looks at the pipeline. */
export class StageRates {
  private last_ = new Map<string, number>();
  private last_at_ms_ = 0;
  private rates_ = new Map<string, number>();

  /** `now_ms` is a steady clock. */
  update(stages: readonly StageState[], now_ms: number): void {
    const seconds = (now_ms - this.last_at_ms_) / 1000;
    const rates = new Map<string, number>();
    for (const { stage, items } of stages) {
      const before = this.last_.get(stage);
      // Fewer than before: another process answers; its rate is known at the next look.
      if (before !== undefined && items >= before && seconds > 0.2)
        rates.set(stage, (items - before) / seconds);
    }
    this.last_ = new Map(stages.map(({ stage, items }) => [stage, items]));
    this.last_at_ms_ = now_ms;
    this.rates_ = rates;
  }

  get(stage: string): number | undefined {
    return this.rates_.get(stage);
  }
}

function part<T extends HTMLElement>(root: HTMLElement, name: string): T {
  return root.querySelector<T>(`[data-part="${name}"]`)!;
}

export function show_stages(
  list: HTMLElement,
  stages: readonly StageState[],
  rates: StageRates,
): void {
  reconcile(
    list,
    stages,
    (stage) => stage.stage,
    (stage) =>
      h(
        "li",
        { class: "stage" },
        h("p", { class: "stage-name" }, stage.stage),
        h("p", { class: "muted small" }, kStageWords[stage.stage] ?? "\u00a0"),
        h("p", { class: "stage-items num", "data-part": "items" }),
        h("p", { class: "muted small num", "data-part": "rate" }),
        h("meter", { min: 0, max: 1, high: 0.8, optimum: 0, "data-part": "fill" }),
        h("p", { class: "small", "data-part": "errors" }),
      ),
    (box, stage) => {
      const rate = rates.get(stage.stage);
      const fill = Math.min(1, Math.max(0, stage.fill ?? 0));
      const errors = stage.errors ?? 0;
      set_text(part(box, "items"), format_number(stage.items));
      set_attribute(part(box, "items"), "title", format_count(stage.items));
      const unit = stage.unit ?? "items";
      set_text(part(box, "rate"), rate === undefined ? unit : `${unit}, ${format_rate(rate)}`);
      const meter = part<HTMLMeterElement>(box, "fill");
      if (meter.value !== fill) meter.value = fill;
      const fill_text = `input ${Math.round(fill * 100)} % full`;
      set_attribute(meter, "aria-label", fill_text);
      set_attribute(meter, "title", fill_text);
      set_text(part(box, "errors"), errors > 0 ? plural(errors, "error") : "no errors");
      box.classList.toggle("has-errors", errors > 0);
      box.classList.toggle("is-full", fill >= 0.8);
    },
  );
}

export function show_sources(
  body: HTMLElement,
  sources: readonly SourceState[],
  now: number,
): void {
  reconcile(
    body,
    sources,
    (source) => `${source.source} ${source.stream}`,
    () =>
      h(
        "tr",
        {},
        h("th", { scope: "row", "data-part": "name" }),
        h("td", { "data-part": "stream" }),
        h(
          "td",
          {},
          h("span", { class: "state-dot", "data-part": "state" }),
          h("p", { class: "trouble small is-bad", "data-part": "trouble" }),
        ),
        h("td", { class: "num", "data-part": "events" }),
      ),
    (line, source) => {
      set_text(
        part(line, "name"),
        source.type && source.type !== source.source
          ? `${source.source} (${source.type})`
          : source.source,
      );
      set_text(part(line, "stream"), source.stream || "any");
      set_text(part(line, "state"), words(source.state));
      set_attribute(part(line, "state"), "data-tone", source_tone(source, now));
      // Of topics it is told below, with all else.
      const failed = source.state === "failed" && !source.topics;
      part(line, "trouble").hidden = !failed;
      set_text(part(line, "trouble"), failed ? (source.last_error?.error ?? "") : "");
      set_attribute(line, "title", source.detail || null);
      set_text(part(line, "events"), format_number(source.events));
      set_attribute(part(line, "events"), "title", format_count(source.events));
    },
  );
}

export function show_streams(
  body: HTMLElement,
  streams: readonly StreamState[],
  now: number,
): void {
  reconcile(
    body,
    streams,
    (stream) => stream.stream,
    () =>
      h(
        "tr",
        {},
        h("th", { scope: "row", "data-part": "name" }),
        h("td", { class: "num", "data-part": "accepted" }),
        h("td", { class: "num", "data-part": "rejected" }),
        h("td", {}, time_part("watermark")),
      ),
    (line, stream) => {
      const rejected = Object.values(stream.rejected ?? {}).reduce((sum, count) => sum + count, 0);
      set_text(part(line, "name"), stream.stream);
      set_text(part(line, "accepted"), format_number(stream.accepted));
      set_text(part(line, "rejected"), format_number(rejected));
      const watermark = parse_time(stream.watermark);
      set_time(
        part<HTMLTimeElement>(line, "watermark"),
        Number.isFinite(watermark)
          ? format_time(watermark, now) + (stream.idle ? " (idle)" : "")
          : "no events yet",
        format_utc(watermark),
        stream.watermark ?? "",
      );
    },
  );
}

/**
 * Since when no stream has had an event, by the time of events; null while one goes on, or where
 * none has ever had any. What is shown as going on is as of then.
 */
export function silent_since(streams: readonly StreamState[]): number | null {
  const heard = streams.filter((stream) => stream.newest_event_at !== null);
  if (heard.length === 0 || heard.some((stream) => !stream.idle)) return null;
  return Math.max(...heard.map((stream) => parse_time(stream.newest_event_at)));
}

function time_part(name: string): HTMLTimeElement {
  const element = time_element();
  element.dataset["part"] = name;
  return element;
}

const kUnmatched = "unmatched";

/** Events that a join found no partner for: taken and counted, and no trouble by themselves. */
export function unmatched(counts: DeadLetters["counts"]): number {
  return counts.reduce((sum, { reason, count }) => sum + (reason === kUnmatched ? count : 0), 0);
}

/**
 * Refused and late events. The store counts them once and for good; the process only since its
 * start, but up to this second, and also those that are too many to be kept.
 */
export function refused_and_late(
  pulse: Pulse,
  counts: DeadLetters["counts"],
): { refused: number; late: number; stored: boolean } {
  let refused = 0;
  let late = 0;
  for (const { reason, count } of counts) {
    if (reason === "late") late += count;
    else if (reason !== kUnmatched) refused += count;
  }
  const now_refused = pulse.rejected_total ?? 0;
  const now_late = pulse.late_total ?? 0;
  return {
    refused: Math.max(refused, now_refused),
    late: Math.max(late, now_late),
    stored: refused > now_refused || late > now_late,
  };
}

export function show_reasons(list: HTMLElement, counts: DeadLetters["counts"]): void {
  const by_reason = new Map<string, number>();
  for (const { reason, count } of counts)
    by_reason.set(reason, (by_reason.get(reason) ?? 0) + count);
  const reasons = [...by_reason].sort((a, b) => b[1] - a[1]);
  const largest = reasons[0]?.[1] ?? 1;
  reconcile(
    list,
    reasons.slice(0, kReasonsMax),
    ([reason]) => reason,
    () =>
      h(
        "li",
        { class: "reason" },
        h("span", { "data-part": "name" }),
        h("span", { class: "num", "data-part": "count" }),
        h("span", { class: "bar", "aria-hidden": "true" }),
      ),
    (line, [reason, count]) => {
      set_text(part(line, "name"), words(reason));
      set_text(part(line, "count"), format_count(count));
      line.querySelector<HTMLElement>(".bar")!.style.width =
        `${Math.max(1, (count / largest) * 100)}%`;
    },
  );
}

export function show_letters(list: HTMLElement, letters: readonly DeadLetter[], now: number): void {
  reconcile(
    list,
    letters.slice(0, kLettersMax),
    (letter) => String(letter.id),
    make_letter,
    (line, letter) => {
      const at = parse_time(letter.received_at);
      set_time(
        part<HTMLTimeElement>(line, "when"),
        format_time(at, now),
        format_utc(at),
        letter.received_at,
      );
    },
  );
}

/** A dead letter never changes, so it is written once. */
function make_letter(letter: DeadLetter): HTMLElement {
  const payload = letter.payload ?? "";
  const shown =
    payload.length > kPayloadCharsMax
      ? `${payload.slice(0, kPayloadCharsMax)} … (${format_count(payload.length)} characters)`
      : payload;
  const place = [letter.source, letter.place].filter((text) => text).join(" · ");
  const when = time_part("when");
  when.className = "muted small";
  return h(
    "li",
    { class: "letter" },
    h(
      "details",
      {},
      h(
        "summary",
        {},
        h("span", { class: "reason-name" }, words(letter.reason)),
        h("span", { class: "detail" }, letter.detail || letter.stream),
        when,
      ),
      h(
        "p",
        { class: "muted small" },
        [`stream ${letter.stream}`, letter.window ? `window ${letter.window}` : "", place]
          .filter((text) => text !== "")
          .join(" · "),
      ),
      h("pre", { tabindex: 0, "aria-label": "Payload" }, shown || "(no payload)"),
    ),
  );
}

/** What stands at the foot of the page. */
export function footer_texts(pipeline: Pipeline, now: number): string[] {
  const { store, config } = pipeline;
  const texts = [plural(pipeline.lanes, "lane"), plural(pipeline.threads, "thread")];
  if (store && store.outbox > 0) texts.push(`${plural(store.outbox, "row")} waiting for the store`);
  if (config && config.reloads > 0) {
    texts.push(`config of ${format_time(parse_time(config.since), now)}`);
  }
  if (config?.refused) {
    const at = format_time(parse_time(config.refused.at), now);
    texts.push(`a change of the config was refused at ${at}`);
  }
  return texts;
}
