// What all connections of a server share: limits, guard, buffers, metrics, the coarse clock.
//
// Private to src/http. Owned by the Server; outlives its connections. The atomics may be touched on
// any thread, the rest is read-only after listen().
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/body_budget.h"
#include "http/buffer_pool.h"
#include "http/guard.h"
#include "http/listener.h"
#include "http/options.h"
#include "http/router.h"
#include "telemetry/registry.h"

namespace streamobs::http {

/// Counts what is asked and answered. Handles are looked up once and kept.
class Metrics {
 public:
  Metrics(telemetry::Registry& registry, const Router& router);

  /// `route` null: no route was found, or none was looked for.
  void answered(const Route* route, int status, double seconds);
  void rejected(std::string_view reason);
  telemetry::Counter& body_bytes() { return body_bytes_; }
  telemetry::Counter& connections_total() { return connections_total_; }

 private:
  static constexpr std::size_t kStatuses = 22;
  struct PerRoute {
    std::string name;
    std::array<std::atomic<telemetry::Counter*>, kStatuses> by_status{};
    telemetry::Histogram* seconds = nullptr;
  };

  telemetry::Registry& registry_;
  std::vector<PerRoute> routes_;  ///< By Route::index; the last one stands for "no route".
  telemetry::Counter& body_bytes_;
  telemetry::Counter& connections_total_;
};

struct ServerContext {
  ServerContext(HttpOptions o, const Router& r, telemetry::Registry& registry, const Clock& c)
      : options(std::move(o)),
        router(r),
        clock(c),
        pool(kPoolBytesMax),
        bodies(options.all_bodies_bytes_max),
        metrics(registry, r) {}

  static constexpr std::size_t kPoolBytesMax = 64 << 20;
  /// A client that takes nothing of an answer for this long is cut off.
  static constexpr Duration kWriteTimeout = 10 * kSecond;
  /// How long a client that still sends gets to read why it was refused.
  static constexpr Duration kLingerTimeout = 2 * kSecond;

  /// Deadlines count in ticks of the server's one timer: nobody arms a timer for a request. Only
  /// time in which we ran counts, so a stall of ours cuts nobody off.
  std::uint64_t deadline_in(Duration duration) const {
    const auto ticks = static_cast<std::uint64_t>((duration + tick_length - 1) / tick_length);
    return tick.load(std::memory_order_relaxed) + ticks + 1;
  }

  const HttpOptions options;
  const Router& router;
  const Clock& clock;
  std::optional<Guard> guard;  ///< Set by listen().
  BufferPool pool;
  BodyBudget bodies;
  Metrics metrics;
  Duration tick_length = 250 * kMillisecond;
  std::atomic<std::uint64_t> tick{0};
  std::atomic<bool> draining{false};     ///< Requests come to their end.
  std::atomic<bool> live_over{false};    ///< Live streams, too.
  std::atomic<Listener*> heir{nullptr};  ///< Set: another server follows, and finds clients here.
  std::atomic<std::size_t> live{0};      ///< Streams being served.
};

}  // namespace streamobs::http
