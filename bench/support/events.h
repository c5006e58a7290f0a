// Request telemetry as NDJSON for benchmarks and tests: the 124-byte events of five fields that all
// measurements of this project speak of. The same arguments give the same bytes everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace streamobs::bench {

enum class EventShape {
  fixed,   ///< Always event_time, service, endpoint, latency_ms, status_code, in this order.
  three,   ///< Three recurring shapes, mixed at random: other orders, one field more.
  random,  ///< The five keys in a new random order for each event.
};

struct EventOptions {
  std::size_t keys = 50;  ///< Different services.
  EventShape shape = EventShape::fixed;
  std::uint64_t seed = 42;
};

/// `count` events, one a line. Times rise by 100 µs an event, two seconds out of order.
std::string make_events(std::size_t count, const EventOptions& options);

/// `events` cut at line ends into bodies of at most `bytes`.
std::vector<std::string> cut_into_bodies(const std::string& events, std::size_t bytes);

}  // namespace streamobs::bench
