#include "app/doctor_command.h"

#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <simdjson.h>

#include "app/offline_checks.h"
#include "app/topology.h"
#include "base/time_format.h"
#include "base/wording.h"
#include "decode/time_text.h"
#include "health/report.h"
#include "serve/health.h"

namespace streamobs::app {

namespace {

using health::CheckResult;
using health::State;

struct DoctorArguments {
  std::string target;
  bool offline = false;
  bool json = false;
  bool fields = false;
};

constexpr int kExitWarning = 1;
constexpr int kExitFailing = 2;

int exit_code_of_state(State state) {
  switch (state) {
    case State::no_data:
    case State::ok:
      return 0;
    case State::warning:
      return kExitWarning;
    case State::failing:
      return kExitFailing;
  }
  return kExitFailing;
}

// --- the engine's answer

using simdjson::dom::element;

std::string text_at(const element& from, const char* name) {
  std::string_view text;
  return from[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::optional<double> number_at(const element& from, const char* name) {
  double value = 0;
  if (from[name].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

std::optional<Timestamp> time_at(const element& from, const char* name) {
  return decode::TimeParser(nullptr).parse(text_at(from, name));
}

template <class Take>
void for_each(const element& from, const char* name, const Take& take) {
  simdjson::dom::array rows;
  if (from[name].get(rows) != simdjson::SUCCESS) return;
  for (const element row : rows) take(row);
}

CheckResult read_check(const element& row) {
  CheckResult check;
  check.check = text_at(row, "check");
  check.of = text_at(row, "of");
  check.state = health::parse_state(text_at(row, "state")).value_or(State::failing);
  check.detail = text_at(row, "detail");
  check.advice = text_at(row, "advice");
  check.since = time_at(row, "since");
  return check;
}

health::FieldQuality read_field(const element& row) {
  health::FieldQuality field;
  field.field = text_at(row, "field");
  field.null_share = number_at(row, "null_share").value_or(0);
  field.null_share_before = number_at(row, "null_share_before");
  field.outlier_share = number_at(row, "outlier_share");
  field.usual_from = number_at(row, "usual_from");
  field.usual_to = number_at(row, "usual_to");
  return field;
}

/// It is ours, so what is missing is not looked for; but another program may answer there.
std::optional<health::Report> read_report(const std::string& body) {
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(body).get(root) != simdjson::SUCCESS) return std::nullopt;
  const std::optional<State> state = health::parse_state(text_at(root, "state"));
  if (!state) return std::nullopt;
  health::Report report;
  report.state = *state;
  report.quick_at = time_at(root, "quick_at");
  report.deep_at = time_at(root, "deep_at");
  for_each(root, "rows",
           [&report](const element& row) { report.checks.push_back(read_check(row)); });
  for_each(root, "quality", [&report](const element& row) {
    health::StreamQuality& quality = report.quality.emplace_back();
    quality.stream = text_at(row, "stream");
    quality.events = static_cast<std::uint64_t>(number_at(row, "events").value_or(0));
    for_each(row, "fields",
             [&quality](const element& field) { quality.fields.push_back(read_field(field)); });
  });
  return report;
}

// --- for people

bool coloured() {
  return ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
}

struct Look {
  std::string_view word;
  std::string_view colour;
};

Look look_of(State state) {
  switch (state) {
    case State::no_data:
      return {"no data", "2"};
    case State::ok:
      return {"ok", "32"};
    case State::warning:
      return {"warning", "33"};
    case State::failing:
      return {"FAILING", "1;31"};
  }
  return {"FAILING", "1;31"};
}

std::string painted(State state, bool colour) {
  const Look look = look_of(state);
  const std::string word = fmt::format("{:<8}", look.word);
  return colour ? fmt::format("\x1b[{}m{}\x1b[0m", look.colour, word) : word;
}

/// What an engine says, on one line of a terminal: no control bytes.
std::string shown(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return out;
}

/// "2024-01-09 12:34 UTC".
std::string minute_of(Timestamp t) {
  std::string text = to_rfc3339(t).substr(0, 16);
  text[10] = ' ';
  return text + " UTC";
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

void print_fields(const health::Report& report) {
  for (const health::StreamQuality& stream : report.quality) {
    fmt::print("\n{}: {} events\n", shown(stream.stream),
               number_in_words(static_cast<double>(stream.events)));
    for (const health::FieldQuality& field : stream.fields) {
      std::string line =
          fmt::format("  {:<28} {:>8} null", shown(field.field), percent(field.null_share));
      if (field.outlier_share) {
        line += fmt::format("   {} outside of {} to {}", percent(*field.outlier_share),
                            number_in_words(field.usual_from.value_or(0)),
                            number_in_words(field.usual_to.value_or(0)));
      }
      fmt::print("{}\n", line);
    }
  }
}

void print(const health::Report& report, const std::string& whose) {
  const bool colour = coloured();
  std::size_t failing = 0;
  std::size_t warning = 0;
  for (const CheckResult& check : report.checks) {
    if (check.state == State::failing) ++failing;
    if (check.state == State::warning) ++warning;
    const std::string name = check.of.empty() ? check.check : check.check + " " + check.of;
    std::string line =
        fmt::format("{} {:<24} {}", painted(check.state, colour), shown(name), shown(check.detail));
    const bool bad = check.state > State::ok;
    if (bad && check.since) line += fmt::format(" (since {})", minute_of(*check.since));
    fmt::print("{}\n", line);
    if (bad && !check.advice.empty()) fmt::print("{:>9}→ {}\n", "", shown(check.advice));
  }
  std::string summary =
      report.state == State::no_data ? "nothing could be judged yet" : "all is well";
  if (failing != 0 || warning != 0) {
    summary = fmt::format("{} failing, {} with a warning", failing, warning);
  }
  fmt::print("\n{}: {}", whose, summary);
  if (report.deep_at) {
    fmt::print("; data and database were looked at {}", minute_of(*report.deep_at));
  }
  fmt::print("\n");
}

int give(const health::Report& report, const DoctorArguments& arguments, const std::string& whose,
         std::string json) {
  if (arguments.json) {
    if (json.empty()) {
      JsonWriter writer(json);
      serve::write(writer, report);
    }
    fmt::print("{}\n", json);
  } else {
    print(report, whose);
    if (arguments.fields) print_fields(report);
  }
  return exit_code_of_state(report.state);
}

int examine_offline(const DoctorPlace& place, const DoctorArguments& arguments,
                    CheckResult engine) {
  std::vector<CheckResult> known = {std::move(engine)};
  if (!place.config.empty()) {
    CheckResult& config = known.emplace_back();
    config.check = "config";
    config.detail = fmt::format("{} is valid", place.config);
  }
  const health::Report report = check_offline(place.data_dir, place.health, std::move(known));
  return give(report, arguments, fmt::format("{}, without an engine", place.data_dir), {});
}

int fail_with(const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  return exit_code_of(error.code);
}

int examine(const DoctorPlace& place, const DoctorArguments& arguments) {
  CheckResult engine;
  engine.check = "engine";
  if (arguments.offline) {
    engine.state = State::no_data;
    engine.detail = "it was not asked";
    return examine_offline(place, arguments, std::move(engine));
  }
  Result<ApiTarget> target = place.target;
  if (!arguments.target.empty()) {
    Result<ApiTarget> given = parse_api_target(arguments.target);
    if (given.has_error()) return fail_with(given.error());
    if (target.has_value()) given->token = target->token;
    target = std::move(given);
  }
  if (target.has_error()) return fail_with(target.error());
  Result<std::string> body = post_to_api(*target, "/api/v1/health");
  if (body.has_error() &&
      (body.error().code != ErrorCode::unavailable || !arguments.target.empty())) {
    return fail_with(body.error());
  }
  if (body.has_value()) {
    const std::optional<health::Report> report = read_report(*body);
    const std::string whose = fmt::format("http://{}", target->authority());
    if (!report) {
      return fail_with(
          fail(ErrorCode::invalid,
               fmt::format("what answers at {} is no streamobs of this version", whose)));
    }
    return give(*report, arguments, whose, std::move(*body));
  }
  engine.state = State::failing;
  engine.detail = body.error().message;
  engine.advice =
      "Start it; or say where it listens, as it was told at its start (--listen ADDRESS:PORT, or "
      "--config FILE); or, if it is not meant to run, use --offline";
  return examine_offline(place, arguments, std::move(engine));
}

}  // namespace

std::function<int(const DoctorPlace&)> add_doctor_command(CLI::App& command) {
  const auto arguments = std::make_shared<DoctorArguments>();
  command.add_option("--target,--url", arguments->target,
                     "http://ADDRESS:PORT of the engine, instead of the config's");
  command.add_flag("--offline", arguments->offline,
                   "Ask no engine: only look at the data directory");
  command.add_flag("--json", arguments->json, "The report as the API has it");
  command.add_flag("--fields", arguments->fields,
                   "Also what the fields of each stream were like when they were looked at last");
  return [arguments](const DoctorPlace& place) { return examine(place, *arguments); };
}

}  // namespace streamobs::app
