// The made-up data behind mock_server.mjs: three services, a resolved incident half an hour ago, and
// a surge of errors that begins when the engine does. Time is the wall clock's.

const kServices = ["checkout", "payments", "search"];
const kReplayMessages = 1000;

/** The same numbers for the same place each time, so that history does not change between loads. */
function noise(...seed) {
  let h = 2166136261;
  for (const c of seed.join("/")) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  h = Math.imul(h ^ (h >>> 15), 2246822507);
  h = Math.imul(h ^ (h >>> 13), 3266489909);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}

const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

/** Of option `more`: a second text, and a number that is long as money is. */
const kMore = [
  ["last_zone", "string", "last"],
  ["balance", "decimal(4)", "sum"],
];

export class MockEngine {
  constructor(options) {
    this.options = options;
    this.size_ms = options.window_s * 1000;
    this.started = Date.now();
    // Everything shifted back: what a replay of old files leaves behind.
    this.shift = options.past ? 2 * 365 * 86_400_000 : 0;
    this.surge_from = this.align(this.now()) - 2 * this.size_ms;
    this.past_spike = this.align(this.now()) - 34 * this.size_ms;
    this.gap_from = this.align(this.now()) - 22 * this.size_ms;
    this.clients = new Set();
    this.messages = [];
    this.next_id = 1;
    this.total = 128_400;
    this.surged = false;
    this.windows = [
      {
        window: "service_metrics",
        stream: "requests",
        size: this.size_text(),
        size_seconds: options.window_s,
        hop: null,
        gap: null,
        allowed_lateness: "10s",
        emit_every: "2s",
        keys: [{ name: "service", type: "string" }],
        metrics: [
          ["request_count", "int", "count"],
          ["error_count", "int", "count"],
          ["error_rate", "float", null],
          ["avg_latency_ms", "float", "avg"],
          ["p50_latency_ms", "float", "quantile"],
          ["p95_latency_ms", "float", "quantile"],
          ["p99_latency_ms", "float", "quantile"],
        ].map(([name, type, aggregate]) => ({ name, type, aggregate })),
      },
      {
        window: "endpoint_cost",
        stream: "requests",
        size: this.size_text(),
        size_seconds: options.window_s,
        hop: null,
        gap: null,
        allowed_lateness: "10s",
        emit_every: null,
        keys: [
          { name: "service", type: "string" },
          { name: "endpoint", type: "string" },
        ],
        metrics: [
          ["requests", "int", "count"],
          ["estimated_cost_usd", "decimal(4)", "sum"],
          ["received_bytes", "int", options.received_bytes],
          ["last_region", "string", "last"],
          ...(options.more ? kMore : []),
        ].map(([name, type, aggregate]) => ({ name, type, aggregate })),
      },
    ];
  }

  size_text() {
    const s = this.options.window_s;
    return s % 60 === 0 ? `${s / 60}m` : `${s}s`;
  }

  now() {
    return Date.now() - this.shift;
  }

  align(ms) {
    return Math.floor(ms / this.size_ms) * this.size_ms;
  }

  missing(start) {
    return start >= this.gap_from && start < this.gap_from + 3 * this.size_ms;
  }

  /** A row of service_metrics; an open window has as much of it as has passed. */
  service_row(service, start) {
    const part = Math.min(1, Math.max(0.02, (this.now() - start) / this.size_ms));
    const closed = start + this.size_ms <= this.now() - 10_000;
    const hour = (start / 3_600_000) % 24;
    const day = 1 + 0.45 * Math.sin(((hour - 9) / 24) * 2 * Math.PI);
    const base = { checkout: 180, payments: 120, search: 310 }[service] * day;
    const count = Math.max(1, Math.round(base * (0.9 + 0.2 * noise(service, start, "n")) * part));
    let rate = 0.008 + 0.012 * noise(service, start, "e");
    if (service === "payments" && start >= this.surge_from)
      rate = 0.19 + 0.07 * noise(start, "surge");
    const errors = Math.round(count * rate);
    let avg =
      { checkout: 84, payments: 132, search: 38 }[service] *
      (0.88 + 0.24 * noise(service, start, "l"));
    if (service === "search" && Math.abs(start - this.past_spike) <= this.size_ms) avg *= 7;
    return {
      window_start: iso(start),
      window_end: iso(start + this.size_ms),
      closed,
      revision: 0,
      service,
      request_count: count,
      error_count: errors,
      error_rate: errors / count,
      avg_latency_ms: avg,
      p50_latency_ms: avg * 0.82,
      p95_latency_ms: avg * (2.1 + 0.4 * noise(service, start, "95")),
      p99_latency_ms: avg * (3.2 + 1.2 * noise(service, start, "99")),
    };
  }

