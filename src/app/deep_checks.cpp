#include "app/deep_checks.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace streamobs::app {

namespace {

/// Between two tables, so that whatever else wants the disk has its turn.
constexpr Duration kRest = 50 * kMillisecond;
/// Between two looks whether the transaction that is open has ended, and how many.
constexpr Duration kTryAgain = 100 * kMillisecond;
constexpr int kTriesMax = 100;
constexpr const char* kAnalyzedLater =
    "Queries may take longer; it is tried again when the deep checks are due";

health::CheckResult result_of(const char* check, Timestamp now) {
  health::CheckResult result;
  result.check = check;
  result.checked_at = now;
  return result;
}

std::uint64_t since(std::uint64_t now, const std::map<std::string, std::uint64_t>& before,
                    const std::string& name) {
  const auto found = before.find(name);
  return found == before.end() ? now : now - found->second;
}

}  // namespace

DeepChecks::DeepChecks(const Plan& plan, std::vector<std::unique_ptr<Lane>>& lanes,
                       const LaneMetrics& metrics, store::Database& database,
                       const asio::any_io_executor& executor, flow::BlockingPool& thread,
                       const Clock& clock)
    : plan_(plan),
      lanes_(lanes),
      metrics_(metrics),
      database_(database),
      thread_(thread),
      clock_(clock),
      timer_(executor),
      quality_(plan.config.health),
      period_from_(clock.now()),
      counted_(plan.streams.size()),
      tallies_(lanes.size()) {}

asio::awaitable<DeepChecks::Findings> DeepChecks::run() {
  Findings findings;
  co_await collect();
  judge_data(findings);
  health::CheckResult sound = co_await inspect();
  findings.results.push_back(std::move(sound));
  health::CheckResult statistics = co_await analyze();
  findings.results.push_back(std::move(statistics));
  co_return findings;
}

void DeepChecks::judge_data(Findings& findings) {
  const Timestamp now = clock_.now();
  std::vector<Counted> counted;
  for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) counted.push_back(count(id));
  for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) {
    const health::StreamPeriod period = period_of(id, counted[id], now);
    health::QualityChecks::Findings found = quality_.judge(period);
    for (health::CheckResult& result : found.results) findings.results.push_back(std::move(result));
    if (!period.schema->joined) findings.quality.push_back(std::move(found.quality));
  }
  for (const PlannedJoin& join : plan_.joins) {
    findings.results.push_back(quality_.judge(period_of(join, counted, now)));
  }
  counted_ = std::move(counted);
  period_from_ = now;
}

void DeepChecks::stop() {
  stopped_ = true;
  interrupted_.store(true, std::memory_order_relaxed);
  timer_.cancel();
  const std::lock_guard lock(inspection_mutex_);
  if (inspection_) inspection_->interrupt();
}

asio::awaitable<void> DeepChecks::collect() {
  awaited_.store(lanes_.size(), std::memory_order_relaxed);
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    asio::post(lanes_[i]->executor(), [this, i] {
      tallies_[i] = lanes_[i]->take_tallies();
      awaited_.fetch_sub(1, std::memory_order_release);
      collected_.notify();
    });
  }
  const auto all = [this] { return awaited_.load(std::memory_order_acquire) == 0; };
  co_await collected_.wait(all);
}

DeepChecks::Counted DeepChecks::count(std::uint32_t stream_id) const {
  Counted counted;
  for (std::size_t source = 0; source < plan_.sources.size(); ++source) {
    if (plan_.sources[source].stream_id != stream_id) continue;
    counted.received += metrics_.received[source]->value();
  }
  const LaneMetrics::OfStream& of = metrics_.streams[stream_id];
  counted.accepted = of.accepted->value();
  counted.refused = metrics_.rejected_by_reason(stream_id);
  const std::vector<std::size_t>& windows = plan_.streams[stream_id].window_ids;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    counted.late[plan_.windows[windows[i]].schema->window] = of.late[i]->value();
  }
  const StreamSchema& schema = plan_.streams[stream_id].decode->schema;
  if (!schema.joined) return counted;
  const auto of_join = [this](const char* name, const telemetry::Labels& labels) {
    return static_cast<std::uint64_t>(metrics_.registry.value(name, labels));
  };
  counted.accepted = of_join("streamobs_join_rows_total", {{"join", schema.stream}});
  for (std::size_t side = 0; side < 2; ++side) {
    counted.unmatched[side] =
        of_join("streamobs_join_unmatched_total",
                {{"join", schema.stream}, {"side", side == 0 ? "left" : "right"}});
  }
  return counted;
}

health::StreamPeriod DeepChecks::period_of(std::uint32_t stream_id, const Counted& counted,
                                           Timestamp now) {
  health::StreamPeriod period;
  period.schema = &plan_.streams[stream_id].decode->schema;
  period.from = period_from_;
  period.to = now;
  for (std::vector<health::TallyPart>& lane : tallies_) {
    if (stream_id < lane.size()) period.parts.push_back(std::move(lane[stream_id]));
  }
  const Counted& before = counted_[stream_id];
  period.received = counted.received - before.received;
  period.accepted = counted.accepted - before.accepted;
  for (const auto& [reason, total] : counted.refused) {
    period.refused[reason] = since(total, before.refused, reason);
  }
  for (const auto& [window, total] : counted.late) {
    period.late[window] = since(total, before.late, window);
  }
  return period;
}

