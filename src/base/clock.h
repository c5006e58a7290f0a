// Time as the engine counts it, and the one place where the wall clock is read.
//
// Event time is a Timestamp: whole microseconds since 1970-01-01T00:00:00Z, as in PostgreSQL;
// finer digits are cut off. A Clock is injected wherever wall time matters, so that tests and
// replay are deterministic. Clocks may be read from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace streamobs {

using Timestamp = std::int64_t;  ///< Microseconds since the epoch, UTC.
using Duration = std::int64_t;   ///< Microseconds.

inline constexpr Duration kMicrosecond = 1;
inline constexpr Duration kMillisecond = 1'000;
inline constexpr Duration kSecond = 1'000'000;
inline constexpr Duration kMinute = 60 * kSecond;
inline constexpr Duration kHour = 60 * kMinute;
inline constexpr Duration kDay = 24 * kHour;

/// "No time yet": before every event.
inline constexpr Timestamp kMinTimestamp = std::numeric_limits<Timestamp>::min();
/// "After every event": the watermark of a stream that has ended.
inline constexpr Timestamp kMaxTimestamp = std::numeric_limits<Timestamp>::max();

class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall time. May jump; nothing that decides a result may depend on it directly.
  virtual Timestamp now() const = 0;
};

class SystemClock final : public Clock {
 public:
  Timestamp now() const override;
};

/// A clock that stands still until a test moves it.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start) : now_(start) {}
  Timestamp now() const override { return now_.load(std::memory_order_relaxed); }
  void set(Timestamp now) { now_.store(now, std::memory_order_relaxed); }
  void advance(Duration by) { now_.fetch_add(by, std::memory_order_relaxed); }

 private:
  std::atomic<Timestamp> now_;
};

}  // namespace streamobs