  endpoint_row(at, start) {
    const part = Math.min(1, Math.max(0.02, (this.now() - start) / this.size_ms));
    const requests = Math.round((4000 / (at + 2)) * (0.7 + 0.6 * noise(at, start)) * part);
    return {
      window_start: iso(start),
      window_end: iso(start + this.size_ms),
      closed: start + this.size_ms <= this.now() - 10_000,
      revision: 0,
      service: at === this.options.groups - 1 ? "__overflow__" : kServices[at % 3],
      endpoint: at === this.options.groups - 1 ? "__overflow__" : `/api/v2/resource-${at}/items`,
      requests,
      estimated_cost_usd: (requests * 0.0004).toFixed(4),
      received_bytes: requests * 4200,
      last_region: "eu-central-1",
      ...(this.options.more ? { last_zone: `zone-${at}`, balance: "-98765431279.4321" } : {}),
    };
  }

  rows_at(name, start, only = null) {
    if (this.options.empty || this.missing(start)) return [];
    if (this.options.young && start < this.align(this.started)) return [];
    if (name === "service_metrics")
      return kServices.map((service) => this.service_row(service, start));
    const groups = only ?? Array.from({ length: this.options.groups }, (_, at) => at);
    return groups
      .filter((at) => at < 20 || noise(at, start, "there") > 0.5)
      .map((at) => this.endpoint_row(at, start));
  }

  /** What it has by the hour since long ago, of one service. */
  merged_rows() {
    const newest = Math.floor(this.now() / 3_600_000) * 3_600_000;
    return Array.from({ length: 72 }, (_, at) => ({
      ...this.service_row("search", newest - at * 3_600_000),
      window_end: iso(newest - (at - 1) * 3_600_000),
      closed: at > 0,
      request_count: 1000 + at,
    }));
  }

  window_rows(name, query) {
    const limit = Number(query.get("limit") ?? 1000);
    const windows = Number(query.get("windows") ?? 1e9);
    const newest = this.align(this.now());
    const from = query.has("from") ? Date.parse(query.get("from")) : newest - 86_400_000;
    const keys = this.windows.find((window) => window.window === name).keys.map((key) => key.name);
    const endpoint = /resource-(\d+)/.exec(query.get("endpoint") ?? "");
    const only = endpoint ? [Number(endpoint[1])] : null;
    const rows = [];
    let seen = 0;
    for (
      let start = newest;
      start >= from && seen < windows && rows.length < limit;
      start -= this.size_ms
    ) {
      const found = this.rows_at(name, start, only).filter((row) =>
        keys.every((key) => !query.has(key) || query.get(key) === row[key]),
      );
      if (found.length > 0) ++seen;
      rows.push(...found);
    }
    return rows.slice(0, limit);
  }

  anomaly(rule, service, start, fields) {
    return {
      id: `${rule}-${service}-${start}`,
      rule,
      anomaly_type: rule,
      window: "service_metrics",
      detected_at: iso(start + this.size_ms),
      window_start: iso(start),
      window_end: iso(start + this.size_ms),
      keys: { service },
      resolved: false,
      resolved_at: null,
      ...fields,
    };
  }

  anomalies() {
    if (this.options.empty) return [];
    const list = [];
    for (const start of [this.past_spike, this.past_spike + this.size_ms]) {
      const row = this.service_row("search", start);
      list.push(
        this.anomaly("latency_spike", "search", start, {
          severity: "medium",
          metric_name: "p95_latency_ms",
          metric_value: row.p95_latency_ms,
          baseline_value: 82,
          threshold_value: 400,
          resolved: true,
          resolved_at: iso(start + 3 * this.size_ms),
          description: "p95 latency of search is over twice its target of 200 ms",
        }),
      );
    }
    if (!this.surged) return list;
    for (
      let start = this.surge_from;
      start + this.size_ms <= this.now() - 10_000;
      start += this.size_ms
    ) {
      const row = this.service_row("payments", start);
      list.push(
        this.anomaly("error_surge", "payments", start, {
          severity: "high",
          metric_name: "error_rate",
          metric_value: row.error_rate,
          baseline_value: 0.0137,
          threshold_value: 0.0411,
          description: "error rate of payments is over three times its mean of the last hour",
        }),
      );
    }
    return list.reverse();
  }

