#include "app/log_replay.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "app/past_events.h"
#include "app/progress_bar.h"
#include "app/replay.h"
#include "app/topology.h"
#include "base/log.h"
#include "base/posix_file_system.h"

namespace streamobs::app {

namespace {

using SteadyClock = std::chrono::steady_clock;

bool same_place(const std::string& data_dir, const std::string& log) {
  std::error_code ignored;
  const std::filesystem::path data = std::filesystem::weakly_canonical(data_dir, ignored);
  const std::filesystem::path past = std::filesystem::weakly_canonical(log, ignored);
  return data == past || data / "wal" == past;
}

bool refuse(Diagnostics& diagnostics, std::string message, std::string hint) {
  diagnostics.push_back({Diagnostic::Severity::error, {}, std::move(message), std::move(hint), ""});
  return false;
}

int fail_with(const Error& error) {
  log::error(error.message);
  return exit_code_of(error.code);
}

}  // namespace

bool prepare_log_replay(config::Config& config, const LogReplayOptions& options,
                        Diagnostics& diagnostics) {
  if (same_place(config.data_dir, options.directory)) {
    return refuse(
        diagnostics,
        fmt::format("--from-log {}: that is the log of this very data_dir", options.directory),
        "its history goes into another database: say where with --data-dir");
  }
  leave_out_for_replay(config);
  if (options.stream.empty() && options.where.empty()) return true;
  const Result<std::string> stream = stream_to_replay(config, options.stream);
  if (stream.has_error()) return refuse(diagnostics, stream.error().message, "");
  if (options.where.empty()) return true;
  for (decode::StreamOptions& of_stream : config.streams) {
    if (of_stream.name.text != *stream) continue;
    const std::string& filter = of_stream.filter.text;
    SourcePlace place;
    place.file = "--where";
    of_stream.filter = SourceText(
        filter.empty() ? options.where : fmt::format("({}) AND ({})", options.where, filter),
        place);
  }
  return true;
}

int run_log_replay(const std::shared_ptr<const Plan>& plan, const LogReplayOptions& options) {
  const Result<TimeRange> range = parse_time_range(options.from, options.to);
  if (range.has_error()) return fail_with(range.error());
  Result<std::unique_ptr<PastLog>> log = PastLog::open(posix_file_system(), options.directory);
  if (log.has_error()) return fail_with(log.error());
  if (const std::string lacks = (*log)->lacks(); !lacks.empty()) log::warn(lacks);
  ProgressBar bar;
  std::function<void(std::uint64_t, std::uint64_t)> on_progress;
  if (ProgressBar::wanted()) {
    on_progress = [&bar](std::uint64_t read, std::uint64_t total) { bar.update(read, total); };
  }
  PastEvents events(std::move(*log), *plan, options.stream, *range, std::move(on_progress));
  for (const std::string& field : events.unknown_fields()) {
    log::warn("the log does not have this field: it is null in every event", {{"field", field}});
  }
  TopologyOptions topology_options;
  topology_options.durable = false;
  topology_options.input = &events;
  const auto started = SteadyClock::now();
  Topology topology(events.plan(), topology_options);
  if (const Result<> ready = topology.start(); ready.has_error()) return fail_with(ready.error());
  const int code = topology.run();
  bar.clear();
  print_summary(topology, std::chrono::duration<double>(SteadyClock::now() - started).count());
  return code;
}

}  // namespace streamobs::app
