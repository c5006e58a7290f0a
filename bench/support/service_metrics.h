// The config that all measurements of the whole path speak of: request telemetry, one window by
// service.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "app/plan.h"
#include "config/config.h"

namespace streamobs::bench {

/// `options`: further lines of the window's section.
inline std::string service_metrics(
    const std::string& options = "size = \"1m\"\nallowed_lateness = \"10s\"") {
  return R"toml(
[stream.requests]
time   = "event_time"
fields = { service = "string", endpoint = "string", latency_ms = "float", status_code = "int" }
[window.service_metrics]
by   = ["service"]
max_keys = 2000000
)toml" + options +
         R"toml(
[window.service_metrics.select]
request_count  = "count(*)"
error_count    = "count(*) filter (where status_code >= 500)"
error_rate     = "error_count / request_count"
avg_latency_ms = "avg(latency_ms)"
p50_latency_ms = "quantile(latency_ms, 0.50)"
p95_latency_ms = "quantile(latency_ms, 0.95)"
p99_latency_ms = "quantile(latency_ms, 0.99)"
)toml";
}

inline std::shared_ptr<const app::Plan> plan_of(config::Config config) {
  Diagnostics diagnostics;
  auto plan = app::make_plan(std::move(config), diagnostics);
  if (!plan) std::abort();
  return plan;
}

inline config::Config parse_config(const std::string& text) {
  Diagnostics diagnostics;
  auto config = config::parse(text, "bench", diagnostics);
  if (!config) std::abort();
  return std::move(*config);
}

inline std::shared_ptr<const app::Plan> make_plan() {
  return plan_of(parse_config(service_metrics()));
}

}  // namespace streamobs::bench
