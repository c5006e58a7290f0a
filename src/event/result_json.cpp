#include "event/result_json.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>

#include "base/utf8.h"

namespace streamobs {

namespace {

/// Names that an anomaly's own fields have in the API.
bool is_anomaly_field(std::string_view name) {
  static constexpr std::string_view kFields[] = {
      "id",           "rule",           "anomaly_type",    "window",      "severity",
      "detected_at",  "window_start",   "window_end",      "keys",        "metric_name",
      "metric_value", "baseline_value", "threshold_value", "description", "resolved",
      "resolved_at",  "revision",       "withdrawn"};
  return std::find(std::begin(kFields), std::end(kFields), name) != std::end(kFields);
}

void write_keys(JsonWriter& json, const std::vector<NamedValue>& keys) {
  json.key("keys").begin_object();
  for (const NamedValue& key : keys) {
    json.key(key.name);
    key.value.write_json(json);
  }
  json.end_object();
}

}  // namespace

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

void write_strings(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

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
  json.field("revision", static_cast<std::uint64_t>(anomaly.revision));
  json.field("withdrawn", anomaly.withdrawn).end_object();
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

void write_members(JsonWriter& json, const DeadLetter& letter) {
  json.field("reason", letter.reason).field("detail", letter.detail);
  json.field("stream", letter.stream).field("source", letter.source);
  json.field("origin", letter.origin).field("position", letter.position);
  json.field("place", letter.place()).key("window");
  if (letter.window.empty()) {
    json.null();
  } else {
    json.value(letter.window);
  }
  json.key("received_at").time(letter.received_at);
  json.field("payload", valid_utf8(letter.payload));
}

}  // namespace streamobs