health::JoinPeriod DeepChecks::period_of(const PlannedJoin& planned,
                                         const std::vector<Counted>& counted, Timestamp now) const {
  const window::JoinOptions& options = planned.join->options;
  health::JoinPeriod period;
  period.join = options.name.text;
  period.to = now;
  for (std::size_t side = 0; side < 2; ++side) {
    const std::uint32_t stream_id = planned.join->sides[side].stream_id;
    period.sides[side].stream = options.streams[side].text;
    period.sides[side].events = counted[stream_id].accepted - counted_[stream_id].accepted;
    period.sides[side].unmatched =
        counted[planned.stream_id].unmatched[side] - counted_[planned.stream_id].unmatched[side];
  }
  period.sides[0].kept = options.keep_left;
  return period;
}

asio::awaitable<bool> DeepChecks::rest(Duration duration) {
  timer_.expires_after(std::chrono::microseconds(duration));
  const auto token = asio::as_tuple(asio::use_awaitable);
  co_await timer_.async_wait(token);
  co_return !stopped_;
}

asio::awaitable<health::CheckResult> DeepChecks::inspect() {
  health::CheckResult result = result_of("database", clock_.now());
  const std::string& path = plan_.config.store.path;
  std::vector<std::string> tables;
  const auto open = [this, &path, &tables]() -> Result<> {
    Result<store::Inspection> opened = store::Inspection::open(path);
    if (opened.has_error()) return opened.error();
    tables = opened->tables();
    const std::lock_guard lock(inspection_mutex_);
    inspection_.emplace(std::move(*opened));
    return {};
  };
  Result<> opened = co_await thread_.run(open);
  std::string damage;
  std::string problem;
  if (opened.has_error()) {
    (opened.error().code == ErrorCode::corrupt ? damage : problem) = opened.error().message;
  }
  for (const std::string& table : tables) {
    const bool goes_on = co_await rest(kRest);
    if (!goes_on || !damage.empty()) break;
    const auto check = [this, &table]() -> Result<std::optional<std::string>> {
      if (interrupted_.load(std::memory_order_relaxed)) return std::optional<std::string>();
      return inspection_->check(table);
    };
    const Result<std::optional<std::string>> checked = co_await thread_.run(check);
    if (checked.has_error()) {
      problem = checked.error().message;
    } else if (checked->has_value()) {
      damage = fmt::format("{}: {}", table, **checked);
    }
  }
  const auto close = [this] {
    const std::lock_guard lock(inspection_mutex_);
    inspection_.reset();
  };
  co_await thread_.run(close);
  result.detail = fmt::format("{} tables were read, and are sound", tables.size());
  if (!damage.empty()) {
    result.state = health::State::failing;
    result.detail = fmt::format("{} is damaged: {}", path, damage);
    result.advice =
        "Stop the engine, look after the disk, and move the file away with its -wal and -shm: the "
        "next start makes a new one from the log as far as that reaches (docs/operations.md); "
        "`sqlite3 FILE .recover` may save older rows, or restore a backup";
  } else if (!problem.empty()) {
    result.state = health::State::warning;
    result.detail = fmt::format("it could not all be looked at: {}", problem);
    result.advice = "It is tried again when the deep checks are due";
  }
  co_return result;
}

asio::awaitable<health::CheckResult> DeepChecks::analyze() {
  const auto list = [this] { return database_.tables_to_analyze(); };
  Result<std::vector<std::string>> tables = co_await thread_.run(list);
  if (tables.has_error()) {
    health::CheckResult result = result_of("statistics", clock_.now());
    result.state = health::State::warning;
    result.detail =
        fmt::format("SQLite's statistics could not be renewed: {}", tables.error().message);
    result.advice = kAnalyzedLater;
    co_return result;
  }
  unrenewed_ = std::move(*tables);
  health::CheckResult result = co_await renew_statistics();
  co_return result;
}

asio::awaitable<health::CheckResult> DeepChecks::renew_statistics() {
  const std::vector<std::string> tables = std::exchange(unrenewed_, {});
  std::string problem;
  std::string held;  // Why it could not be done now.
  int tries = 0;     // For all of them: one long transaction is in the way of each.
  for (const std::string& table : tables) {
    const auto renew = [this, &table] { return database_.analyze(table); };
    bool done = false;
    while (!done && problem.empty() && tries < kTriesMax && !stopped_) {
      const Result<bool> renewed = co_await thread_.run(renew);
      done = renewed.has_value() && *renewed;
      const bool busy = renewed.has_error() && renewed.error().code == ErrorCode::unavailable;
      if (renewed.has_error()) (busy ? held : problem) = renewed.error().message;
      if (done) continue;
      // Whoever is told that another program holds it has waited for that one already.
      tries = busy ? kTriesMax : tries + 1;
      co_await rest(kTryAgain);
    }
    if (!done && problem.empty()) unrenewed_.push_back(table);
  }
  health::CheckResult result = result_of("statistics", clock_.now());
  result.detail = "SQLite's statistics are fresh";
  if (!problem.empty()) {
    unrenewed_.clear();
    result.state = health::State::warning;
    result.detail = fmt::format("SQLite's statistics could not be renewed: {}", problem);
    result.advice = kAnalyzedLater;
  } else if (!unrenewed_.empty()) {
    result.state = health::State::no_data;
    result.detail = fmt::format(
        "SQLite's statistics of {} of {} tables were not renewed: {}; it is tried again soon",
        unrenewed_.size(), tables.size(),
        held.empty() ? "the store was in a transaction each time this was tried" : held);
  }
  co_return result;
}

}  // namespace streamobs::app
