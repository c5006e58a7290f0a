// What a run of the load generator counted.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace streamobs::loadgen {

/// Times from 1 µs to over an hour in steps of 5 %.
class LatencyHistogram {
 public:
  void record(Duration latency);
  /// The upper bound of the step that holds the quantile; 0 when empty.
  Duration quantile(double q) const;
  std::uint64_t count() const { return count_; }

 private:
  std::array<std::uint64_t, 460> buckets_{};
  std::uint64_t count_ = 0;
};

enum class Output { file, http, kafka };

struct Report {
  std::vector<std::uint64_t> generated;  ///< Events by stream.
  std::uint64_t bytes = 0;
  // HTTP; `accepted` and `undelivered` of Kafka too
  std::uint64_t requests = 0;  ///< Answered ones.
  std::uint64_t accepted = 0;  ///< Events, by the server's or the brokers' own word.
  std::uint64_t rejected = 0;
  std::uint64_t undelivered = 0;  ///< Events given up on.
  std::uint64_t retries = 0;      ///< After 429, 503 or a broken connection.
  std::uint64_t resent = 0;       ///< Events sent again after a connection broke.
  bool keyed = false;             ///< What was sent again bore the same Idempotency-Key.
  LatencyHistogram latency;       ///< Of a request, from sending to its answer.

  Duration elapsed = 0;
  bool interrupted = false;
  int exit_code = 0;
  std::string error;  ///< Why exit_code is not 0.

  std::uint64_t generated_total() const;
  /// For a person, a few lines.
  std::string to_text(Output output) const;
};

}  // namespace streamobs::loadgen
