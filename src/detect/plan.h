// Rules, checked and compiled against the windows they judge. Made once when the config is loaded,
// then only read.
//
// A rule becomes two programs. The first computes, from a row's keys and metrics, the values that
// the rule's history functions look back on. The second sees the same columns and, behind them, one
// synthetic column for each history call, filled from what the detector remembers of the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "detect/description.h"
#include "detect/history.h"
#include "detect/options.h"
#include "event/window_result.h"
#include "expr/program.h"

namespace streamobs::detect {

/// What a history call says about the windows before the current one.
enum class Summarise : std::uint8_t { mean, min, max, previous };

/// The functions that look back. A further one needs a line here and a case in
/// Detector's history_value().
struct HistoryFunction {
  std::string_view name;
  Summarise summarise;
  bool takes_span;  ///< A second argument: how far back, as a duration in quotes.
};
inline constexpr HistoryFunction kHistoryFunctions[] = {
    {"baseline", Summarise::mean, true},
    {"baseline_min", Summarise::min, true},
    {"baseline_max", Summarise::max, true},
    {"previous", Summarise::previous, false},
};

struct HistoryCall {
  Summarise summarise = Summarise::mean;
  std::size_t series = 0;  ///< Output of the arguments program, and series of the KeyHistory.
  Duration span = 0;       ///< 0 where the function takes none.
  std::string text;        ///< The call as SQL, the name of its synthetic column.
};

struct RulePlan {
  RuleOptions options;
  std::shared_ptr<const WindowSchema> schema;

  std::shared_ptr<const expr::Program> arguments;  ///< Null where no history is needed.
  std::size_t series = 0;                          ///< Its outputs.
  std::vector<HistoryCall> calls;                  ///< Synthetic columns, behind the row's own.
  Duration keep = 0;                               ///< The longest span of any call.
  std::vector<std::string> series_text;            ///< What is remembered: SQL and meaning.
  /// Fingerprint of what decides its verdicts, the window's definition included. Kept in
  /// checkpoints.
  std::uint64_t definition = 0;

  std::shared_ptr<const expr::Program> judge;
  std::size_t when_output = 0;
  std::string metric_name;            ///< Empty: the condition is about no single column.
  std::optional<std::size_t> metric;  ///< Index among the schema's metrics.
  std::optional<std::size_t> threshold_output;
  std::optional<std::size_t> baseline_call;  ///< Which of `calls` is the metric's baseline.
  Bound bound = Bound::none;
  std::optional<DescriptionTemplate> description;

  /// Whether any call must wait for warmup_windows.
  bool warms_up() const {
    for (const HistoryCall& call : calls) {
      if (call.span != 0) return true;
    }
    return false;
  }
};

struct DetectPlan {
  std::vector<RulePlan> rules;  ///< In the config's order.
};

}  // namespace streamobs::detect
