// Kafka as people see it: the topics that sources read, with partitions and consumer group, and the
// sinks with what waits for them; and what either has complained of.

import { h, reconcile, set_attribute, set_text } from "./dom";
import {
  format_bytes,
  format_count,
  format_duration,
  format_number,
  format_utc,
  format_value,
  parse_time,
  plural,
  words,
} from "./format";
import type { PartitionState, SinkState, SourceState, TopicsState, Trouble } from "./types";

/** More partitions than these are not listed: the ones furthest behind are. */
export const kPartitionsMax = 32;
/** What goes on is told again with each try, which are ten seconds apart at the most. */
const kFreshMs = 30_000;

type Fact = readonly [name: string, value: string, title?: string, bad?: boolean];
export type Tone = "good" | "busy" | "bad" | "";

function part<T extends HTMLElement>(root: HTMLElement, name: string): T {
  return root.querySelector<T>(`[data-part="${name}"]`)!;
}

function is_fresh(trouble: Trouble | null | undefined, now: number): boolean {
  return trouble != null && now - parse_time(trouble.at) < kFreshMs;
}

export function source_tone(source: SourceState, now: number): Tone {
  if (source.state === "failed") return "bad";
  if (source.topics && is_fresh(source.last_error, now)) return "bad";
  if (source.topics?.group?.state === "joining") return "busy";
  // Of a topic all that there is may have been read.
  if (source.state === "waiting") return source.topics ? "good" : "busy";
  return source.state === "running" || source.state === "listening" ? "good" : "";
}

const kSinkTones: Record<string, Tone> = {
  delivering: "good",
  waiting: "good",
  connecting: "busy",
  retrying: "bad",
  stopped: "bad",
};
const kSinkWords: Record<string, string> = { waiting: "all delivered" };

/** The partitions to list, and how many are left out. */
export function partitions_shown(partitions: readonly PartitionState[]): {
  shown: PartitionState[];
  left_out: number;
} {
  const by_name = (a: PartitionState, b: PartitionState): number =>
    a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition;
  let shown = [...partitions];
  if (shown.length > kPartitionsMax) {
    shown.sort((a, b) => (b.lag ?? 0) - (a.lag ?? 0) || by_name(a, b));
    shown = shown.slice(0, kPartitionsMax);
  }
  return { shown: shown.sort(by_name), left_out: partitions.length - shown.length };
}

export function topic_facts(topics: TopicsState): Fact[] {
  const { group } = topics;
  const round_trip = topics.round_trip_seconds;
  const facts: Fact[] = [
    ["Messages read", format_number(topics.messages), format_count(topics.messages)],
    ["Behind", format_number(topics.lag), format_count(topics.lag)],
    [
      "Brokers",
      topics.brokers_up === 0 ? "none" : `${format_count(topics.brokers_up)} connected`,
      "",
      topics.brokers_up === 0,
    ],
  ];
  if (round_trip !== null) {
    const title = "How long the slowest broker takes to answer; with nothing new it waits for that";
    facts.push(["Fetch time", format_value(round_trip, "s"), title]);
  }
  if (!group) return facts;
  facts.push(
    ["Group", group.group],
    ["Instance", group.instance],
    [
      "Membership",
      group.generation === null ? "waiting for its turn" : `generation ${group.generation}`,
    ],
    ["Shared out anew", plural(group.rebalances, "time")],
    [
      "Blocks proposed",
      format_number(group.proposed_ranges),
      "Logged, and the group was asked whether they are ours",
    ],
    [
      "Discarded",
      group.discarded_ranges === 0
        ? "0"
        : `${format_number(group.discarded_ranges)} (${plural(group.discarded_events, "event")})`,
      "What was read here and others count: they had the partition by then",
      group.discarded_ranges > 0,
    ],
    [
      "Commits refused",
      format_number(group.refused_commits),
      "This instance was away for longer than its session",
      group.refused_commits > 0,
    ],
  );
  return facts;
}

