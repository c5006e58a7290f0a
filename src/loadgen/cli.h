// `streamobs loadgen SCENARIO`: makes events and sends them to a server, to Kafka, a file or
// stdout.
//
// The app parses the command line into LoadgenOptions; run() does the rest and blocks until the end
// or SIGINT/SIGTERM (which it handles for the time of the run).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "loadgen/scenario.h"

namespace streamobs::loadgen {

struct LoadgenOptions {
  std::string scenario = "services";
  std::uint64_t seed = 1;
  double anomaly_share = 0.05;
  std::uint32_t keys = 0;  ///< Cardinality; 0: the scenario's own.

  /// http://HOST:PORT, or with a path for a scenario of one stream; kafka://HOST:PORT, or with a
  /// topic. Used unless `file` is set.
  std::string target = "http://127.0.0.1:8080";
  /// "-" is stdout. A scenario of several streams writes NAME.STREAM.EXT for each.
  std::string file;

  double rate = 10;          ///< Events per second of wall time; 0: as fast as possible.
  double event_rate = 0;     ///< Events per second of event time; 0: `rate`, or 10 without one.
  std::uint64_t events = 0;  ///< 0: no such end.
  Duration duration = 0;     ///< 0: no such end. With a rate it is turned into `events`.
  std::optional<Timestamp> start;  ///< Event time of the first event.

  std::size_t batch = 500;      ///< Events a request.
  std::size_t connections = 1;  ///< More than one may deliver batches out of order.
  bool request_keys = true;  ///< Each request bears an Idempotency-Key: sent again, it counts once.
  std::string bearer;        ///< env:NAME or file:PATH; empty: none.
  std::string truth_file;    ///< Empty: none.
  bool quiet = false;        ///< No progress and no summary on stderr.
};

inline constexpr std::size_t kBatchMax = 100'000;
inline constexpr std::size_t kConnectionsMax = 1'024;

/// Exit code: 0; 78 the options are wrong or the server will never take such events; 75 the target
/// cannot be reached or gave up; 74 a file cannot be written.
int run(const LoadgenOptions& options);

}  // namespace streamobs::loadgen
