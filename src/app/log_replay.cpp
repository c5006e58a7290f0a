#include "app/log_replay.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "app/past_events.h"
#include "app/progress_bar.h"
#include "app/replay.h"
#include "app/replay_advice.h"
#include "app/topology.h"
#include "base/log.h"
#include "base/posix_file_system.h"
#include "base/time_format.h"

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

/// History goes where nothing else is: what is there stays as it is, and rows of two replays, or of
/// a replay and an engine, are never mixed.
bool check_destination(const std::string& data_dir, const std::string& log,
                       Diagnostics& diagnostics) {
  std::error_code ignored;
  const char* const hint =
      "say with --data-dir which new or empty directory the history is to go into";
  if (same_place(data_dir, log)) {
    return refuse(diagnostics,
                  fmt::format("--from-log {}: that is the log of this very data_dir", log), hint);
  }
  if (std::filesystem::exists(data_dir + "/wal", ignored)) {
    return refuse(diagnostics,
                  fmt::format("the data_dir {} is that of an engine: its log is in {}/wal",
                              data_dir, data_dir),
                  hint);
  }
  if (std::filesystem::exists(data_dir + "/streamobs.db", ignored)) {
    return refuse(diagnostics,
                  fmt::format("the data_dir {} has the results of an engine or of another replay: "
                              "{}/streamobs.db",
                              data_dir, data_dir),
                  hint);
  }
  return true;
}

/// Says why nothing came of it, and what to try.
void explain_nothing(const Topology& topology, const Totals& totals, const PastEvents& events,
                     std::string stream) {
  if (events.rows_outside() != 0) {
    fmt::print(stderr,
               "error: nothing was counted: no event is in the time of --from and --to\n"
               "  try: a part of the time that the log's events are of, {} to {}\n",
               to_rfc3339(events.seen()->from), to_rfc3339(events.seen()->to));
    return;
  }
  if (!events.any()) {
    fmt::print(
        stderr,
        "error: nothing was counted: the log holds no event any more, only what a restart "
        "needs\n"
        "  try: [wal] keep = {{ age = \"7d\", bytes = \"10GB\" }}, which has it keep more from "
        "now on\n");
    return;
  }
  const std::string reason = explain_refusals(topology, totals);
  if (!reason.empty()) {
    const std::vector<PlannedStream>& streams = topology.plan().streams;
    if (stream.empty()) stream = streams.size() == 1 ? streams[0].decode->schema.stream : "NAME";
    fmt::print(stderr, "  try: {}\n", advice_on(reason, stream, Format::json));
    return;
  }
  fmt::print(stderr,
             "error: nothing was counted: the log has no event of the config's streams\n"
             "  try: the names that the streams had when the log was written\n");
}

int fail_with(const Error& error) {
  log::error(error.message);
  return exit_code_of(error.code);
}

}  // namespace

bool prepare_log_replay(config::Config& config, const LogReplayOptions& options,
                        Diagnostics& diagnostics) {
  if (!check_destination(config.data_dir, options.directory, diagnostics)) return false;
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
  const Result<std::vector<std::string>> unknown = events.unknown_fields();
  if (unknown.has_error()) return fail_with(unknown.error());
  for (const std::string& field : *unknown) {
    log::warn("the log does not have this field: it is null in every event", {{"field", field}});
  }
  TopologyOptions topology_options;
  topology_options.durable = false;
  topology_options.input = &events;
  topology_options.range = *range;
  const auto started = SteadyClock::now();
  Topology topology(events.plan(), topology_options);
  if (const Result<> ready = topology.start(); ready.has_error()) return fail_with(ready.error());
  const int code = topology.run();
  bar.clear();
  if (const std::string over = events.passed_over(); !over.empty()) log::warn(over);
  const Totals totals = topology.totals();
  if (code != 0 && totals.received == 0) return code;
  // One that was interrupted has read more than it has counted.
  const std::uint64_t outside = std::min(events.rows_outside(), totals.accepted);
  print_summary(topology, std::chrono::duration<double>(SteadyClock::now() - started).count(),
                outside);
  if (code != 0 || totals.accepted != outside) return code;
  explain_nothing(topology, totals, events, options.stream);
  return kExitNothingCounted;
}

}  // namespace streamobs::app
