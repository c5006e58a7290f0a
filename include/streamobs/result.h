// What comes out: rows of windows, anomalies, incidents.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace streamobs {

using Time = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

/// Null, bool, integer, float, or text. Decimals come as their exact text, times as RFC 3339.
using ResultValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;
/// Column by column, in the config's order.
using ResultFields = std::vector<std::pair<std::string, ResultValue>>;

struct WindowResult {
  std::string window;
  Time start;           ///< Inclusive.
  Time end;             ///< Exclusive.
  bool closed = false;  ///< False: an early look at a window that is still open.
  std::uint32_t revision = 0;
  ResultFields keys;
  ResultFields metrics;
};

struct AnomalyResult {
  std::string id;
  std::string rule;
  std::string severity;  ///< low, medium, high, critical
  Time window_start;
  Time window_end;
  ResultFields keys;
  std::string metric_name;
  std::optional<double> metric_value;
  std::optional<double> baseline_value;
  std::optional<double> threshold_value;
  std::string description;
  bool resolved = false;   ///< The rule has been quiet since, or it is withdrawn.
  bool withdrawn = false;  ///< Late events have corrected its window, and the rule does not hold.
  /// How often it has been said again under this id (corrected, resolved, raised once more); the
  /// highest counts.
  std::uint32_t revision = 0;
};

struct IncidentResult {
  std::string id;
  std::string severity;
  ResultFields keys;
  Time started_at;
  std::optional<Time> resolved_at;
  std::string title;
  std::string explanation;
  std::uint32_t revision = 0;
};

/// How a push ended.
struct PushResult {
  enum class Status {
    taken,    ///< Good events are counted; see `rejected` for the others.
    busy,     ///< The pipeline is full: try again.
    stopped,  ///< The engine is not running, or is being stopped.
    unknown_stream,
  };
  struct Refusal {
    std::uint32_t index = 0;  ///< Which event of the push, from 0.
    std::string reason;
    std::string detail;
  };
  Status status = Status::taken;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::vector<Refusal> refusals;  ///< The first 100.
};

}  // namespace streamobs
