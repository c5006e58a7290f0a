// How the 124-byte events of bench/support/events.h are declared, for benchmarks of the decoder and
// of what stands on it.
#pragma once

#include <cstdlib>
#include <memory>

#include "decode/stream_plan.h"

namespace streamobs::bench {

/// `latency`: as what latency_ms is declared. `keep_raw`: each event's text is kept as well.
inline std::shared_ptr<const decode::StreamPlan> services_plan(Kind latency,
                                                               bool keep_raw = false) {
  decode::StreamOptions options;
  options.keep_raw = keep_raw;
  options.name = "requests";
  options.time = "event_time";
  const auto add = [&](const char* name, Kind kind) {
    decode::FieldOptions field;
    field.name = name;
    field.type = {kind, 0};
    options.fields.push_back(field);
  };
  add("service", Kind::string);
  add("endpoint", Kind::string);
  add("latency_ms", latency);
  add("status_code", Kind::integer);
  Diagnostics diagnostics;
  auto plan = decode::compile_stream(options, 0, diagnostics);
  if (!plan) std::abort();
  return plan;
}

}  // namespace streamobs::bench
