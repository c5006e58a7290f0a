// The checks that read: what the events were like since the last time, whether the database is
// sound; and the care that belongs to it, fresh statistics for SQLite.
//
// One per engine. run() is awaited by one coroutine on the main strand at a time; lanes hand their
// tallies over on their own strands, and what blocks goes to the given thread, a table at a time,
// so that nothing waits for it. Lives as long as the topology.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/lane.h"
#include "app/plan.h"
#include "base/clock.h"
#include "flow/asio.h"
#include "flow/blocking_pool.h"
#include "flow/signal.h"
#include "health/options.h"
#include "health/quality.h"
#include "health/report.h"
#include "store/database.h"
#include "store/inspection.h"

namespace streamobs::app {

class DeepChecks {
 public:
  /// All of it outlives this.
  DeepChecks(const Plan& plan, std::vector<std::unique_ptr<Lane>>& lanes,
             const LaneMetrics& metrics, store::Database& database,
             const asio::any_io_executor& executor, flow::BlockingPool& thread, const Clock& clock);

  struct Findings {
    Findings() = default;  // Not an aggregate: g++ 12 destroys those twice in a co_await.

    std::vector<health::CheckResult> results;
    std::vector<health::StreamQuality> quality;
  };
  asio::awaitable<Findings> run();
  /// Whether statistics are still to be renewed: something held the database throughout.
  bool statistics_missed() const { return !unrenewed_.empty(); }
  /// Tries that again, and says what came of it.
  asio::awaitable<health::CheckResult> renew_statistics();
  /// On the executor's strand: what is under way ends soon, and its findings are of no use.
  void stop();

 private:
  /// A stream's counters when the last period ended.
  struct Counted {
    std::uint64_t unmatched[2] = {0, 0};  ///< Of a join's rows: by side of the join.
    std::uint64_t received = 0;
    std::uint64_t accepted = 0;
    std::map<std::string, std::uint64_t> refused;
    std::map<std::string, std::uint64_t> late;
  };

  asio::awaitable<void> collect();
  health::StreamPeriod period_of(std::uint32_t stream_id, const Counted& counted, Timestamp now);
  health::JoinPeriod period_of(const PlannedJoin& planned, const std::vector<Counted>& counted,
                               Timestamp now) const;
  void judge_data(Findings& findings);
  Counted count(std::uint32_t stream_id) const;
  asio::awaitable<health::CheckResult> inspect();
  asio::awaitable<health::CheckResult> analyze();
  asio::awaitable<bool> rest(Duration duration);

  const Plan& plan_;
  std::vector<std::unique_ptr<Lane>>& lanes_;
  const LaneMetrics& metrics_;
  store::Database& database_;
  flow::BlockingPool& thread_;
  const Clock& clock_;
  asio::steady_timer timer_;
  bool stopped_ = false;

  health::QualityChecks quality_;
  Timestamp period_from_;
  std::vector<Counted> counted_;                         ///< By stream.
  std::vector<std::vector<health::TallyPart>> tallies_;  ///< By lane and stream.
  std::vector<std::string> unrenewed_;                   ///< Tables.
  std::atomic<std::size_t> awaited_{0};  ///< Lanes that have not handed theirs over.
  flow::Signal collected_;
  std::mutex inspection_mutex_;  ///< Of who interrupts it and who makes and drops it.
  std::optional<store::Inspection> inspection_;
  std::atomic<bool> interrupted_{false};
};

}  // namespace streamobs::app
