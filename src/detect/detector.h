// The detect operator: judges closed window rows by rules, keeps the history that baselines need.
//
// Synchronous and deterministic: what it says follows from the records it was given. One strand,
// lives as long as the engine. All of its state is in snapshot(): a detector restored from it goes
// on as if nothing had happened.
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
#include <string_view>
#include <vector>

#include "base/result.h"
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

/// What of a snapshot has no place among the rules of now.
struct RestoredRules {
  struct Lost {
    std::string rule;
    /// No rule has that name; else there is one that says something else, or whose window does.
    bool gone = false;
    /// The rule looks back on what it did before, so that its baselines need not warm up again.
    bool history_kept = false;
    /// What it had raised and not resolved, oldest first.
    std::vector<AnomalyPtr> open;
    Timestamp until = 0;  ///< End of the newest window it judged.
  };
  std::vector<Lost> lost;  ///< By name.

  /// The open anomalies of lost rules as resolved, at the end of the newest window that was judged
  /// by theirs. To be sent on to the narrator and the store like what process() says; `position` is
  /// that of the record by which the rules of now took effect.
  Records withdrawn(std::uint64_t position) const;
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
  /// sent again with the same id and `resolved`), each with the record's position. Records other
  /// than closed windows are ignored.
  void process(const Record& record, Records& out);
  /// The newest states, at most `limit`, firing ones first.
  std::vector<RuleState> states(std::size_t limit) const;
  /// Keys forgotten because there were too many.
  std::uint64_t evicted_keys() const;

  /// Appends everything that decides what will be said: histories, what is pending, firing and
  /// open. Between two records. Canonical: the same records give the same bytes, whatever snapshots
  /// and restores lay between them. The format is in state.h.
  void snapshot(std::string& out) const;
  /// Takes the place of what the detector knew. Rules are matched by name and by what they say
  /// (condition, `for`, warmup, keep_firing_for, the definition of their window; not severity and
  /// words). A rule that says something else keeps what it looks back on, where that is the same
  /// and its window is; nothing else. On an error (corrupt bytes) the detector is as it was.
  Result<RestoredRules> restore(std::string_view bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::detect
