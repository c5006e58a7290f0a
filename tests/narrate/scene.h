// A small world for the narrator: services and their endpoints, minute by minute, anomalies made by
// hand, and what the narrator says to them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "event/record.h"
#include "narrate/narrator.h"
#include "support/catch.h"

namespace streamobs::narrate {

constexpr Timestamp kBase = 1'704'803'640 * kSecond;  // 2024-01-09T12:34:00Z

inline std::shared_ptr<const WindowSchema> schema_of(const std::string& window,
                                                     std::vector<std::string> keys) {
  auto schema = std::make_shared<WindowSchema>();
  schema->window = window;
  schema->stream = "requests";
  schema->size = kMinute;
  for (std::string& key : keys) schema->keys.push_back({std::move(key), {Kind::string, 0}});
  schema->metrics = {{"request_count", {Kind::integer, 0}},
                     {"error_rate", {Kind::floating, 0}},
                     {"p95_latency_ms", {Kind::floating, 0}}};
  return schema;
}

inline const auto kServices = schema_of("service_metrics", {"service"});
inline const auto kEndpoints = schema_of("endpoint_metrics", {"service", "endpoint"});

struct Row {
  std::vector<std::string> keys;
  double error_rate = 0.05;
  std::int64_t requests = 100;
  double p95 = 100;
};

inline Record rows(const std::shared_ptr<const WindowSchema>& schema, int minute,
                   const std::vector<Row>& given) {
  auto batch = std::make_shared<WindowBatch>();
  batch->schema = schema;
  for (const Row& r : given) {
    WindowRow row;
    row.start = kBase + minute * kMinute;
    row.end = row.start + kMinute;
    row.closed = true;
    for (const std::string& key : r.keys) row.keys.push_back(Value::of_string(key));
    row.metrics = {Value::of_int(r.requests), Value::of_float(r.error_rate),
                   Value::of_float(r.p95)};
    batch->rows.push_back(std::move(row));
    batch->watermark = row.end;
  }
  batch->watermark = kBase + (minute + 1) * kMinute;
  batch->position = static_cast<std::uint64_t>(batch->watermark);
  return WindowBatchPtr(std::move(batch));
}

struct Raised {
  int minute = 0;
  std::vector<std::string> keys = {"checkout"};
  double value = 0.31;
  std::optional<double> baseline = 0.05;
  std::optional<double> threshold = 0.15;
  std::string rule = "error_surge";
  std::string metric = "error_rate";
  Severity severity = Severity::high;
  /// Since which minute, and what was normal then; none: this one.
  std::optional<int> since = std::nullopt;
  std::optional<double> baseline_before = std::nullopt;
  std::string description = "";
};

inline std::shared_ptr<Anomaly> anomaly_of(const Raised& r) {
  auto a = std::make_shared<Anomaly>();
  a->rule = r.rule;
  a->window = r.keys.size() == 2 ? "endpoint_metrics" : "service_metrics";
  a->severity = r.severity;
  a->window_start = kBase + r.minute * kMinute;
  a->window_end = a->window_start + kMinute;
  a->detected_at = a->window_end;
  const char* const names[] = {"service", "endpoint"};
  a->id = r.rule + ":" + std::to_string(r.minute);
  for (std::size_t i = 0; i < r.keys.size(); ++i) {
    a->keys.push_back({names[i], Value::of_string(r.keys[i])});
    a->id += ":" + r.keys[i];
  }
  a->metric_name = r.metric;
  a->metric_value = r.value;
  a->baseline_value = r.baseline;
  a->threshold_value = r.threshold;
  if (r.since) a->since = kBase + *r.since * kMinute;
  a->baseline_before = r.baseline_before;
  a->description = r.description;
  a->position = 1'000 + static_cast<std::uint64_t>(r.minute + 1'000);
  return a;
}

struct Run {
  explicit Run(IncidentOptions options = {}, std::set<std::string> described = {})
      : narrator(std::make_unique<Narrator>(std::move(options), std::move(described))) {}

  std::vector<IncidentPtr> feed(const Record& record) {
    Records out;
    narrator->process(record, out);
    std::vector<IncidentPtr> incidents;
    for (const Record& r : out) {
      incidents.push_back(std::get<IncidentPtr>(r));
      // What people see came of this record.
      CHECK(incidents.back()->position == position_of(record));
    }
    all.insert(all.end(), incidents.begin(), incidents.end());
    return incidents;
  }
  std::vector<IncidentPtr> raise(const Raised& r) { return feed(AnomalyPtr(anomaly_of(r))); }
  std::vector<IncidentPtr> resolve(const Raised& r, int minute) {
    auto a = anomaly_of(r);
    a->resolved = true;
    a->resolved_at = kBase + minute * kMinute;
    return feed(AnomalyPtr(std::move(a)));
  }
  /// Quiet minutes of checkout, with its endpoints.
  void quiet(int from, int to) {
    for (int minute = from; minute < to; ++minute) {
      feed(rows(kServices, minute, {{{"checkout"}}, {{"payments"}}}));
      feed(rows(kEndpoints, minute,
                {{{"checkout", "/cart"}}, {{"checkout", "/list"}}, {{"checkout", "/pay"}}}));
    }
  }

  std::unique_ptr<Narrator> narrator;
  std::vector<IncidentPtr> all;
};

inline IncidentOptions with_endpoints() {
  IncidentOptions options;
  options.evidence = {"endpoint_metrics"};
  return options;
}

}  // namespace streamobs::narrate
