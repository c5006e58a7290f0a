// The window of the services preset over batches that are ready in memory, for benchmarks of the
// windows alone.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "event/event_batch.h"
#include "expr/program.h"
#include "window/window_plan.h"

namespace streamobs::bench {

constexpr Timestamp kWindowStart = 1'700'000'040LL * kSecond;
constexpr std::size_t kBatchRows = 8192;

/// Places of the columns.
enum : std::size_t { kTime, kService, kLatency, kStatus, kUser };

inline StreamSchema services_schema() {
  StreamSchema schema;
  schema.stream = "requests";
  schema.time_field = "event_time";
  const auto add = [&](const char* name, Kind kind) {
    Field field;
    field.name = field.path = name;
    field.type = {kind, 0};
    schema.fields.push_back(std::move(field));
  };
  add("event_time", Kind::timestamp);
  add("service", Kind::string);
  add("latency_ms", Kind::floating);
  add("status_code", Kind::integer);
  add("user_id", Kind::integer);
  return schema;
}

/// By that field: count(*), count(*) filter, their ratio, avg, p50, p95 and p99 of one float.
inline std::shared_ptr<const window::StreamWindowsPlan> services_window(const StreamSchema& schema,
                                                                        const char* by,
                                                                        Duration hop = 0) {
  expr::Scope scope;
  for (const Field& field : schema.fields) scope.add_column(field.name, field.type);
  window::WindowOptions o;
  o.name = "service_metrics";
  o.by = {{by, by}};
  o.hop = hop;
  o.max_keys = 10'000'000;
  o.select = {{"request_count", "count(*)"},
              {"error_count", "count(*) filter (where status_code >= 500)"},
              {"error_rate", "error_count / request_count"},
              {"avg_latency_ms", "avg(latency_ms)"},
              {"p50_latency_ms", "quantile(latency_ms, 0.50)"},
              {"p95_latency_ms", "quantile(latency_ms, 0.95)"},
              {"p99_latency_ms", "quantile(latency_ms, 0.99)"}};
  Diagnostics diagnostics;
  auto plan = window::compile_windows(schema, scope, nullptr, {}, {o}, diagnostics);
  if (plan == nullptr) {
    for (const Diagnostic& d : diagnostics) fmt::print(stderr, "{}\n", d.message);
    std::exit(1);
  }
  return plan;
}

/// Makes `batch` one of kBatchRows rows whose columns are still empty.
inline void begin_batch(EventBatch& batch, const StreamSchema& schema) {
  batch.clear();
  batch.schema = &schema;
  batch.rows = kBatchRows;
  batch.columns.resize(schema.fields.size());
  for (std::size_t c = 0; c < batch.columns.size(); ++c) {
    batch.columns[c].type = schema.fields[c].type;
  }
}

/// Lognormal around 40 ms, in whole microseconds.
inline double draw_latency(std::normal_distribution<double>& normal, std::mt19937_64& random) {
  return std::round(std::exp(normal(random)) * 1000) / 1000;
}

inline std::normal_distribution<double> latency_exponents() {
  return std::normal_distribution<double>(3.7, 0.6);
}

}  // namespace streamobs::bench