  incidents() {
    if (this.options.empty) return [];
    const list = [];
    const surge = this.anomalies().filter((anomaly) => anomaly.rule === "error_surge");
    if (surge.length > 0) {
      list.push({
        id: "inc-2",
        keys: { service: "payments" },
        severity: "high",
        status: "open",
        started_at: iso(this.surge_from),
        last_seen_at: surge[0].window_end,
        resolved_at: null,
        title: "Error surge on payments",
        explanation:
          "Since the window above, about one request in five to payments fails; in the hour before " +
          "it was one in 73. Nearly all of the failures are on /payments/charge; the other services are as usual.",
        evidence: [
          "error_rate 21.4 % against 1.37 % on average over the last 60 windows (15.6 times)",
          "/payments/charge: 24 of 61 requests failed, before 1 of 58",
          "/payments/refund: unchanged",
          "p95 latency of payments: 287 ms, before 284 ms",
          "<b>markup in data stays text</b>",
        ],
        anomaly_count: surge.length,
        anomaly_ids: surge.map((anomaly) => anomaly.id),
        narrated_by: "template",
        revision: surge.length,
      });
    }
    list.push({
      id: "inc-1",
      keys: { service: "search" },
      severity: "medium",
      status: "resolved",
      started_at: iso(this.past_spike),
      last_seen_at: iso(this.past_spike + 2 * this.size_ms),
      resolved_at: iso(this.past_spike + 4 * this.size_ms),
      title: "Latency spike on search",
      explanation:
        "For two windows the p95 latency of search was over 400 ms, twice its target. Its error rate did not move.",
      evidence: ["p95_latency_ms 590 against 82 on average", "request_count as usual"],
      anomaly_count: 2,
      anomaly_ids: [],
      narrated_by: "template",
      revision: 3,
    });
    return list;
  }

  health() {
    const at = iso(Date.now() - 20_000);
    const check = (name, of, state, detail, advice = "") => ({
      check: name,
      of,
      state,
      value: null,
      bound: null,
      unit: "",
      detail,
      advice,
      since: iso(Date.now() - 7_380_000),
      checked_at: at,
    });
    if (this.options.empty) {
      const rows = [check("freshness", "requests", "no_data", "it has never had an event")];
      return { state: "no_data", quick_at: at, deep_at: null, rows, quality: [] };
    }
    const rows = [
      check("engine", "", "ok", "it takes events"),
      check("freshness", "requests", "ok", "the newest event is 2 seconds old"),
      check("detection", "", "ok", "it is alive: 1,200 records so far"),
      check("disk", "", "ok", "68.6 GiB of 252.0 GiB are free at /var/lib/streamobs"),
      check("late", "refunds", "no_data", "12 events came since the check before: too few to judge"),
    ];
    if (this.options.sick) {
      const html = "<b>payments</b>";
      rows.unshift(
        check("freshness", html, "failing", "the newest event is 7 minutes old", "See what sends it"),
        check("nulls", "requests", "warning", "null or absent: user in 41 % (before: 0 %)"),
      );
    }
    return {
      state: this.options.sick ? "failing" : "ok",
      quick_at: at,
      deep_at: iso(Date.now() - 3_600_000),
      rows,
      quality: [
        {
          stream: "requests",
          from: iso(Date.now() - 7_200_000),
          to: iso(Date.now() - 3_600_000),
          events: 128_400,
          fields: [
            {
              field: "service",
              null_share: 0,
              null_share_before: 0,
              outlier_share: null,
              usual_from: null,
              usual_to: null,
            },
            {
              field: "latency_ms",
              null_share: 0.0123,
              null_share_before: null,
              outlier_share: 0.034,
              usual_from: 12.5,
              usual_to: 310,
            },
          ],
        },
      ],
    };
  }

