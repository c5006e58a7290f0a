// What the tests of hopping windows, sessions and corrections share: histories with late events, a
// run of one across a restart, and what an oracle says of the events of one row.
#pragma once

#include <cstdlib>
#include <set>

#include "window/support.h"

namespace window_test {

inline std::vector<NamedExpression> select_list() {
  return {{"n", "count(*)"},
          {"cents", "sum(amount)"},
          {"slowest", "max(latency_ms)"},
          {"users", "count(distinct user_id)"},
          {"first_status", "first(status_code)"},
          {"last_status", "last(status_code)"},
          {"p50", "quantile(latency_ms, 0.5)"}};  // Not the oracle's; for the states.
}

inline constexpr std::size_t kOracleMetrics = 6;

inline Timestamp floor_to(Timestamp t, Duration step) {
  return (t >= 0 ? t / step : -((-t + step - 1) / step)) * step;
}

/// What as_oracle() leaves of a row behind its key.
inline std::string metrics_of(const std::vector<Event>& events) {
  std::optional<std::int64_t> cents;
  std::optional<double> slowest;
  std::set<std::int64_t> users;
  const Event* first = &events[0];
  const Event* last = &events[0];
  for (const Event& e : events) {
    if (e.amount) cents = cents.value_or(0) + *e.amount;
    if (e.latency_ms) slowest = std::max(slowest.value_or(*e.latency_ms), *e.latency_ms);
    if (e.user_id) users.insert(*e.user_id);
    if (e.time < first->time) first = &e;
    if (e.time >= last->time) last = &e;
  }
  return fmt::format(" m={} m={} m={} m={} m={} m={}", events.size(),
                     cents ? fmt::format("{}{}.{:02}", *cents < 0 ? "-" : "",
                                         std::abs(*cents) / 100, std::abs(*cents) % 100)
                           : "null",
                     slowest ? fmt::format("{:a}", *slowest) : "null", users.size(),
                     first->status_code, last->status_code);
}

/// Without the metrics that the oracle does not compute, and the state.
inline std::vector<std::string> as_oracle(std::vector<std::string> rows) {
  for (std::string& row : rows) {
    std::size_t at = 0;
    for (std::size_t i = 0; i <= kOracleMetrics; ++i) at = row.find(" m=", at + 1);
    row.resize(at);
  }
  return rows;
}

/// How far event time has come, as an oracle sees it: as far as the partition that is behind.
struct Watermark {
  explicit Watermark(std::uint32_t partitions) : newest(partitions, kMinTimestamp) {}

  void pass(const Event& e) {
    newest[e.partition] = std::max(newest[e.partition], e.time);
    time = std::max(time, *std::min_element(newest.begin(), newest.end()));
  }

