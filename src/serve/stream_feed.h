// A stream's events for those who look at them as they come: a sample of so many a second, and only
// while somebody looks.
//
// One for each stream; owned by the LiveHub, which outlives the lanes' work. Any thread. Who counts
// events asks wanted() once a batch, a relaxed load; all else happens only while there are readers.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace streamobs::serve {

class StreamFeed {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// What is shown of a stream with more events is this many, evenly spread over each batch.
  static constexpr std::size_t kEventsPerSecond = 100;
  /// So many may come at once after a pause.
  static constexpr std::size_t kBurst = 50;
  /// Of the events of one message; those beyond are left out.
  static constexpr std::size_t kMessageBytesMax = 256 << 10;

  /// `tell` takes a message's data, JSON; any thread.
  StreamFeed(std::string stream, std::function<void(std::string data)> tell)
      : stream_(std::move(stream)), tell_(std::move(tell)) {}

  const std::string& stream() const { return stream_; }
  bool wanted() const { return readers_.load(std::memory_order_relaxed) != 0; }

  /// How many of `count` events may be shown now. The others count as left out.
  std::size_t admit(std::size_t count, Time now);
  /// Events, each as JSON, that have been admitted.
  void show(const std::vector<std::string>& events);
  /// Says how many have been left out since the last message, if any have been.
  void settle();

  void reader_came() { readers_.fetch_add(1, std::memory_order_relaxed); }
  void reader_went() { readers_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  const std::string stream_;
  const std::function<void(std::string)> tell_;
  std::atomic<std::size_t> readers_{0};
  std::atomic<std::uint64_t> left_out_{0};
  std::mutex mutex_;
  double allowance_ = kBurst;  ///< Events that may be shown now.
  Time refilled_at_{};
};

}  // namespace streamobs::serve
