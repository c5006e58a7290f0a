#include "app/replay.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/progress_bar.h"
#include "app/replay_advice.h"
#include "app/topology.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// So many events refused and not one taken: it is the wrong file, stream or format, and what it
/// says of itself must not be buried under as many dead letters as the file has lines.
constexpr std::uint64_t kRefusedFirstMax = 1'000;

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

/// The beginning of a file, as far as it can be read.
std::string beginning_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(4096, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

/// One of the events refused for that reason, in words.
std::string example_of(const Topology& topology, const std::string& reason) {
  store::ListQuery query;
  query.limit = 1;
  query.equal = {{"reason", reason}};
  const auto letters = topology.dead_letters(query);
  if (letters.has_error() || letters->empty()) return "";
  const DeadLetter& letter = letters->front().letter;
  return fmt::format("  for example line {} of {}: {}\n", letter.position, letter.origin,
                     letter.detail);
}

/// --format, if that of one of the files looks different; else nothing.
std::string other_format(const source::SourceOptions& source) {
  for (const SourceText& path : source.paths) {
    const std::optional<Format> looks_like = format_of(beginning_of(path.text));
    if (!looks_like || *looks_like == source.format) continue;
    // Lines of words have commas in them without being CSV.
    if (*looks_like == Format::csv && is_line_format(source.format)) continue;
    return fmt::format("--format {}; that is what {} looks like", to_text(*looks_like), path.text);
  }
  return "";
}

/// Says why nothing came of a replay, and what to try.
void explain_nothing(const Topology& topology, const Totals& totals) {
  const source::SourceOptions& source = topology.plan().config.sources.front();
  std::string advice = other_format(source);
  const std::string reason = explain_refusals(topology, totals);
  if (reason.empty()) {
    fmt::print(stderr, "error: nothing was counted: there was no event in what was read\n");
  } else if (advice.empty()) {
    advice = advice_on(reason, source.stream.text, source.format);
  }
  if (topology.gave_up()) {
    fmt::print(stderr, "  a replay gives up after {} events that were all refused\n",
               kRefusedFirstMax);
  }
  if (!advice.empty()) fmt::print(stderr, "  try: {}\n", advice);
}

}  // namespace

std::string explain_refusals(const Topology& topology, const Totals& totals) {
  const auto& reasons = totals.rejected_by_reason;
  const auto most =
      std::max_element(reasons.begin(), reasons.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == reasons.end()) return {};
  fmt::print(stderr, "error: nothing was counted: all events were refused, {} of {} as {}\n{}",
             most->second, totals.received, most->first, example_of(topology, most->first));
  return most->first;
}

void print_summary(const Topology& topology, double seconds, std::uint64_t rows_outside) {
  const Totals totals = topology.totals();
  const Plan& plan = topology.plan();
  fmt::print(stderr, "{} events in {:.2f} s ({:.0f} a second)\n", totals.received, seconds,
             static_cast<double>(totals.received) / std::max(seconds, 1e-6));
  fmt::print(stderr, "  accepted {}, rejected {}, left out by a filter {}, late {}\n",
             totals.accepted - rows_outside, totals.rejected, totals.filtered, totals.late);
  if (rows_outside != 0) fmt::print(stderr, "  outside --from and --to {}\n", rows_outside);
  if (!plan.joins.empty()) {
    fmt::print(stderr, "  without a partner {}, still waiting for one {}\n", totals.unmatched,
               totals.pending);
  }
  fmt::print(stderr, "  {} rows of closed windows, {} anomalies\n", totals.window_rows,
             totals.anomalies);
  if (totals.rejected != 0 || totals.late != 0) {
    fmt::print(stderr,
               "  why: sqlite3 {}/streamobs.db 'SELECT stream, reason, count FROM "
               "dead_letter_count'\n",
               plan.config.data_dir);
  }
}

void leave_out_for_replay(config::Config& config) {
  config.sources.clear();
  config.http.enabled = false;
  for (window::WindowOptions& window : config.windows) window.emit_every = 0;
}

Result<std::string> stream_to_replay(const config::Config& config, const std::string& name) {
  if (name.empty() && config.streams.size() == 1) return config.streams.front().name.text;
  const bool known = std::any_of(config.streams.begin(), config.streams.end(),
                                 [&](const auto& stream) { return stream.name.text == name; });
  if (known) return name;
  const bool is_join =
      std::any_of(config.joins.begin(), config.joins.end(),
                  [&](const config::JoinConfig& join) { return join.options.name.text == name; });
  if (is_join) {
    return fail(ErrorCode::invalid,
                fmt::format("--stream {}: that is a join, which is made of its streams again "
                            "without being asked for: --stream with one of {}, or none",
                            name, stream_names(config)));
  }
  return fail(ErrorCode::invalid,
              fmt::format("{}: --stream with one of {}",
                          name.empty() ? "the config has several streams"
                                       : fmt::format("--stream {}: there is no such stream", name),
                          stream_names(config)));
}

namespace {

/// --format, else what the stream says of itself.
bool read_format(const std::string& word, const decode::StreamOptions& stream, Format& out,
                 Diagnostics& diagnostics) {
  const std::optional<Format> format = word.empty() ? stream.format : parse_format(word);
  if (!format) {
    add_error(diagnostics, fmt::format("--format {}: there is no such format", word),
              fmt::format("one of {}", fmt::join(format_words(), ", ")));
    return false;
  }
  if (*format == Format::pattern && stream.patterns.empty()) {
    add_error(diagnostics,
              fmt::format("--format pattern: [stream.{}] has no pattern", stream.name.text),
              "give it one in the config: pattern = '{timestamp} [{level}] {message}'");
    return false;
  }
  // Of files JSON is one object a line.
  out = *format == Format::json ? Format::ndjson : *format;
  return true;
}

}  // namespace

bool prepare_replay(config::Config& config, const ReplayOptions& options,
                    Diagnostics& diagnostics) {
  source::SourceOptions source;
  source.name = SourceText("replay");
  source.type = source::Type::file;
  const Result<std::string> stream = stream_to_replay(config, options.stream);
  if (stream.has_error()) {
    add_error(diagnostics, stream.error().message, "");
    return false;
  }
  source.stream = SourceText(*stream);
  const decode::StreamOptions& declared =
      *std::find_if(config.streams.begin(), config.streams.end(),
                    [&](const decode::StreamOptions& s) { return s.name.text == *stream; });
  if (!read_format(options.format, declared, source.format, diagnostics)) return false;
  for (const std::string& file : options.files) source.paths.emplace_back(file);
  leave_out_for_replay(config);
  config.sources = {source};
  return true;
}

int run_replay(const std::shared_ptr<const Plan>& plan) {
  ProgressBar bar;
  TopologyOptions options;
  options.stop_when_input_ends = true;
  options.durable = false;
  // Of several files the first may be of an older format, and the others good.
  const std::vector<SourceText>& files = plan->config.sources.front().paths;
  if (files.size() == 1) options.refused_first_max = kRefusedFirstMax;
  if (ProgressBar::wanted()) {
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
  const Totals totals = topology.totals();
  if (code != 0 && totals.received == 0) return code;
  print_summary(topology, std::chrono::duration<double>(SteadyClock::now() - started).count());
  if (code != 0 || totals.accepted != 0) return code;
  explain_nothing(topology, totals);
  return kExitNothingCounted;
}

}  // namespace streamobs::app
