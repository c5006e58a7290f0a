#include "serve/json.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "base/time_format.h"
#include "serve/text.h"
#include "serve/window_query.h"

namespace streamobs::serve {

namespace {

/// Names that an anomaly's own fields have in the API.
bool is_anomaly_field(std::string_view name) {
  static constexpr std::string_view kFields[] = {
      "id",           "rule",           "anomaly_type",    "window",      "severity",
      "detected_at",  "window_start",   "window_end",      "keys",        "metric_name",
      "metric_value", "baseline_value", "threshold_value", "description", "resolved",
      "resolved_at"};
  return std::find(std::begin(kFields), std::end(kFields), name) != std::end(kFields);
}

void time_or_null(JsonWriter& json, std::string_view name, const std::optional<Timestamp>& time) {
  json.key(name);
  if (time) {
    json.time(*time);
  } else {
    json.null();
  }
}

void number_or_null(JsonWriter& json, std::string_view name, const std::optional<double>& number) {
  json.key(name);
  if (number) {
    json.value(*number);
  } else {
    json.null();
  }
}

void write_keys(JsonWriter& json, const std::vector<NamedValue>& keys) {
  json.key("keys").begin_object();
  for (const NamedValue& key : keys) {
    json.key(key.name);
    key.value.write_json(json);
  }
  json.end_object();
}

void write_strings(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

void write_columns(JsonWriter& json, std::string_view name,
                   const std::vector<ResultColumn>& columns) {
  json.key(name).begin_array();
  for (const ResultColumn& column : columns) {
    json.begin_object().field("name", column.name).field("type", to_text(column.type)).end_object();
  }
  json.end_array();
}

}  // namespace

void write(JsonWriter& json, const WindowSchema& schema, const WindowRow& row) {
  json.begin_object().key("window_start").time(row.start).key("window_end").time(row.end);
  json.field("closed", row.closed).field("revision", static_cast<std::uint64_t>(row.revision));
  for (std::size_t i = 0; i < schema.keys.size() && i < row.keys.size(); ++i) {
    json.key(schema.keys[i].name);
    if (row.overflow) {
      json.value(kOverflowKey);
    } else {
      row.keys[i].write_json(json);
    }
  }
  for (std::size_t i = 0; i < schema.metrics.size() && i < row.metrics.size(); ++i) {
    json.key(schema.metrics[i].name);
    row.metrics[i].write_json(json);
  }
  json.end_object();
}

void write(JsonWriter& json, const Anomaly& anomaly) {
  json.begin_object().field("id", anomaly.id).field("rule", anomaly.rule);
  json.field("anomaly_type", anomaly.rule).field("window", anomaly.window);
  json.field("severity", to_text(anomaly.severity));
  json.key("detected_at").time(anomaly.detected_at);
  json.key("window_start").time(anomaly.window_start).key("window_end").time(anomaly.window_end);
  write_keys(json, anomaly.keys);
  // Beside the object also flat, as in rows of windows and in the view, where no name is in the
  // way.
  for (const NamedValue& key : anomaly.keys) {
    if (is_anomaly_field(key.name)) continue;
    json.key(key.name);
    key.value.write_json(json);
  }
  json.field("metric_name", anomaly.metric_name);
  number_or_null(json, "metric_value", anomaly.metric_value);
  number_or_null(json, "baseline_value", anomaly.baseline_value);
  number_or_null(json, "threshold_value", anomaly.threshold_value);
  json.field("description", anomaly.description).field("resolved", anomaly.resolved);
  time_or_null(json, "resolved_at", anomaly.resolved_at);
  json.end_object();
}

void write(JsonWriter& json, const Incident& incident) {
  json.begin_object().field("id", incident.id);
  write_keys(json, incident.keys);
  json.field("severity", to_text(incident.severity));
  json.field("status", incident.resolved_at ? "resolved" : "open");
  json.key("started_at").time(incident.started_at).key("last_seen_at").time(incident.last_seen_at);
  time_or_null(json, "resolved_at", incident.resolved_at);
  json.field("title", incident.title).field("explanation", incident.explanation);
  write_strings(json, "evidence", incident.evidence);
  json.field("anomaly_count", incident.anomaly_count);
  write_strings(json, "anomaly_ids", incident.anomaly_ids);
  json.field("narrated_by", incident.narrated_by);
  json.field("revision", static_cast<std::uint64_t>(incident.revision)).end_object();
}

void write(JsonWriter& json, const store::StoredDeadLetter& stored) {
  const DeadLetter& letter = stored.letter;
  json.begin_object().field("id", static_cast<std::int64_t>(stored.id));
  json.field("reason", letter.reason).field("detail", letter.detail);
  json.field("stream", letter.stream).field("source", letter.source);
  json.field("origin", letter.origin).field("position", letter.position);
  json.key("window");
  if (letter.window.empty()) {
    json.null();
  } else {
    json.value(letter.window);
  }
  json.key("received_at").time(letter.received_at).key("replayed_at");
  if (letter.replayed_at == 0) {
    json.null();
  } else {
    json.time(letter.replayed_at);
  }
  json.field("payload", valid_utf8(letter.payload)).end_object();
}

void write(JsonWriter& json, const ReplayReport& report) {
  json.begin_object().field("accepted", report.accepted).field("rejected", report.rejected);
  json.field("repeated", report.repeated).field("passed_over", report.passed_over);
  json.field("more", report.more).key("stopped");
  if (report.stopped.empty()) {
    json.null();
  } else {
    json.value(report.stopped);
  }
  json.key("errors").begin_array();
  for (const ReplayReport::Failure& failure : report.failures) {
    json.begin_object().field("id", failure.id).key("reason");
    if (failure.reason.empty()) {
      json.null();
    } else {
      json.value(failure.reason);
    }
    json.field("detail", failure.detail).end_object();
  }
  json.end_array().end_object();
}

void write(JsonWriter& json, const StreamInfo& info, const StreamState& state) {
  json.begin_object().field("stream", info.stream).field("time_field", info.time_field);
  json.key("fields").begin_array();
  for (const Field& field : info.fields) {
    json.begin_object().field("name", field.name).field("type", to_text(field.type));
    json.field("required", field.required).end_object();
  }
  json.end_array();
  write_strings(json, "paths", info.paths);
  json.field("received", state.received).field("accepted", state.accepted);
  json.key("rejected").begin_object();
  for (const auto& [reason, count] : state.rejected) json.field(reason, count);
  json.end_object();
  time_or_null(json, "watermark", state.watermark);
  time_or_null(json, "newest_event_at", state.newest_event_at);
  json.field("idle", state.idle).end_object();
}

void write(JsonWriter& json, const WindowInfo& info) {
  const WindowSchema& schema = *info.schema;
  json.begin_object().field("window", schema.window).field("stream", schema.stream);
  json.field("size", to_text(schema.size));
  json.field("size_seconds", static_cast<double>(schema.size) / kSecond);
  json.field("allowed_lateness", to_text(info.allowed_lateness));
  json.field("emit_every", to_text(info.emit_every));
  write_columns(json, "keys", schema.keys);
  write_columns(json, "metrics", schema.metrics);
  write_strings(json, "sketches", sketches_of(schema));
  json.end_object();
}

void write(JsonWriter& json, const Pulse& pulse) {
  json.begin_object().field("events_per_second", pulse.events_per_second);
  json.field("events_total", pulse.events_total).field("rejected_total", pulse.rejected_total);
  json.field("late_total", pulse.late_total);
  number_or_null(json, "watermark_lag_seconds", pulse.watermark_lag_seconds);
  json.field("windows_open", pulse.windows_open).end_object();
}

void write_members(JsonWriter& json, const PipelineState& state) {
  json.field("threads", static_cast<std::uint64_t>(state.threads));
  json.field("lanes", static_cast<std::uint64_t>(state.lanes));
  json.key("rows").begin_array();
  for (const StageState& stage : state.stages) {
    json.begin_object().field("stage", stage.stage).field("items", stage.items);
    json.field("unit", stage.unit);
    number_or_null(json, "fill", stage.fill);
    json.field("errors", stage.errors).end_object();
  }
  json.end_array().key("sources").begin_array();
  for (const SourceState& source : state.sources) {
    json.begin_object().field("source", source.source).field("type", source.type);
    json.field("stream", source.stream).field("state", source.state);
    json.field("events", source.events).field("detail", source.detail).end_object();
  }
  json.end_array().key("rules").begin_array();
  for (const RuleState& rule : state.rules) {
    json.begin_object().field("rule", rule.rule).field("window", rule.window);
    json.field("key", rule.key).field("phase", rule.phase);
    json.field("history_windows", rule.history_windows);
    json.field("warmup_windows", rule.warmup_windows);
    time_or_null(json, "last_window_end", rule.last_window_end);
    json.end_object();
  }
  json.end_array();
  json.field("rules_configured", static_cast<std::uint64_t>(state.rules_configured));
  json.key("store").begin_object();
  json.field("path", state.store.path).field("bytes", state.store.bytes);
  json.field("rows_written", state.store.rows_written).field("outbox", state.store.outbox);
  time_or_null(json, "last_commit_at", state.store.last_commit_at);
  json.end_object();
}

}  // namespace streamobs::serve
