// The detect operator: judges closed window rows by rules, keeps the history that baselines need.
//
// Synchronous and deterministic: what it says follows from the records it was given. One strand,
// lives as long as the engine.
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
  std::string key;            ///< Group values joined by '|'.
  std::string phase;          ///< "warming_up", "ok", "pending" (true, but not for long enough), "firing".
  int history_windows = 0;    ///< Closed windows behind its baseline.
  int warmup_windows = 0;     ///< How many it needs.
  Timestamp last_window_end = 0;
};

class Detector {
 public:
  explicit Detector(std::shared_ptr<const DetectPlan> plan);
  ~Detector();

  /// Takes one record. Appends to `out` the anomalies it raises or resolves (a resolved anomaly is
  /// sent again with the same id and `resolved`). Records other than closed windows are ignored.
  void process(const Record& record, Records& out);
  /// The newest states, at most `limit`, firing ones first.
  std::vector<RuleState> states(std::size_t limit) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::detect
