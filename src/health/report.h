// What checks have found, for the API, the page, `streamobs doctor` and the metrics. Plain data.
//
// A report is made on the strand that checks run on and copied for whoever asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace streamobs::health {

enum class State : std::uint8_t {
  no_data,  ///< There is nothing to judge: a stream that never had an event.
  ok,
  warning,  ///< Something is unusual, or will become trouble.
  failing,  ///< Something is wrong now.
};
std::string_view to_text(State state);
std::optional<State> parse_state(std::string_view text);

/// One line of the report.
struct CheckResult {
  std::string check;  ///< "freshness"; docs/operations.md has one paragraph for each.
  std::string of;     ///< The stream, source or sink it is about; empty: the engine.
  State state = State::ok;
  std::optional<double> value;  ///< The figure, in `unit`.
  std::optional<double> bound;  ///< What it is held against.
  std::string unit;    ///< "seconds", "bytes", "share", "messages"; empty without a figure.
  std::string detail;  ///< What is the case, in words.
  std::string advice;  ///< What to do; empty: nothing.
  std::optional<Timestamp> since;  ///< When it was first found in this state.
  Timestamp checked_at = 0;
};

/// What a stream's events were like between two deep checks.
struct FieldQuality {
  std::string field;
  double null_share = 0;
  std::optional<double> null_share_before;  ///< What it is held against.
  /// Of numbers: what is unusual (health/quality.h says what that is), and between which values the
  /// usual ones are. None: there are too few values, or all are the same.
  std::optional<double> outlier_share;
  std::optional<double> usual_from;
  std::optional<double> usual_to;
};
struct StreamQuality {
  std::string stream;
  Timestamp from = 0;
  Timestamp to = 0;
  std::uint64_t events = 0;
  std::vector<FieldQuality> fields;
};

struct Report {
  Report() = default;  // Not an aggregate: g++ 12 destroys those twice in a co_await.

  State state = State::no_data;
  std::optional<Timestamp> quick_at;  ///< When the checks of each kind were made last.
  std::optional<Timestamp> deep_at;
  std::vector<CheckResult> checks;  ///< The worst first.
  std::vector<StreamQuality> quality;
};

/// The worst of them; nothing to judge counts least.
State worst_of(const std::vector<CheckResult>& checks);

}  // namespace streamobs::health