export function sink_facts(sink: SinkState, now: number): Fact[] {
  const oldest = parse_time(sink.oldest_at);
  const rows = format_number(sink.outbox_rows);
  const facts: Fact[] = [
    ["Delivered", format_number(sink.sent), format_count(sink.sent)],
    [
      "Waiting",
      sink.outbox_rows > 0 ? `${rows} (${format_bytes(sink.outbox_bytes)})` : rows,
      format_count(sink.outbox_rows),
    ],
  ];
  if (sink.outbox_rows > 0 && Number.isFinite(oldest))
    facts.push(["Oldest", format_duration(now - oldest), format_utc(oldest)]);
  if (sink.transaction_seconds != null)
    facts.push(["Last transaction", format_value(sink.transaction_seconds, "s")]);
  if (sink.brokers_up > 0) facts.push(["Brokers", `${format_count(sink.brokers_up)} connected`]);
  if (sink.dropped > 0)
    facts.push(["Given up", format_number(sink.dropped), "The outbox was full", true]);
  if (sink.refused > 0)
    facts.push(["Too large", format_number(sink.refused), "Passed over; in the database", true]);
  return facts;
}

function make_end(): HTMLElement {
  return h(
    "li",
    { class: "end" },
    h(
      "p",
      { class: "end-head" },
      h("strong", { "data-part": "name" }),
      h("span", { class: "muted", "data-part": "about" }),
      h("span", { class: "state-dot", "data-part": "state" }),
    ),
    h("meter", { min: 0, max: 1, high: 0.8, optimum: 0, "data-part": "fill" }),
    h("dl", { class: "facts", "data-part": "facts" }),
    h("p", { class: "trouble small", "data-part": "trouble" }),
  );
}

function show_facts(list: HTMLElement, facts: readonly Fact[]): void {
  reconcile(
    list,
    facts,
    ([name]) => name,
    ([name]) => h("div", {}, h("dt", {}, name), h("dd", { class: "num" })),
    (box, [, value, title, bad]) => {
      const shown = box.querySelector("dd")!;
      set_text(shown, value);
      set_attribute(shown, "title", title || null);
      box.classList.toggle("is-bad", bad === true);
    },
  );
}

/** What was told last, how often there was something, and whether it goes on. */
export function show_trouble(
  line: HTMLElement,
  trouble: Trouble | null | undefined,
  errors: number,
  bad: boolean,
  now: number,
): void {
  line.hidden = !trouble;
  if (!trouble) return;
  const at = parse_time(trouble.at);
  const ago = now - at < 1500 ? "just now" : `${format_duration(now - at)} ago`;
  const advice = trouble.advice ? ` – ${trouble.advice}` : "";
  const before = bad ? "" : "Over; last trouble ";
  const count = errors > 1 ? `, ${plural(errors, "error")} so far` : "";
  set_text(line, `${before}${ago}${count}: ${trouble.error}${advice}`);
  set_attribute(line, "title", format_utc(at));
  line.classList.toggle("is-bad", bad);
}

/** Sources that read topics. False: there are none. */
export function show_topics(
  list: HTMLElement,
  sources: readonly SourceState[],
  now: number,
): boolean {
  const readers = sources.filter((source) => source.topics);
  reconcile(
    list,
    readers,
    (source) => source.source,
    () => {
      const end = make_end();
      part(end, "fill").remove();
      end.append(
        h(
          "details",
          { "data-part": "box" },
          h("summary", { "data-part": "summary" }),
          h(
            "div",
            { class: "scroll", tabindex: 0, role: "region", "aria-label": "Partitions" },
            h(
              "table",
              { class: "compact" },
              h(
                "thead",
                {},
                h(
                  "tr",
                  {},
                  h("th", { scope: "col" }, "Partition"),
                  h("th", { scope: "col", class: "num" }, "Next offset"),
                  h("th", { scope: "col", class: "num" }, "Behind"),
                  h("th", { scope: "col", class: "num" }, "Ahead"),
                ),
              ),
              h("tbody", { "data-part": "partitions" }),
            ),
          ),
          h("p", { class: "muted small", "data-part": "left-out" }),
        ),
      );
      return end;
    },
    (end, source) => update_topics(end, source, source.topics!, now),
  );
  return readers.length > 0;
}

