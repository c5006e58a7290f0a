#include "app/replay.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <unistd.h>

#include <fmt/format.h>

#include "app/topology.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// "[=====>    ] 42 %  1.2 GB of 2.9 GB  310 MB/s", drawn over itself.
class ProgressBar {
 public:
  void update(std::uint64_t read, std::uint64_t total) {
    const auto now = SteadyClock::now();
    if (total == 0 || now - drawn_at_ < std::chrono::milliseconds(100)) return;
    drawn_at_ = now;
    drawn_ = true;
    constexpr int kWidth = 30;
    const double share = std::min(1.0, static_cast<double>(read) / static_cast<double>(total));
    const int filled = static_cast<int>(share * kWidth);
    const double seconds = std::chrono::duration<double>(now - started_).count();
    fmt::print(stderr, "\r[{:=<{}}{:{}}] {:3.0f} %  {:.1f} of {:.1f} MB  {:.0f} MB/s ", "", filled,
               "", kWidth - filled, share * 100, static_cast<double>(read) / 1e6,
               static_cast<double>(total) / 1e6, static_cast<double>(read) / 1e6 / seconds);
  }
  void clear() const {
    if (drawn_) fmt::print(stderr, "\r\x1b[2K");
  }

 private:
  SteadyClock::time_point started_ = SteadyClock::now();
  SteadyClock::time_point drawn_at_{};
  bool drawn_ = false;
};

void add_error(Diagnostics& diagnostics, std::string message, std::string hint) {
  diagnostics.push_back({Diagnostic::Severity::error, {}, std::move(message), std::move(hint), ""});
}

std::string stream_names(const config::Config& config) {
  std::string names;
  for (const decode::StreamOptions& stream : config.streams) {
    names += (names.empty() ? "" : ", ") + stream.name.text;
  }
  return names;
}

void print_summary(const Topology& topology, double seconds) {
  const Totals totals = topology.totals();
  const Plan& plan = topology.plan();
  fmt::print(stderr, "{} events in {:.2f} s ({:.0f} a second)\n", totals.received, seconds,
             static_cast<double>(totals.received) / std::max(seconds, 1e-6));
  fmt::print(stderr, "  accepted {}, rejected {}, left out by a filter {}, late {}\n",
             totals.accepted, totals.rejected, totals.filtered, totals.late);
  fmt::print(stderr, "  {} rows of closed windows, {} anomalies\n", totals.window_rows,
             totals.anomalies);
  if (totals.rejected != 0 || totals.late != 0) {
    fmt::print(stderr,
               "  why: sqlite3 {}/streamobs.db 'SELECT stream, reason, count FROM "
               "dead_letter_count'\n",
               plan.config.data_dir);
  }
}

}  // namespace

bool prepare_replay(config::Config& config, const ReplayOptions& options,
                    Diagnostics& diagnostics) {
  source::SourceOptions source;
  source.name = SourceText("replay");
  source.type = source::Type::file;
  if (options.format == "ndjson" || options.format == "json") {
    source.format = Format::ndjson;
  } else if (options.format == "csv") {
    source.format = Format::csv;
  } else if (options.format == "access_log") {
    source.format = Format::access_log;
  } else {
    add_error(diagnostics, fmt::format("--format {}: there is no such format", options.format),
              "ndjson, csv or access_log");
    return false;
  }
  std::string stream = options.stream;
  if (stream.empty() && config.streams.size() == 1) stream = config.streams.front().name.text;
  const bool known = std::any_of(config.streams.begin(), config.streams.end(),
                                 [&](const auto& s) { return s.name.text == stream; });
  if (!known) {
    add_error(diagnostics,
              stream.empty() ? "the config has several streams: say which one the files hold"
                             : fmt::format("--stream {}: the config has no such stream", stream),
              "--stream with one of: " + stream_names(config));
    return false;
  }
  source.stream = SourceText(stream);
  for (const std::string& file : options.files) source.paths.emplace_back(file);
  config.sources = {source};
  config.http.enabled = false;
  for (window::WindowOptions& window : config.windows) window.emit_every = 0;
  return true;
}

int run_replay(const std::shared_ptr<const Plan>& plan, const ReplayOptions&) {
  ProgressBar bar;
  TopologyOptions options;
  options.stop_when_input_ends = true;
  options.durable = false;
  if (::isatty(STDERR_FILENO) == 1) {
    options.on_progress = [&bar](std::uint64_t read, std::uint64_t total) {
      bar.update(read, total);
    };
  }
  const auto started = SteadyClock::now();
  Topology topology(plan, options);
  if (const Result<> ready = topology.start(); ready.has_error()) {
    log::error(ready.error().message);
    return exit_code_of(ready.error().code);
  }
  const int code = topology.run();
  bar.clear();
  print_summary(topology, std::chrono::duration<double>(SteadyClock::now() - started).count());
  return code;
}

}  // namespace streamobs::app
