#include "app/tap_command.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>
#include <simdjson.h>

#include "app/live_client.h"
#include "app/output_lines.h"
#include "app/tap_view.h"
#include "app/topology.h"
#include "base/duration.h"
#include "base/wording.h"
#include "config/keys.h"
#include "serve/stream_feed.h"

namespace streamobs::app {

namespace {

struct TapArguments {
  std::string name;
  std::vector<std::string> filter;
  std::string target;
  std::uint64_t count = 0;  ///< 0: no such end.
  Duration duration = 0;    ///< Likewise.
  bool json = false;
};

/// What there is to be looked at, as the engine says.
struct Catalogue {
  struct Item {
    std::string name;
    std::vector<std::string> columns;
  };
  std::vector<Item> windows;
  std::vector<Item> streams;
};

int fail_with(const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  return exit_code_of(error.code);
}

/// The rows of an answer: their names, and those of what they list under `lists`.
Result<std::vector<Catalogue::Item>> read_items(const ApiTarget& target, const char* path,
                                                const char* name_member,
                                                const std::vector<const char*>& lists) {
  const Result<std::string> body = get_from_api(target, path);
  if (body.has_error()) return body.error();
  const Error no_engine =
      fail(ErrorCode::invalid,
           fmt::format("what answers at http://{} is no streamobs", target.authority()));
  simdjson::dom::parser parser;
  simdjson::dom::element answer;
  simdjson::dom::array rows;
  if (parser.parse(*body).get(answer) != simdjson::SUCCESS) return no_engine;
  if (answer["rows"].get(rows) != simdjson::SUCCESS) return no_engine;
  std::vector<Catalogue::Item> items;
  for (const simdjson::dom::element row : rows) {
    std::string_view name;
    if (row[name_member].get(name) != simdjson::SUCCESS) return no_engine;
    items.push_back({std::string(name), {}});
    for (const char* list : lists) {
      simdjson::dom::array columns;
      if (row[list].get(columns) != simdjson::SUCCESS) return no_engine;
      for (const simdjson::dom::element column : columns) {
        // A stream's field stands in its events under its path.
        if (column["path"].get(name) != simdjson::SUCCESS &&
            column["name"].get(name) != simdjson::SUCCESS) {
          return no_engine;
        }
        items.back().columns.emplace_back(name);
      }
    }
  }
  return items;
}

Result<Catalogue> read_catalogue(const ApiTarget& target) {
  auto windows = read_items(target, "/api/v1/windows", "window", {"keys", "metrics"});
  if (windows.has_error()) return windows.error();
  auto streams = read_items(target, "/api/v1/streams", "stream", {"fields"});
  if (streams.has_error()) return streams.error();
  for (Catalogue::Item& window : *windows) {
    for (const char* column : {"window_start", "window_end", "closed"}) {
      window.columns.emplace_back(column);
    }
  }
  return Catalogue{std::move(*windows), std::move(*streams)};
}

/// "did you mean …?", or all that there is.
std::string hint_for(std::string_view unknown, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  return config::did_you_mean(unknown, views, fmt::format("there is {}", listed(known)));
}

/// What is to be followed, and how it is asked for.
struct Subject {
  TapSubject kind = TapSubject::window;
  std::string path;
  /// What its rows can be filtered by; empty: anything.
  std::vector<std::string> columns;
};

Result<Subject> find_subject(const Catalogue& catalogue, const std::string& name) {
  constexpr std::string_view kLive = "/api/v1/live?events=";
  if (name == "anomalies" || name == "incidents") {
    const bool anomalies = name == "anomalies";
    return Subject{anomalies ? TapSubject::anomalies : TapSubject::incidents,
                   fmt::format("{}{}", kLive, anomalies ? "anomaly" : "incident"),
                   {}};
  }
  std::vector<std::string> known{"anomalies", "incidents"};
  // As the config has them: only where a stream is called like a window the prefix is needed.
  for (const Catalogue::Item& window : catalogue.windows) {
    if (name == window.name || name == "window." + window.name) {
      return Subject{TapSubject::window,
                     fmt::format("{}window&windows={}", kLive, url_encoded(window.name)),
                     window.columns};
    }
    known.push_back(window.name);
  }
  for (const Catalogue::Item& stream : catalogue.streams) {
    if (name == stream.name || name == "stream." + stream.name) {
      return Subject{TapSubject::stream,
                     fmt::format("{}stream&streams={}", kLive, url_encoded(stream.name)),
                     stream.columns};
    }
    known.push_back(stream.name);
  }
  return fail(ErrorCode::invalid, fmt::format("there is nothing called \"{}\" to be tapped; {}",
                                              name, hint_for(name, known)));
}

Result<TapFilter> read_filter(const std::vector<std::string>& texts, const Subject& subject) {
  TapFilter filter;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::invalid,
                  fmt::format("{}: a filter is written KEY=VALUE, such as service=checkout", text));
    }
    std::string key = text.substr(0, equals);
    const std::vector<std::string>& columns = subject.columns;
    if (!columns.empty() && std::find(columns.begin(), columns.end(), key) == columns.end()) {
      return fail(ErrorCode::invalid, fmt::format("{}: there is no column \"{}\"; {}", text, key,
                                                  hint_for(key, columns)));
    }
    filter.emplace_back(std::move(key), text.substr(equals + 1));
  }
  return filter;
}