  pipeline() {
    const n = this.options.empty ? 0 : this.total;
    const seconds = (Date.now() - this.started) / 1000;
    const stage = (name, items, unit, fill, errors = 0) => ({
      stage: name,
      items,
      unit,
      fill,
      errors,
    });
    return {
      version: "0.1.0",
      started_at: iso(this.started - 7_380_000),
      uptime_seconds: 7380 + Math.floor(seconds),
      threads: 2,
      lanes: 2,
      rows: [
        stage("source", n + 21, "events", 0.02),
        stage("decode", n + 21, "events", 0.12, 18),
        stage("sequence", Math.round(n / 40), "batches", 0.05),
        stage("window", n, "events", 0.31),
        stage("merge", Math.round(n / 190), "windows", 0),
        stage("detect", Math.round(n / 95), "rows", 0),
        stage("narrate", 3, "incidents", 0),
        stage("store", Math.round(n / 88), "rows", 0.84),
        stage("serve", Math.round(n / 70), "messages", 0.01),
      ],
      sources: [
        {
          source: "demo",
          type: "demo",
          stream: "requests",
          state: "running",
          events: n,
          detail: "10 events/s",
        },
        { source: "http", type: "http", stream: "", state: "listening", events: 21, detail: "" },
        ...(this.options.kafka ? this.topics() : []),
      ],
      sinks: this.options.kafka ? this.sinks() : [],
      rules_configured: 3,
      rules: kServices.flatMap((key) => [
        {
          rule: "error_surge",
          window: "service_metrics",
          key,
          history_windows: this.options.empty ? 3 : 60,
          warmup_windows: 5,
          phase: this.options.empty
            ? "warming_up"
            : key === "payments" && this.surged
              ? "firing"
              : "ok",
          last_window_end: null,
        },
        {
          rule: "latency_spike",
          window: "service_metrics",
          key,
          phase: "ok",
          history_windows: 0,
          warmup_windows: 0,
          last_window_end: null,
        },
        {
          rule: "traffic_drop",
          window: "service_metrics",
          key,
          phase: "warming_up",
          history_windows: 3,
          warmup_windows: 5,
          last_window_end: null,
        },
      ]),
      store: {
        path: "data/streamobs.db",
        bytes: 18_432_000,
        rows_written: 21_000,
        outbox: 0,
        last_commit_at: iso(Date.now()),
      },
    };
  }

  /** A source in a consumer group, one of many partitions that lacks its brokers, a failed file. */
  topics() {
    const source = (name, state, more) => ({
      source: name,
      type: "kafka",
      stream: "requests",
      state,
      events: 0,
      detail: "",
      errors: 0,
      last_error: null,
      topics: null,
      ...more,
    });
    const partition = (topic, number, lag, more) => ({
      topic,
      partition: number,
      next: 1000 * number,
      lag,
      held: false,
      ahead_seconds: null,
      ...more,
    });
    const topics = { messages: 1234567, lag: 0, brokers_up: 3, round_trip_seconds: 0.0042 };
    return [
      source("shared", "waiting", {
        errors: 3,
        last_error: {
          at: iso(Date.now() - 7_200_000),
          error: "a commit: Broker: Coordinator not available",
          advice: "",
        },
        topics: {
          ...topics,
          partitions: [
            partition("orders", 0, 0, { ahead_seconds: 0 }),
            partition("orders", 1, 12, { held: true, ahead_seconds: 840 }),
            partition("orders", 2, null),
          ],
          group: {
            group: "readers",
            instance: "laptop-1",
            state: "member",
            generation: 7,
            rebalances: 2,
            proposed_ranges: 5120,
            discarded_ranges: 3,
            discarded_events: 1400,
            refused_commits: 2,
          },
        },
      }),
      source("wide", "running", {
        errors: 41,
        last_error: {
          at: iso(Date.now() - 3_000),
          error: "10.0.0.7:9092/7: <b>Connect</b> to ipv4#10.0.0.7:9092 failed: Connection refused",
          advice: "are the brokers up, and is brokers right?",
        },
        topics: {
          ...topics,
          lag: 4_560_000,
          brokers_up: 0,
          round_trip_seconds: null,
          partitions: Array.from({ length: 100 }, (_, i) => partition("clicks", i, 900 * i)),
          group: null,
        },
      }),
      source("lines", "failed", {
        type: "file",
        last_error: { at: iso(Date.now()), error: "cannot open /nowhere/input.ndjson", advice: "" },
      }),
    ];
  }

