// What a generator knows about its own data: exact aggregates for each minute and key, and the
// anomalies it injected. End-to-end tests hold the engine's answers against it.
//
// A scenario fills it while it generates; whoever runs the scenario takes the finished rows out
// from time to time. Values are whole numbers (so many digits behind the point), hence sums are
// exact. Memory: the values of the open minutes (three at most at any time), because quantiles are
// exact too. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json_writer.h"
#include "loadgen/episodes.h"

namespace streamobs::loadgen {

class Truth {
 public:
  struct Value {
    std::string name;
    int digits = 0;  ///< Behind the decimal point.
  };
  struct Layout {
    std::vector<std::string> key_names;
    std::vector<Value> values;            ///< At most kValuesMax.
    std::vector<std::string> flag_names;  ///< At most kFlagsMax; flag i is bit i.
  };
  static constexpr std::size_t kValuesMax = 3;
  static constexpr std::size_t kFlagsMax = 2;
  /// "This event has no such value."
  static constexpr std::int64_t kAbsent = std::numeric_limits<std::int64_t>::min();
  /// So many values of an anomaly are kept to tell its observed quantile.
  static constexpr std::size_t kAnomalyValuesMax = 100'000;

  /// An injected anomaly as it was meant and as it came out.
  struct Anomaly {
    std::uint64_t number = 0;
    std::string kind;
    std::string metric;             ///< What a detector should see move.
    std::vector<std::string> keys;  ///< In the order of Layout::key_names; "" = any.
    std::string detail;             ///< For instance the endpoint that suffers most.
    Timestamp from = 0;
    Timestamp to = 0;
    double expected = 0;   ///< Of the metric.
    bool is_rate = false;  ///< Observed = hits / events, else p95 of the values.
    std::uint64_t events = 0;
    std::uint64_t hits = 0;
    std::vector<std::int64_t> values;
    double observed() const;
    int digits = 0;  ///< Of the values.
  };

  explicit Truth(Layout layout) : layout_(std::move(layout)) {}

  /// The next key's id: 0, 1, 2 …
  std::uint32_t add_key(std::vector<std::string> parts);
  std::size_t key_count() const { return keys_.size(); }

  void add(std::uint32_t key, Timestamp event_time, std::span<const std::int64_t> values,
           std::uint32_t flags);

  /// True if `number` has not been described yet: then call describe_anomaly first.
  bool anomaly_is_new(std::uint64_t number) const {
    return anomalies_.empty() || anomalies_.back().number != number;
  }
  void describe_anomaly(Anomaly anomaly) { anomalies_.push_back(std::move(anomaly)); }
  void add_anomaly_event(bool hit, std::int64_t value);

  /// No event older than `now` - kMaxDelay will come.
  void advance(Timestamp now) {
    if (now >= next_close_) close_until(now);
  }
  /// No event will come at all.
  void finish(Timestamp last);

  /// The JSON objects of the minutes closed since the last call, each ended by ",\n".
  std::string take_rows() { return std::exchange(rows_, {}); }
  bool has_rows() const { return !rows_.empty(); }
  /// The JSON array of all anomalies so far.
  void write_anomalies(JsonWriter& json) const;
  const std::vector<Anomaly>& anomalies() const { return anomalies_; }

  /// The item of rank ⌊q(n − 1)⌋ of ascending values, as DDSketch defines a quantile.
  static std::int64_t quantile(std::span<const std::int64_t> sorted, double q);

 private:
  struct Group {
    std::uint64_t count = 0;
    std::array<std::uint64_t, kFlagsMax> flags{};
    std::array<std::vector<std::int64_t>, kValuesMax> values;
  };
  struct Minute {
    Timestamp start = 0;
    std::vector<Group> groups;  ///< By key id.
  };

  Minute& minute_of(Timestamp event_time);
  void close_until(Timestamp now);
  void write_minute(Minute& minute);
  void write_group(Timestamp start, std::uint32_t key, Group& group);

  Layout layout_;
  std::vector<std::vector<std::string>> keys_;
  std::deque<Minute> open_;  ///< Ascending by start.
  Timestamp next_close_ = kMaxTimestamp;
  std::vector<Anomaly> anomalies_;
  std::string rows_;
};

}  // namespace streamobs::loadgen
