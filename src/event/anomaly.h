// An anomaly: a rule or detector held for a window and a key. And an incident: anomalies that
// belong together, explained.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "event/value.h"

namespace streamobs {

enum class Severity : std::uint8_t { low = 0, medium = 1, high = 2, critical = 3 };
std::string_view to_text(Severity severity);
std::optional<Severity> parse_severity(std::string_view text);

/// A key column by name: service = checkout.
struct NamedValue {
  std::string name;
  Value value;
  friend bool operator==(const NamedValue&, const NamedValue&) = default;
};

struct Anomaly {
  std::string id;      ///< Deterministic: rule, window, its start, key; the same after a replay.
  std::string rule;    ///< Its name in the config; the anomaly_type of the view.
  std::string window;  ///< Which window's rows it speaks of.
  Severity severity = Severity::medium;
  Timestamp detected_at = 0;  ///< Event time: the window's end and its allowed lateness.
  Timestamp window_start = 0;
  Timestamp window_end = 0;
  std::vector<NamedValue> keys;
  std::string metric_name;
  std::optional<double> metric_value;
  std::optional<double> baseline_value;
  std::optional<double> threshold_value;
  std::string description;  ///< One sentence for people.
  bool resolved = false;    ///< The rule has been quiet since, or it is withdrawn.
  std::optional<Timestamp> resolved_at;
  /// Of resolved ones: late events have corrected its window, and the rule does not hold in it. The
  /// figures are those of the corrected row.
  bool withdrawn = false;
  /// How often it has been said again, under the same id: corrected, resolved, raised once more.
  /// The highest is what counts.
  std::uint32_t revision = 0;
  std::uint64_t position = 0;  ///< Log position of the record that raised or resolved it.
  /// Start of the first of the windows, one behind the other, in which the rule has held; `for` and
  /// earlier anomalies lie between it and window_start. None: window_start.
  std::optional<Timestamp> since;
  /// baseline_value as it was in that first window, before the trouble itself moved it.
  std::optional<double> baseline_before;
};

struct Incident {
  std::string id;  ///< Deterministic: from its first anomaly.
  std::vector<NamedValue> keys;
  Severity severity = Severity::medium;  ///< The highest of its anomalies.
  Timestamp started_at = 0;              ///< Start of the first window in which a rule of it held.
  Timestamp last_seen_at = 0;            ///< End of the last anomalous window.
  std::optional<Timestamp> resolved_at;
  std::string title;                     ///< One line.
  std::string explanation;               ///< Plain words, from evidence; several sentences.
  std::vector<std::string> evidence;     ///< The facts behind it, one line each.
  std::vector<std::string> anomaly_ids;  ///< The newest kMaxAnomalies.
  std::uint64_t anomaly_count = 0;
  std::string narrated_by = "template";
  std::uint32_t revision = 0;  ///< Grows with each change.
  std::uint64_t position = 0;  ///< Log position of the record that changed it last.

  static constexpr std::size_t kMaxAnomalies = 100;
};

using AnomalyPtr = std::shared_ptr<const Anomaly>;
using IncidentPtr = std::shared_ptr<const Incident>;

}  // namespace streamobs