  std::vector<Timestamp> newest;
  Timestamp time = kMinTimestamp;
};

/// How many histories a test goes through; other numbers by hand: STREAMOBS_SEEDS=3000. Under
/// AddressSanitizer a sixth: what that looks for shows in few, and each takes ten times as long.
inline unsigned seeds(unsigned usual) {
  if (const char* const wanted = std::getenv("STREAMOBS_SEEDS")) {
    return static_cast<unsigned>(std::atoi(wanted));
  }
#ifdef __SANITIZE_ADDRESS__
  return usual / 6;
#else
  return usual;
#endif
}

struct Batch {
  std::size_t begin;
  std::size_t end;
};

inline std::vector<Batch> cut_up(const std::vector<Event>& events, std::mt19937& random,
                                 std::size_t most, std::size_t line) {
  std::vector<Batch> cuts;
  for (std::size_t at = 0; at < events.size();) {
    const std::size_t n = 1 + random() % most;
    std::size_t end = at + 1;
    while (end < events.size() && end != line && end - at < n &&
           events[end].partition == events[at].partition) {
      ++end;
    }
    cuts.push_back({at, end});
    at = end;
  }
  return cuts;
}

inline std::vector<Event> random_events(std::mt19937& random, std::size_t n,
                                        std::uint32_t partitions, Duration stride) {
  std::vector<Event> events;
  std::vector<Timestamp> clocks(partitions, Timestamp{1'700'000'000} * kSecond);
  if (random() % 8 == 0) clocks.assign(partitions, -40 * kSecond);  // Across the epoch.
  for (std::size_t i = 0; i < n; ++i) {
    Event e;
    e.partition = random() % partitions;
    Timestamp& clock = clocks[e.partition];
    clock += static_cast<Timestamp>(random() % 1000) * stride / 1000;
    if (random() % 60 == 0) clock += static_cast<Timestamp>(random() % 300) * kSecond;  // A gap.
    e.time = clock;
    if (random() % 3 == 0) e.time -= static_cast<Timestamp>(random() % 90) * kSecond;
    if (random() % 3 == 0) e.time = floor_to(e.time, 5 * kSecond);  // Ties, edges.
    if (random() % 10 != 0) e.service = fmt::format("service-{}", random() % 6);
    if (random() % 10 != 0) e.user_id = static_cast<std::int64_t>(random() % 9);
    if (random() % 6 != 0) e.latency_ms = static_cast<double>(random() % 10'000) / 8;
    e.status_code = 200 + static_cast<std::int64_t>(random() % 300);
    if (random() % 5 != 0) e.amount = static_cast<std::int64_t>(random() % 100'000) - 20'000;
    events.push_back(std::move(e));
  }
  return events;
}

/// Rows that have closed, not the views of what was open.
inline std::vector<std::string> closed_rows_of(const Records& records) {
  Records closed;
  for (const Record& record : records) {
    if (!std::get<WindowBatchPtr>(record)->early) closed.push_back(record);
  }
  return rows_of(closed);
}

/// What comes of a history; counts by window.
struct Outcome {
  std::vector<std::string> rows;
  std::vector<std::uint64_t> late;
  std::vector<std::uint64_t> partly_late;
  std::vector<std::uint64_t> correcting;
  std::string snapshot;         ///< Of the windows, at the restart.
  std::size_t kept_panes = 0;   ///< At the merger, at the restart.
  std::size_t panes_after = 0;  ///< The same at the end.
};

struct Run {
  std::size_t lanes = 1;
  std::uint32_t partitions = 1;
  unsigned seed = 0;
  std::size_t restart_at = 0;  ///< The event before which a checkpoint is taken over.
  std::size_t windows = 0;     ///< How many there are; now and then one shows what is open.
};

/// The events cut into batches at random, through an engine and, from a checkpoint, another one
/// that may have other lanes.
inline Outcome outcome_of(const Compiled& compiled, const std::vector<Event>& events,
                          const Run& run, std::mt19937& random) {
  const std::vector<Batch> cuts = cut_up(events, random, 1 + random() % 40, run.restart_at);
  Engine before(compiled, run.lanes, run.partitions, run.seed);
  Engine after(compiled, 1 + random() % 4, run.partitions, run.seed + 1);
  Engine* engine = &before;
  for (const Batch& cut : cuts) {
    if (cut.begin == run.restart_at) {
      before.checkpoint();
      before.drain();
      const auto restored = after.restore(before.checkpoints.at(0));
      REQUIRE(restored.has_value());
      REQUIRE(restored->lost.empty());
      engine = &after;
    }
    if (random() % 5 == 0) engine->show(random() % run.windows);
    engine->push(&events[cut.begin], cut.end - cut.begin);
  }
  REQUIRE(engine == &after);
  Outcome outcome;
  outcome.kept_panes = before.merger().kept().panes + before.merger().kept().closed_panes;
  after.finish();
  outcome.panes_after = after.merger().kept().panes + after.merger().kept().closed_panes;
  outcome.rows = closed_rows_of(before.records);
  for (std::string& row : closed_rows_of(after.records)) outcome.rows.push_back(std::move(row));
  const auto sum = [&](std::vector<std::uint64_t> a, const std::vector<std::uint64_t>& b) {
    a.resize(run.windows);
    for (std::size_t i = 0; i < b.size(); ++i) a[i] += b[i];
    return a;
  };
  outcome.late = sum(before.late_counts, after.late_counts);
  outcome.partly_late = sum(before.partly_late_counts, after.partly_late_counts);
  outcome.correcting = sum(before.correcting_counts, after.correcting_counts);
  outcome.snapshot = before.checkpoints.at(0).windows;
  return outcome;
}

}  // namespace window_test
