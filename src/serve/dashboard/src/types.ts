// The answers of the HTTP API, as docs/api.md has them.

export type Scalar = string | number | boolean | null;

export interface Column {
  name: string;
  type: string;
}

export interface Metric extends Column {
  /** What it is of the window's events: "count", "max", …; null: computed of others. */
  aggregate: string | null;
}

export interface WindowInfo {
  window: string;
  stream: string;
  size: string;
  size_seconds: number;
  /** Not null: a new window begins each so often. */
  hop: string | null;
  /** Not null: sessions. */
  gap: string | null;
  keys: Column[];
  metrics: Metric[];
}

/** window_start, window_end, closed, revision, and a member for each key and metric. */
export type WindowRow = Record<string, Scalar>;

/** Rows of a window: "raw" as they closed, "hourly" and "daily" those merged to longer ones. */
export interface WindowAnswer {
  rows: WindowRow[];
  resolution: string[];
}

export type Severity = "low" | "medium" | "high" | "critical";

export interface Anomaly {
  id: string;
  rule: string;
  anomaly_type: string;
  window: string;
  severity: Severity;
  detected_at: string;
  window_start: string;
  window_end: string;
  keys: Record<string, Scalar>;
  metric_name: string;
  metric_value: number | null;
  baseline_value: number | null;
  threshold_value: number | null;
  description: string;
  resolved: boolean;
  resolved_at: string | null;
  /** Not said by engines before this page's, like `withdrawn`. */
  revision?: number;
  withdrawn?: boolean;
}

export interface Incident {
  id: string;
  keys: Record<string, Scalar>;
  severity: Severity;
  status: "open" | "resolved";
  started_at: string;
  last_seen_at: string;
  resolved_at: string | null;
  title: string;
  explanation: string;
  evidence: string[];
  anomaly_count: number;
  anomaly_ids: string[];
  narrated_by: string;
  revision: number;
}

export interface DeadLetter {
  id: string | number;
  reason: string;
  detail: string;
  stream: string;
  source: string;
  origin: string;
  position: Scalar;
  /** Where it came from, in words. */
  place: string;
  window: string | null;
  received_at: string;
  payload: string;
}

export interface DeadLetters {
  rows: DeadLetter[];
  counts: { stream: string; reason: string; count: number }[];
}

export interface StageState {
  stage: string;
  items: number;
  unit: string;
  fill: number | null;
  errors: number;
}

/** What a source or a sink has told last; it tells it again while it goes on. */
export interface Trouble {
  at: string;
  error: string;
  advice: string;
}

export interface PartitionState {
  topic: string;
  partition: number;
  next: number;
  lag: number | null;
  held: boolean;
  ahead_seconds: number | null;
}

export interface TopicsState {
  messages: number;
  lag: number;
  brokers_up: number;
  round_trip_seconds: number | null;
  partitions: PartitionState[];
  group: {
    group: string;
    instance: string;
    state: string;
    generation: number | null;
    rebalances: number;
    proposed_ranges: number;
    discarded_ranges: number;
    discarded_events: number;
    refused_commits: number;
  } | null;
}

/** What is optional is not said by engines before this page's. */
export interface SourceState {
  source: string;
  type: string;
  stream: string;
  state: string;
  events: number;
  detail: string;
  errors?: number;
  last_error?: Trouble | null;
  topics?: TopicsState | null;
}

export interface SinkState {
  sink: string;
  type: string;
  from: string;
  topic: string;
  state: string;
  sent: number;
  dropped: number;
  outbox_rows: number;
  outbox_bytes: number;
  oldest_at: string | null;
  outbox_bytes_max: number;
  required: boolean;
  refused: number;
  brokers_up: number;
  transaction_seconds: number | null;
  errors: number;
  last_error: Trouble | null;
}

export interface RuleState {
  rule: string;
  window: string;
  key: string;
  phase: string;
  history_windows: number;
  warmup_windows: number;
  last_window_end: string | null;
}

export interface ConfigState {
  file: string;
  since: string;
  reloads: number;
  changes: { what: string; section: string; name: string | null }[];
  refused: { at: string; error: string } | null;
}

/** `rules_configured` and `config` are not said by engines before this page's. */
export interface Pipeline {
  version: string;
  started_at: string;
  uptime_seconds: number;
  config?: ConfigState;
  threads: number;
  lanes: number;
  rows: StageState[];
  sources: SourceState[];
  sinks?: SinkState[];
  rules: RuleState[];
  rules_configured?: number;
  store: {
    path: string;
    bytes: number;
    rows_written: number;
    outbox: number;
    last_commit_at: string | null;
  };
}

export interface StreamState {
  stream: string;
  paths: string[];
  received: number;
  accepted: number;
  rejected: Record<string, number>;
  watermark: string | null;
  newest_event_at: string | null;
  idle: boolean;
}

export type CheckState = "ok" | "warning" | "failing" | "no_data";

export interface CheckResult {
  check: string;
  of: string;
  state: CheckState;
  value: number | null;
  bound: number | null;
  unit: string;
  detail: string;
  advice: string;
  since: string | null;
  checked_at: string;
}

export interface FieldQuality {
  field: string;
  null_share: number;
  null_share_before: number | null;
  outlier_share: number | null;
  usual_from: number | null;
  usual_to: number | null;
}

export interface StreamQuality {
  stream: string;
  from: string;
  to: string;
  events: number;
  fields: FieldQuality[];
}

/** The worst checks first. */
export interface HealthReport {
  state: CheckState;
  quick_at: string | null;
  deep_at: string | null;
  rows: CheckResult[];
  quality: StreamQuality[];
}

/** The live stream's message of every second. */
export interface Pulse {
  events_per_second: number;
  events_total: number;
  rejected_total: number;
  late_total: number;
  watermark_lag_seconds: number | null;
  windows_open: number;
}
