// The plan: a config whose every name and expression has been checked and compiled. What
// `streamobs validate` makes and throws away, and what the topology runs.
//
// Made once, never changed, outlives everything that runs by it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "decode/lookup_plan.h"
#include "decode/stream_plan.h"
#include "detect/detector.h"
#include "event/window_result.h"
#include "window/join_plan.h"
#include "window/window_plan.h"

namespace streamobs::app {

/// One source as the engine numbers them: those of the config first, then one for each stream's
/// HTTP path, then one for each stream's embedding API, then one for each join.
struct PlannedSource {
  std::string name;
  std::string type;  ///< "file", "stdin", "demo", "kafka", "http", "embedded", "join"
  std::uint32_t stream_id = 0;
  /// Index into Config::sources; none for HTTP and embedding.
  std::optional<std::size_t> configured;
  /// What the log calls it. Unique among a stream's sources: nobody can give a configured one the
  /// name of another kind.
  std::string name_in_log;
  bool awaited = false;  ///< It holds its stream's time back from the start.
  /// The most that it may have, each with an order and a time of its own.
  std::size_t partitions_max = 1;
};

/// A sink that is fed a stream's events.
struct PlannedOutbound {
  std::string sink;
  std::vector<std::size_t> key;  ///< Columns of the stream's schema, joined by '|'; empty: no key.
};

struct PlannedStream {
  std::shared_ptr<const decode::StreamPlan> decode;
  std::shared_ptr<const window::StreamWindowsPlan> windows;  ///< Null: nothing reads the stream.
  std::vector<std::size_t> window_ids;  ///< Index of each of its windows in Plan::windows.
  std::uint32_t http_source = 0;
  std::uint32_t embedded_source = 0;
  std::vector<PlannedOutbound> outbound;
  /// The stream's filter, for what is told of its events besides windows; null: it has none.
  std::shared_ptr<const expr::Program> filter;
};

/// A join, and the stream its rows make.
struct PlannedJoin {
  std::shared_ptr<const window::JoinPlan> join;
  std::uint32_t stream_id = 0;
  std::uint32_t source_id = 0;
};

struct PlannedWindow {
  window::WindowOptions options;
  std::shared_ptr<const WindowSchema> schema;
  std::uint32_t stream_id = 0;
};

struct Plan {
  config::Config config;               ///< With the streams that joins make behind the others.
  std::vector<PlannedStream> streams;  ///< In the config's order, as are the windows.
  std::vector<PlannedWindow> windows;
  std::vector<PlannedJoin> joins;                                  ///< The same.
  std::vector<std::shared_ptr<const decode::LookupPlan>> lookups;  ///< In the config's order.
  std::vector<PlannedSource> sources;
  std::vector<std::string> source_names;  ///< By source id.
  std::shared_ptr<const detect::DetectPlan> rules;

  std::vector<std::shared_ptr<const WindowSchema>> schemas() const;
  /// The stream of that name.
  std::optional<std::uint32_t> stream_id(std::string_view name) const;
};

/// Compiles a config. Everything that is wrong is added to `diagnostics`; null if any of it is an
/// error.
std::shared_ptr<const Plan> make_plan(config::Config config, Diagnostics& diagnostics);

/// The same for what was read of a file, complete or not: all its mistakes are told in one round,
/// those that reading it found (which are in `diagnostics`) and the others, in the file's order.
std::shared_ptr<const Plan> make_plan(config::Reading reading, Diagnostics& diagnostics);

}  // namespace streamobs::app
