// Window rows made by hand, and what a detector says to them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "detect/detector.h"
#include "event/record.h"

namespace streamobs::detect {

constexpr Timestamp kBase = 1'704'803'640 * kSecond;  // 2024-01-09T12:34:00Z

/// service | request_count, error_rate, p95_latency_ms, total (a decimal), note (text).
inline std::shared_ptr<WindowSchema> service_schema() {
  auto schema = std::make_shared<WindowSchema>();
  schema->window = "service_metrics";
  schema->stream = "requests";
  schema->size = kMinute;
  schema->keys = {{"service", {Kind::string, 0}}};
  schema->metrics = {{"request_count", {Kind::integer, 0}},
                     {"error_rate", {Kind::floating, 0}},
                     {"p95_latency_ms", {Kind::floating, 0}},
                     {"total", {Kind::decimal, 2}},
                     {"note", {Kind::string, 0}}};
  return schema;
}

struct ServiceRow {
  int minute = 0;
  std::string service = "checkout";
  std::optional<double> error_rate = 0.05;
  std::int64_t request_count = 100;
  double p95_latency_ms = 100;
};

inline WindowRow row_of(const ServiceRow& r) {
  WindowRow row;
  row.start = kBase + r.minute * kMinute;
  row.end = row.start + kMinute;
  row.closed = true;
  row.keys = {Value::of_string(r.service)};
  row.metrics = {
      Value::of_int(r.request_count),
      r.error_rate ? Value::of_float(*r.error_rate) : Value::of_null({Kind::floating, 0}),
      Value::of_float(r.p95_latency_ms), Value::of_decimal(r.request_count * 250, 2),
      Value::of_string("n")};
  return row;
}

/// One batch whose rows are as the window stage orders them. Due when its first window closes, or
/// then.
inline WindowBatchPtr batch_of(std::shared_ptr<const WindowSchema> schema,
                               std::vector<WindowRow> rows, std::uint64_t position = 0,
                               std::optional<Timestamp> due = std::nullopt) {
  auto batch = std::make_shared<WindowBatch>();
  batch->schema = std::move(schema);
  batch->watermark = kMinTimestamp;
  std::stable_sort(rows.begin(), rows.end(), [](const WindowRow& a, const WindowRow& b) {
    if (a.start != b.start) return a.start < b.start;
    return key_text(a.keys) < key_text(b.keys);
  });
  for (const WindowRow& row : rows) batch->watermark = std::max(batch->watermark, row.end);
  if (!rows.empty()) batch->due = due.value_or(rows.front().end + batch->schema->allowed_lateness);
  batch->position = position != 0 ? position : static_cast<std::uint64_t>(batch->watermark);
  batch->rows = std::move(rows);
  return batch;
}

inline WindowBatchPtr batch_of(const std::vector<ServiceRow>& rows) {
  std::vector<WindowRow> made;
  for (const ServiceRow& row : rows) made.push_back(row_of(row));
  return batch_of(service_schema(), std::move(made));
}

/// Its baselines leave out what was flagged; tests of the other kind say so.
inline RuleOptions rule(std::string when) {
  RuleOptions options;
  options.name = "error_surge";
  options.on = "service_metrics";
  options.when = SourceText(std::move(when), {"obs.toml", 12, 9});
  options.severity = Severity::high;
  options.baseline_over_unflagged = true;
  return options;
}

inline std::shared_ptr<const DetectPlan> compile(const std::vector<RuleOptions>& rules,
                                                 Diagnostics& diagnostics) {
  return compile_rules(rules, {service_schema()}, diagnostics);
}

/// A detector and everything it has said.
struct Run {
  explicit Run(const std::vector<RuleOptions>& rules) {
    Diagnostics diagnostics;
    auto plan = compile(rules, diagnostics);
    if (plan == nullptr) throw std::runtime_error(diagnostics.at(0).message);
    detector = std::make_unique<Detector>(std::move(plan));
  }

  /// What the detector says to these rows, closed at once.
  std::vector<AnomalyPtr> feed(const std::vector<ServiceRow>& rows) { return feed(batch_of(rows)); }
  std::vector<AnomalyPtr> feed(const WindowBatchPtr& batch) {
    Records out;
    detector->process(batch, out);
    std::vector<AnomalyPtr> anomalies;
    for (const Record& record : out) anomalies.push_back(std::get<AnomalyPtr>(record));
    all.insert(all.end(), anomalies.begin(), anomalies.end());
    return anomalies;
  }

  std::unique_ptr<Detector> detector;
  std::vector<AnomalyPtr> all;
};

inline constexpr const char* kSurge =
    "error_rate > 3 * baseline(error_rate, '1h') and request_count >= 20";

/// What was said, in short: "checkout@5", "checkout@5 over".
inline std::string said(const AnomalyPtr& a) {
  return key_text({a->keys[0].value}) + "@" + std::to_string((a->window_start - kBase) / kMinute) +
         (a->resolved ? " over" : "");
}

inline std::vector<std::string> said(const std::vector<AnomalyPtr>& anomalies) {
  std::vector<std::string> out;
  for (const AnomalyPtr& a : anomalies) out.push_back(said(a));
  return out;
}

using Said = std::vector<std::string>;

}  // namespace streamobs::detect
