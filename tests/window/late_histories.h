// What the tests of hopping windows and sessions share: histories with late events, and what an
// oracle says of the events of one row.
#pragma once

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

inline void push(Engine& engine, const std::vector<Event>& events, const Batch& cut) {
  engine.push(&events[cut.begin], cut.end - cut.begin);
}

template <class T>
void add(std::vector<T>& to, const std::vector<T>& from) {
  to.resize(std::max(to.size(), from.size()));
  for (std::size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

}  // namespace window_test