TapStyle style_of(const TapArguments& arguments) {
  TapStyle style;
  style.json = arguments.json;
  if (arguments.json || ::isatty(STDOUT_FILENO) != 1) return style;
  style.colour = std::getenv("NO_COLOR") == nullptr;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) style.width = size.ws_col;
  return style;
}

/// One run of the command: the engine's messages in, lines out, until something ends it.
class Tap {
 public:
  Tap(const TapArguments& arguments, ApiTarget target, const Subject& subject, TapFilter filter)
      : left_(arguments.count == 0 ? std::numeric_limits<std::uint64_t>::max() : arguments.count),
        duration_(arguments.duration),
        view_(subject.kind, style_of(arguments), std::move(filter)),
        client_(std::move(target), subject.path,
                {[this](const LiveMessage& message) { print(message); },
                 [](const std::string& change) { fmt::print(stderr, "{}\n", change); }}) {}

  Result<> run() {
    boost::asio::signal_set signals(io_, SIGINT, SIGTERM);
    signals.async_wait([this](const error_code& cancelled, int) {
      if (!cancelled) io_.stop();
    });
    asio::steady_timer end(io_);
    if (duration_ != 0) {
      end.expires_after(std::chrono::microseconds(duration_));
      end.async_wait([this](const error_code& cancelled) {
        if (!cancelled) io_.stop();
      });
    }
    Result<> outcome;
    asio::co_spawn(io_, client_.run(),
                   [this, &outcome](const std::exception_ptr& bug, const Result<>& ended) {
                     if (bug) std::rethrow_exception(bug);
                     outcome = ended;
                     io_.stop();
                   });
    report_left_out_now_and_then();
    io_.run();
    report_left_out();
    if (lines_.nobody_reads()) return {};
    if (lines_.failed()) return lines_.error();
    return outcome;
  }

 private:
  void report_left_out() {
    const std::uint64_t left_out = view_.take_left_out();
    if (left_out == 0) return;
    fmt::print(stderr, "({} more events; a tap is shown up to {} a second)\n", left_out,
               serve::StreamFeed::kEventsPerSecond);
  }
  void report_left_out_now_and_then() {
    report_timer_.expires_after(std::chrono::seconds(1));
    report_timer_.async_wait([this](const error_code& cancelled) {
      if (cancelled) return;
      report_left_out();
      report_left_out_now_and_then();
    });
  }

  void print(const LiveMessage& message) {
    if (left_ == 0) return;
    const std::uint64_t before = view_.shown();
    std::string text = view_.show(message.data, left_);
    left_ -= view_.shown() - before;
    if (text.empty()) return;
    text.pop_back();
    lines_.print(text);
    lines_.flush();
    if (left_ == 0 || lines_.failed()) io_.stop();
  }

  std::uint64_t left_;
  const Duration duration_;
  TapView view_;
  OutputLines lines_;
  LiveClient client_;
  asio::io_context io_{1};  ///< Behind those that its coroutines refer to: it unwinds them.
  asio::steady_timer report_timer_{io_};
};

Result<> tap(const TapArguments& arguments, const std::function<Result<ApiTarget>()>& of_config) {
  Result<ApiTarget> target = of_config();
  if (target.has_error() && arguments.target.empty()) return target.error();
  if (!arguments.target.empty()) {
    Result<ApiTarget> given = parse_api_target(arguments.target);
    if (given.has_error()) return given.error();
    if (target.has_value()) given->token = target->token;
    target = std::move(given);
  }
  const Result<Catalogue> catalogue = read_catalogue(*target);
  if (catalogue.has_error()) return catalogue.error();
  const Result<Subject> subject = find_subject(*catalogue, arguments.name);
  if (subject.has_error()) return subject.error();
  Result<TapFilter> filter = read_filter(arguments.filter, *subject);
  if (filter.has_error()) return filter.error();
  // Anomalies may be long in coming: somebody who waits should know for what.
  if (::isatty(STDERR_FILENO) == 1) {
    fmt::print(stderr, "{} of http://{}, as they come; Ctrl-C ends it\n", arguments.name,
               target->authority());
  }
  const NoPipeSignal no_pipe_signal;
  Tap tap(arguments, std::move(*target), *subject, std::move(*filter));
  return tap.run();
}

}  // namespace

std::function<int(const std::function<Result<ApiTarget>()>&)> add_tap_command(CLI::App& command) {
  const auto arguments = std::make_shared<TapArguments>();
  command.add_option("name", arguments->name, "A window, a stream, \"anomalies\" or \"incidents\"")
      ->required();
  command.add_option("filter", arguments->filter,
                     "KEY=VALUE: only rows that have this value, such as service=checkout");
  command.add_option("--target,--url", arguments->target,
                     "http://ADDRESS:PORT of the engine, instead of the config's");
  command.add_option("--count", arguments->count, "Stop after so many rows")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000'000}));
  command.add_option_function<std::string>(
      "--for",
      [arguments](const std::string& text) {
        const Result<Duration> parsed = parse_duration(text);
        if (parsed.has_error()) throw CLI::ValidationError("--for", parsed.error().message);
        if (*parsed <= 0) throw CLI::ValidationError("--for", "it takes some time, such as 30s");
        arguments->duration = *parsed;
      },
      "Stop after this long, such as 30s or 10m");
  command.add_flag("--json", arguments->json, "One JSON object a line, as the API has it");
  return [arguments](const std::function<Result<ApiTarget>()>& target) {
    const Result<> done = tap(*arguments, target);
    return done.has_error() ? fail_with(done.error()) : 0;
  };
}

}  // namespace streamobs::app
