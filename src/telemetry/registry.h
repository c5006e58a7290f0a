// The engine's own metrics: every counter named in the code is to be seen at /metrics.
//
// One Registry per engine, alive from first to last. A metric is registered once, at wiring time,
// and its handle kept by the stage that counts; updating a handle is one relaxed atomic operation
// and may happen on any thread. Reading (render) may happen at any time on any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace streamobs::telemetry {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double v) { value_.store(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Fixed upper bounds, ascending, in the metric's unit; +Inf is implied.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double v);
  const std::vector<double>& bounds() const { return bounds_; }
  std::uint64_t bucket(std::size_t i) const { return counts_[i].load(std::memory_order_relaxed); }
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;  ///< bounds + 1.
  std::atomic<double> sum_{0};
};

/// 0.1 ms to 10 s, for times in seconds.
std::vector<double> latency_bounds();

class Registry {
 public:
  Registry();
  ~Registry();

  /// The metric of that name and labels, made on first use. A name keeps one type and one help
  /// text. Counters end in _total. At most kMaxSeries series a name; further ones share
  /// {overflow="true"}.
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                       Labels labels = {});
  /// A gauge whose value is asked for when somebody looks. `read` must be callable on any thread
  /// for as long as the registry lives, or until remove_callbacks(owner).
  void gauge_callback(const void* owner, std::string_view name, std::string_view help,
                      Labels labels, std::function<double()> read);
  void remove_callbacks(const void* owner);

  enum class Exposition { prometheus, openmetrics };  ///< Text 0.0.4, or OpenMetrics 1.0.
  std::string render(Exposition exposition) const;
  /// The current value of a counter or gauge, 0 where there is none; for the API and tests.
  double value(std::string_view name, const Labels& labels = {}) const;
  /// The sum over all counters and gauges of that name that have these labels, whatever others.
  double total(std::string_view name, const Labels& labels) const;

  static constexpr std::size_t kMaxSeries = 2'000;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::telemetry