  sinks() {
    const sink = (name, state, more) => ({
      sink: name,
      type: "kafka",
      from: "service_metrics",
      topic: "results",
      state,
      sent: 51200,
      dropped: 0,
      outbox_rows: 0,
      outbox_bytes: 0,
      oldest_at: null,
      outbox_bytes_max: 268_435_456,
      required: false,
      refused: 0,
      brokers_up: 3,
      transaction_seconds: 0.0123,
      errors: 0,
      last_error: null,
      ...more,
    });
    const waiting = (seconds) => ({
      outbox_rows: 20_480,
      outbox_bytes: 241_000_000,
      oldest_at: iso(Date.now() - 1000 * seconds),
      brokers_up: 0,
    });
    return [
      sink("works", "waiting", {
        errors: 1,
        last_error: {
          at: iso(Date.now() - 300_000),
          error: "Local: This instance has been fenced by a newer instance",
          advice: "the producer was fenced; it has looked what was delivered, and gone on",
        },
      }),
      sink("away", "retrying", {
        ...waiting(754),
        dropped: 17,
        transaction_seconds: null,
        errors: 96,
        last_error: {
          at: iso(Date.now() - 4_000),
          error: "the brokers cannot be asked for their topics: Local: Broker transport failure",
          advice: "are the brokers up, and is brokers of the sink right?",
        },
      }),
      sink("twin", "stopped", {
        ...waiting(7540),
        required: true,
        refused: 1,
        errors: 1,
        last_error: {
          at: iso(Date.now() - 7_540_000),
          error: "somebody else has delivered for the same log and sink",
          advice: "",
        },
      }),
    ];
  }

  dead_letters() {
    if (this.options.empty) return { rows: [], counts: [] };
    const letter = (id, reason, detail, payload) => ({
      id,
      reason,
      detail,
      stream: "requests",
      source: "http",
      origin: "127.0.0.1",
      position: id * 17,
      place: `request from 127.0.0.1, index ${id * 17}`,
      window: null,
      received_at: iso(this.now() - id * 47_000),
      payload,
    });
    return {
      rows: [
        letter(
          1,
          "wrong_type",
          'latency_ms: expected float, got "fast"',
          '{"event_time":"2026-11-20T21:49:00Z","service":"checkout","latency_ms":"fast","status_code":200}',
        ),
        letter(
          2,
          "not_json",
          "unexpected character at byte 41",
          '{"event_time":"2026-11-20T21:48:13Z","servi',
        ),
        letter(
          3,
          "late",
          "its window was closed 34 s ago",
          '{"event_time":"2026-11-20T21:31:00Z","service":"search"}',
        ),
        letter(
          4,
          "missing_field",
          "event_time is required",
          '{"service":"<img src=x onerror=alert(1)>","endpoint":"/q"}',
        ),
      ],
      counts: [
        ["wrong_type", 11],
        ["not_json", 4],
        ["late", 3],
        ["missing_field", 3],
      ].map(([reason, count]) => ({ stream: "requests", reason, count })),
    };
  }

  streams() {
    const n = this.options.empty ? 0 : this.total;
    return [
      {
        stream: "requests",
        time_field: "event_time",
        fields: [],
        paths: ["/v1/events/requests"],
        received: n + 21,
        accepted: n,
        rejected: this.options.empty ? {} : { wrong_type: 11, not_json: 4, missing_field: 3 },
        watermark: this.options.empty ? null : iso(this.now() - 1200),
        newest_event_at: this.options.empty ? null : iso(this.now() - 800),
        idle: false,
      },
    ];
  }

  send(event, data) {
    const id = this.next_id++;
    const message = {
      event,
      data,
      text: `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`,
      id,
    };
    this.messages.push(message);
    if (this.messages.length > kReplayMessages) this.messages.shift();
    for (const client of this.clients) client.send(message);
  }

  /** Cuts all live readers off, as a restart would. */
  drop() {
    for (const client of this.clients) client.end();
  }

  /** One second of the engine's life. */
  tick(count) {
    const rate = this.options.empty ? 0 : 10 + 2 * noise(count, "rate");
    this.total += Math.round(rate);
    this.send("pipeline", {
      events_per_second: rate,
      events_total: this.options.empty ? 0 : this.total,
      rejected_total: this.options.empty ? 0 : this.options.more ? 2 : 18,
      late_total: this.options.empty ? 0 : 3,
      watermark_lag_seconds: this.options.empty ? null : 0.9 + 0.6 * noise(count, "lag"),
      windows_open: this.options.empty ? 0 : 3,
    });
    if (this.options.empty) return;
    if (count % 2 === 0) {
      const newest = this.align(this.now());
      for (const { window } of this.windows) {
        const rows = [newest, newest - this.size_ms].flatMap((start) =>
          this.rows_at(window, start),
        );
        this.send("window", { window, rows });
      }
    }
    if (count >= 5 && !this.surged) {
      this.surged = true;
      for (const anomaly of this.anomalies().filter((a) => a.rule === "error_surge"))
        this.send("anomaly", anomaly);
      this.send("incident", this.incidents()[0]);
    }
  }
}
