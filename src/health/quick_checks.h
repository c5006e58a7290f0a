// The checks that cost nothing but a look at counters: is each stream fresh, does anything lag, are
// detection and narration alive, is there space on the disk?
//
// look() is called about once a second, so that what was full or stood still for a moment is told
// from what is; judge() whenever somebody wants to know; begin_period() when the checks were due:
// what has happened is counted since the last one, or since the one before where that has only just
// been. Knows no clock and no file: what it says follows from what it was shown. One per engine, by
// one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "health/observation.h"
#include "health/options.h"
#include "health/report.h"

namespace streamobs::health {

/// Whether there is space, by a look at the disk alone; a report about no engine has it, too.
CheckResult judge_disk(const DiskSeen& disk, std::uint64_t free_bytes_min);

class QuickChecks {
 public:
  explicit QuickChecks(HealthOptions options) : options_(std::move(options)) {}

  /// A stage or a store that has work and does none for this long stands still.
  static constexpr Duration kStill = 30 * kSecond;
  /// A part of the way that has work and does none stands still after `lag`, but not before this.
  static constexpr Duration kStandsMin = 10 * kSecond;
  /// Whoever has not looked for so long does not know what there was meanwhile: the machine slept,
  /// or the process was stopped.
  static constexpr Duration kLookAwayMax = 10 * kSecond;
  /// Removing what is too old is tried every minute; after this long it is said that it fails.
  static constexpr Duration kUntidy = 15 * kMinute;
  /// Looks before which nothing is said of how often a channel was full.
  static constexpr std::uint64_t kLooksMin = 10;
  /// What of the bound is a warning, and how many times the bound is failing.
  static constexpr int kDiskWarnsAt = 4;
  static constexpr int kLagFailsAt = 10;

  void look(const Observation& seen);
  std::vector<CheckResult> judge(const Observation& seen) const;
  void begin_period(const Observation& seen);

 private:
  /// Whether something that has work does it.
  struct Progress {
    std::uint64_t done = 0;
    std::optional<Timestamp> still_since;  ///< None: it moves, or has nothing to do.
    Timestamp looked_at = 0;
    void look(std::uint64_t done_now, bool has_work, Timestamp now);
    Duration still_for(Timestamp now) const { return still_since ? now - *still_since : 0; }
  };
  struct Full {
    std::uint64_t looks = 0;
    std::uint64_t full = 0;
  };
  /// How full channels had been when something began.
  struct ChannelsThen {
    Timestamp at = 0;
    std::uint64_t looks = 0;
    std::vector<Full> channels;
  };
  /// Counters as they were when a period began.
  struct Baseline {
    Timestamp at = 0;
    std::map<std::string, StreamSeen> streams;
    std::map<std::string, SourceSeen> sources;
    std::map<std::string, std::uint64_t> dropped;  ///< By sink.
    std::uint64_t checkpoints_failed = 0;
  };

  /// What to count from; null: the start.
  const Baseline* baseline(Timestamp now) const;
  std::vector<CheckResult> judge_running(const Observation& seen) const;
  CheckResult engine(const Observation& seen) const;
  CheckResult freshness(const StreamSeen& stream, Duration bound, const Observation& seen,
                        const Baseline* since) const;
  CheckResult watermark(const StreamSeen& stream, Duration bound) const;
  CheckResult source(const SourceSeen& source, Timestamp now, const Baseline* since) const;
  const ChannelsThen* channels_then(Timestamp now) const;
  CheckResult backlog(const Observation& seen) const;
  CheckResult progress(const Observation& seen) const;
  CheckResult store(const StoreSeen& store, Timestamp now, const Baseline* since) const;
  CheckResult clean_up(const Observation& seen) const;
  CheckResult sink(const SinkSeen& sink, Timestamp now, const Baseline* since) const;
  bool is_cut_off(const SinkSeen& sink, Timestamp now) const;
  CheckResult stage(const char* name, const StageSeen& stage, const Progress& progress,
                    Timestamp now) const;

  const HealthOptions options_;
  std::optional<Baseline> last_;
  std::optional<Baseline> before_;  ///< The one before that.
  std::uint64_t looks_ = 0;
  std::vector<Full> channels_;  ///< As in Observation::channels, since the start.
  /// As with periods, but each has kLooksMin looks at least, however short those are.
  std::optional<ChannelsThen> channels_last_;
  std::optional<ChannelsThen> channels_before_;
  std::vector<Progress> work_;  ///< As in Observation::work.
  Progress detection_;
  Progress narration_;
  Progress store_;
};

}  // namespace streamobs::health
