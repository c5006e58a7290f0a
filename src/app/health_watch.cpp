#include "app/health_watch.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "app/health_probe.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

constexpr auto kLookEvery = std::chrono::seconds(1);
constexpr auto kTellAgain = std::chrono::milliseconds(20);
/// The first checks come soon after the start: nobody wants to wait for them.
constexpr Duration kFirstQuick = 15 * kSecond;
constexpr Duration kFirstDeep = 10 * kMinute;
/// While something is wrong it is looked at more often: nobody wants to be told of what is over.
constexpr Duration kQuickWhileBad = 15 * kSecond;
/// When statistics are tried again that were not renewed, since something held the database.
constexpr Duration kStatisticsAgain = kMinute;

/// The value of the gauge.
double number_of(health::State state) {
  return static_cast<double>(static_cast<int>(state) - static_cast<int>(health::State::ok));
}

void say(const health::CheckResult& result) {
  const std::initializer_list<log::Field> fields = {{"check", result.check},
                                                    {"of", result.of},
                                                    {"found", result.detail},
                                                    {"advice", result.advice}};
  switch (result.state) {
    case health::State::failing:
      log::error("a check fails", fields);
      break;
    case health::State::warning:
      log::warn("a check warns", fields);
      break;
    case health::State::ok:
    case health::State::no_data:
      log::info("a check is over",
                {{"check", result.check}, {"of", result.of}, {"found", result.detail}});
      break;
  }
}

}  // namespace

HealthWatch::HealthWatch(const Plan& plan, std::vector<std::unique_ptr<Lane>>& lanes,
                         const LaneMetrics& lane_metrics, store::Database& database,
                         const asio::any_io_executor& executor, const Clock& clock,
                         telemetry::Registry& metrics, Observe observe)
    : options_(plan.config.health),
      data_dir_(plan.config.data_dir),
      clock_(clock),
      metrics_(metrics),
      observe_(std::move(observe)),
      thread_(2, flow::BlockingPool::Priority::low),
      deep_(plan, lanes, lane_metrics, database, executor, thread_, clock),
      timer_(executor),
      deep_timer_(executor),
      quick_(plan.config.health) {}

bool HealthWatch::Due::take(Timestamp ready_at, Timestamp now) {
  if (!schedule && ready_at != 0) schedule.emplace(every, ready_at + std::min(every, first));
  return schedule && schedule->take(now);
}

asio::awaitable<void> HealthWatch::run() {
  Due due{options_.quick_every, kFirstQuick};
  bool goes_on = !stopped_;
  while (goes_on) {
    const health::Observation seen = look();
    const bool is_due = due.take(seen.ready_at, seen.now);
    if (is_due || is_bad_and_old(seen.now)) {
      co_await look_at_disk();
      judge(is_due);
    }
    goes_on = co_await wait(timer_);
  }
  // An interrupt just before a table is begun is forgotten, so it is told again until it has been
  // heard.
  while (!deep_ended_) {
    deep_.stop();
    timer_.expires_after(kTellAgain);
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer_.async_wait(token);
  }
}

asio::awaitable<void> HealthWatch::run_deep() {
  Due due{options_.deep_every, kFirstDeep};
  std::vector<health::CheckResult> results;
  std::optional<health::Schedule> again;
  bool goes_on = !stopped_;
  while (goes_on) {
    if (due.take(observe_().ready_at, clock_.now())) {
      DeepChecks::Findings found = co_await deep_.run();
      if (stopped_) break;
      again.emplace(kStatisticsAgain, clock_.now() + kStatisticsAgain);
      results = std::move(found.results);
      const std::lock_guard lock(mutex_);
      take(health::Ledger::Kind::deep, results);
      quality_ = std::move(found.quality);
      deep_at_ = clock_.now();
    } else if (deep_.statistics_missed() && again->take(clock_.now())) {
      const health::CheckResult statistics = co_await deep_.renew_statistics();
      if (stopped_) break;
      for (health::CheckResult& result : results) {
        if (result.check == statistics.check) result = statistics;
      }
      const std::lock_guard lock(mutex_);
      take(health::Ledger::Kind::deep, results);
    }
    goes_on = co_await wait(deep_timer_);
  }
  deep_ended_ = true;
}

asio::awaitable<bool> HealthWatch::wait(asio::steady_timer& timer) {
  if (stopped_) co_return false;
  timer.expires_after(kLookEvery);
  const auto token = asio::as_tuple(asio::use_awaitable);
  co_await timer.async_wait(token);
  co_return !stopped_;
}

void HealthWatch::stop() {
  stopped_ = true;
  timer_.cancel();
  deep_timer_.cancel();
  deep_.stop();
}

bool HealthWatch::is_bad_and_old(Timestamp now) {
  const std::lock_guard lock(mutex_);
  return quick_at_ && now - *quick_at_ >= kQuickWhileBad &&
         ledger_.any_bad(health::Ledger::Kind::quick);
}

health::Observation HealthWatch::look() {
  health::Observation seen = observe_();
  const std::lock_guard lock(mutex_);
  if (seen.ready_at != 0) quick_.look(seen);
  return seen;
}

asio::awaitable<void> HealthWatch::look_at_disk() {
  const auto ask = [this] { return HealthProbe::look_at_disk(data_dir_); };
  health::DiskSeen disk = co_await thread_.run(ask);
  const std::lock_guard lock(mutex_);
  disk_ = std::move(disk);
}

void HealthWatch::judge(bool begins_period) {
  health::Observation seen = observe_();
  const std::lock_guard lock(mutex_);
  const bool log_full = seen.disk.log_full;
  seen.disk = disk_;
  seen.disk.log_full = log_full;
  take(health::Ledger::Kind::quick, quick_.judge(seen));
  if (begins_period && seen.ready_at != 0) quick_.begin_period(seen);
  quick_at_ = seen.now;
}

/// Under the lock.
void HealthWatch::take(health::Ledger::Kind kind, std::vector<health::CheckResult> results) {
  for (const health::CheckResult& result : results) {
    metrics_
        .gauge("streamobs_check_state",
               "What a check of the engine or its data has found: 0 all is well, 1 a warning, 2 it "
               "fails, -1 there is nothing to judge.",
               {{"check", result.check}, {"of", result.of}})
        .set(number_of(result.state));
  }
  for (const health::CheckResult& changed : ledger_.take(kind, std::move(results))) say(changed);
}

health::Report HealthWatch::report() {
  const std::lock_guard lock(mutex_);
  health::Report report;
  report.checks = ledger_.all();
  report.state = health::worst_of(report.checks);
  report.quick_at = quick_at_;
  report.deep_at = deep_at_;
  report.quality = quality_;
  return report;
}

asio::awaitable<health::Report> HealthWatch::check_now() {
  co_await look_at_disk();
  judge(false);
  health::Report now = report();
  co_return now;
}

}  // namespace streamobs::app
