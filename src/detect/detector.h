// The detect operator: judges closed window rows by rules, keeps the history that baselines need.
//
// Synchronous and deterministic: what it says follows from the records it was given. One strand,
// lives as long as the engine. Its state is not yet part of a checkpoint: a restart warms up anew.
//
// When a rule raises: its condition was true in windows that follow one another without a gap, and
// from the end of the first of them to the end of the current one at least `for` has passed. So
// with for = "1m" on windows of one minute the second true window raises, with "0s" the first. Each
// such window is one anomaly. A NULL condition is not true.
//
// When it resolves: once the condition has not been true for keep_firing_for, by the ends of closed
// windows; a key without a row in a window was quiet in it. All its open anomalies are then sent
// again as resolved.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/source_text.h"
#include "detect/options.h"
#include "event/record.h"

namespace streamobs::detect {

struct DetectPlan;

/// Compiles rules against the windows they judge. Null if anything is wrong (see `diagnostics`).
std::shared_ptr<const DetectPlan> compile_rules(
    const std::vector<RuleOptions>& rules,
    const std::vector<std::shared_ptr<const WindowSchema>>& windows, Diagnostics& diagnostics);

/// What people can see of a rule for one key.
struct RuleState {
  std::string rule;
  std::string window;
  std::string key;    ///< Group values joined by '|'.
  std::string phase;  ///< "warming_up", "ok", "pending" (true, but not for long enough), "firing".
  int history_windows = 0;  ///< Closed windows behind its baseline.
  int warmup_windows = 0;   ///< How many it needs.
  Timestamp last_window_end = 0;
};

class Detector {
 public:
  /// Keys a rule remembers; beyond them the one unseen for longest is forgotten, and counted.
  static constexpr std::size_t kMaxKeys = 100'000;
  /// 64-bit words of history a rule keeps over all its keys; the same policy.
  static constexpr std::size_t kMaxHistoryWords = 16'000'000;
  /// Open anomalies of one key, and of one rule; beyond them the key's oldest is sent as resolved.
  static constexpr std::size_t kMaxOpenPerKey = 1'000;
  static constexpr std::size_t kMaxOpenPerRule = 100'000;

  explicit Detector(std::shared_ptr<const DetectPlan> plan);
  ~Detector();

  /// Takes one record. Appends to `out` the anomalies it raises or resolves (a resolved anomaly is
  /// sent again with the same id and `resolved`). Records other than closed windows are ignored.
  void process(const Record& record, Records& out);
  /// The newest states, at most `limit`, firing ones first.
  std::vector<RuleState> states(std::size_t limit) const;
  /// Keys forgotten because there were too many.
  std::uint64_t evicted_keys() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::detect