function update_topics(
  end: HTMLElement,
  source: SourceState,
  topics: TopicsState,
  now: number,
): void {
  const tone = source_tone(source, now);
  set_text(part(end, "name"), source.source);
  set_text(part(end, "about"), `→ ${source.stream}`);
  const idle = source.state === "waiting" && topics.lag === 0 && tone === "good";
  const ill = source.state !== "failed" && tone === "bad";
  set_text(part(end, "state"), ill ? "in trouble" : idle ? "all read" : words(source.state));
  set_attribute(part(end, "state"), "data-tone", tone);
  show_facts(part(end, "facts"), topic_facts(topics));
  show_trouble(part(end, "trouble"), source.last_error, source.errors ?? 0, tone === "bad", now);
  const { shown, left_out } = partitions_shown(topics.partitions);
  const names = new Set(topics.partitions.map((partition) => partition.topic));
  part(end, "box").hidden = shown.length === 0;
  set_text(
    part(end, "summary"),
    `${plural(topics.partitions.length, "partition")} of ${
      names.size === 1 ? `topic ${[...names][0]}` : plural(names.size, "topic")
    }`,
  );
  const with_ahead = shown.some((partition) => partition.ahead_seconds !== null);
  end.querySelector("table")!.classList.toggle("no-ahead", !with_ahead);
  reconcile(
    part(end, "partitions"),
    shown,
    (partition) => `${partition.topic}/${partition.partition}`,
    (partition) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, `${partition.topic}/${partition.partition}`),
        h("td", { class: "num", "data-part": "next" }),
        h("td", { class: "num", "data-part": "lag" }),
        h("td", { class: "num", "data-part": "ahead" }),
      ),
    (row, partition) => {
      set_text(part(row, "next"), format_count(partition.next));
      // Of one that is held nobody asks where it ends.
      const at_least = partition.held ? "at least " : "";
      const { lag } = partition;
      set_text(part(row, "lag"), lag === null ? "not known" : at_least + format_count(lag));
      const ahead = partition.ahead_seconds;
      set_text(
        part(row, "ahead"),
        ahead === null
          ? ""
          : format_duration(ahead * 1000) + (partition.held ? ", waits for the others" : ""),
      );
    },
  );
  set_text(
    part(end, "left-out"),
    left_out > 0 ? `and ${format_count(left_out)} more, less far behind` : "",
  );
}

/** False: there are none. */
export function show_sinks(list: HTMLElement, sinks: readonly SinkState[], now: number): boolean {
  reconcile(list, sinks, (sink) => sink.sink, make_end, (end, sink) => {
    const tone = kSinkTones[sink.state] ?? "";
    set_text(part(end, "name"), sink.sink);
    set_text(part(end, "about"), `${sink.from} → topic ${sink.topic}`);
    set_text(part(end, "state"), kSinkWords[sink.state] ?? words(sink.state));
    set_attribute(part(end, "state"), "data-tone", tone);
    const most = sink.outbox_bytes_max ?? 0;
    const fill = most > 0 ? Math.min(1, sink.outbox_bytes / most) : 0;
    const meter = part<HTMLMeterElement>(end, "fill");
    if (meter.value !== fill) meter.value = fill;
    const full = sink.required ? "ingest waits when it is full" : "when it is full the oldest go";
    const text = `outbox: ${format_bytes(sink.outbox_bytes)} of ${format_bytes(most)}; ${full}`;
    set_attribute(meter, "title", text);
    set_attribute(meter, "aria-label", text);
    show_facts(part(end, "facts"), sink_facts(sink, now));
    show_trouble(part(end, "trouble"), sink.last_error, sink.errors, tone === "bad", now);
  });
  return sinks.length > 0;
}
