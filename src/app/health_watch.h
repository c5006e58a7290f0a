// The engine's checks of itself and its data, when they are due: the shell round src/health.
//
// Two coroutines on the main strand, from when the engine starts until shutdown: run() looks about
// once a second and judges when the config says so, by the engine's clock; run_deep() makes the
// checks that read, which may take long. What blocks goes to threads of its own. Reports may be
// asked for on any thread; check_now() judges at once, on the strand of whoever asks, without
// beginning a new period. Lives as long as the topology.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/deep_checks.h"
#include "app/lane.h"
#include "app/plan.h"
#include "base/clock.h"
#include "flow/asio.h"
#include "flow/blocking_pool.h"
#include "health/ledger.h"
#include "health/observation.h"
#include "health/options.h"
#include "health/quick_checks.h"
#include "health/report.h"
#include "health/schedule.h"
#include "serve/health_checks.h"
#include "telemetry/registry.h"

namespace streamobs::app {

class HealthWatch final : public serve::HealthChecks {
 public:
  using Observe = std::function<health::Observation()>;

  /// `observe` sees all but the disk, of which the plan's data_dir says which it is; on any thread.
  HealthWatch(const Plan& plan, std::vector<std::unique_ptr<Lane>>& lanes,
              const LaneMetrics& lane_metrics, store::Database& database,
              const asio::any_io_executor& executor, const Clock& clock,
              telemetry::Registry& metrics, Observe observe);

  /// Until stop().
  asio::awaitable<void> run();
  asio::awaitable<void> run_deep();
  /// On the executor's strand.
  void stop();

  health::Report report() override;
  asio::awaitable<health::Report> check_now() override;

 private:
  /// When a kind of checks is due; it begins once the engine takes events.
  struct Due {
    Duration every;
    Duration first;  ///< After the start.
    std::optional<health::Schedule> schedule = {};
    bool take(Timestamp ready_at, Timestamp now);
  };

  asio::awaitable<bool> wait(asio::steady_timer& timer);
  bool is_bad_and_old(Timestamp now);
  health::Observation look();
  asio::awaitable<void> look_at_disk();
  void take(health::Ledger::Kind kind, std::vector<health::CheckResult> results);
  void judge(bool begins_period);

  const health::HealthOptions options_;
  const std::string data_dir_;
  const Clock& clock_;
  telemetry::Registry& metrics_;
  const Observe observe_;
  flow::BlockingPool thread_;  ///< Two: a long look into the database does not hold up the others.
  DeepChecks deep_;
  asio::steady_timer timer_;
  asio::steady_timer deep_timer_;
  bool stopped_ = false;
  bool deep_ended_ = false;

  mutable std::mutex
      mutex_;  ///< Of all that follows; held while counters are looked at, not longer.
  health::QuickChecks quick_;
  health::Ledger ledger_;
  health::DiskSeen disk_;
  std::optional<Timestamp> quick_at_;
  std::optional<Timestamp> deep_at_;
  std::vector<health::StreamQuality> quality_;
};

}  // namespace streamobs::app
