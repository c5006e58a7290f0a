#include "app/dlq_command.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <simdjson.h>

#include "app/letter_names.h"
#include "app/topology.h"
#include "base/json_writer.h"
#include "base/time_format.h"
#include "decode/time_text.h"
#include "serve/json.h"
#include "store/dead_letter_box.h"

namespace streamobs::app {

namespace {

constexpr std::uint64_t kPage = 1'000;

struct DlqArguments {
  store::ListQuery filter;
  std::string from;
  std::string to;
  std::uint64_t limit = 0;
  std::int64_t id = 0;
  bool replayed = false;
  bool waiting = false;
  bool ndjson = false;
  std::string target;
};

int fail_with(const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  return exit_code_of(error.code);
}

Result<> read_time(const char* name, const std::string& text, std::optional<Timestamp>& into) {
  if (text.empty()) return {};
  into = decode::TimeParser(nullptr).parse(text);
  if (into) return {};
  return fail(ErrorCode::invalid,
              fmt::format("{}: '{}' is not a time such as 2026-01-09T12:00:00Z", name, text));
}

Result<store::DeadLetterQuery> query_of(const DlqArguments& arguments) {
  store::DeadLetterQuery query(arguments.filter);
  if (Result<> read = read_time("--from", arguments.from, query.list.from); read.has_error()) {
    return read.error();
  }
  if (Result<> read = read_time("--to", arguments.to, query.list.to); read.has_error()) {
    return read.error();
  }
  if (arguments.replayed) query.replayed = true;
  if (arguments.waiting) query.replayed = false;
  return query;
}

std::string as_line(const store::StoredDeadLetter& stored) {
  std::string line;
  JsonWriter json(line);
  serve::write(json, stored);
  return line;
}

/// On one line of a terminal: no control bytes. What is cut ends with a whole character.
std::string shown(std::string_view text, std::size_t width) {
  std::size_t size = std::min(text.size(), width);
  while (size < text.size() && size > 0 &&
         (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
    --size;
  }
  std::string out(text.substr(0, size));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return out;
}

constexpr std::string_view kRow = "{:>8}  {:<27}  {:<16}  {:<14}  {:<8}  {:<40}  {}\n";

void print_row(const store::StoredDeadLetter& stored) {
  const DeadLetter& letter = stored.letter;
  fmt::print(kRow, stored.id, to_rfc3339(letter.received_at), shown(letter.stream, 16),
             shown(letter.reason, 14), letter.replayed_at != 0 ? "replayed" : "",
             shown(letter.place(), 80), shown(letter.detail, 200));
}

Result<> list(const std::string& data_dir, const DlqArguments& arguments) {
  Result<store::DeadLetterQuery> query = query_of(arguments);
  if (query.has_error()) return query.error();
  const Result<store::DeadLetterBox> box = store::DeadLetterBox::open(data_dir);
  if (box.has_error()) return box.error();
  const Result<std::vector<store::DeadLetterCount>> counts = box->counts();
  if (counts.has_error()) return counts.error();
  // Without the config it may be a name of which nothing was ever refused, which is good news.
  const std::string unknown = counts->empty() ? "" : unknown_name(query->list, *counts, nullptr);
  if (!unknown.empty()) fmt::print(stderr, "{}\n", unknown);
  if (!arguments.ndjson) {
    fmt::print(kRow, "id", "received", "stream", "reason", "", "place", "detail");
  }
  std::uint64_t left = arguments.limit;
  while (left != 0) {
    query->list.limit = std::min(left, kPage);
    const Result<std::vector<store::StoredDeadLetter>> page = box->read(*query);
    if (page.has_error()) return page.error();
    for (const store::StoredDeadLetter& stored : *page) {
      arguments.ndjson ? fmt::print("{}\n", as_line(stored)) : print_row(stored);
    }
    if (page->empty()) break;
    query->below = page->back().id;
    left -= page->size();
  }
  return {};
}

Result<> show(const std::string& data_dir, const DlqArguments& arguments) {
  const Result<store::DeadLetterBox> box = store::DeadLetterBox::open(data_dir);
  if (box.has_error()) return box.error();
  store::DeadLetterQuery query;
  query.id = arguments.id;
  const Result<std::vector<store::StoredDeadLetter>> found = box->read(query);
  if (found.has_error()) return found.error();
  if (found->empty()) {
    return fail(ErrorCode::not_found,
                fmt::format("there is no dead letter {}; `streamobs dlq list` shows those there "
                            "are. They are kept for [store] keep_dead_letters",
                            arguments.id));
  }
  const store::StoredDeadLetter& stored = found->front();
  if (arguments.ndjson) {
    fmt::print("{}\n", as_line(stored));
    return {};
  }
  const DeadLetter& letter = stored.letter;
  const auto field = [](std::string_view name, std::string_view value) {
    if (!value.empty()) fmt::print("{:<10} {}\n", name, value);
  };
  field("id", fmt::to_string(stored.id));
  field("received", to_rfc3339(letter.received_at));
  field("stream", letter.stream);
  field("reason", letter.reason);
  field("detail", letter.detail);
  field("window", letter.window);
  field("place", letter.place());
  field("source", letter.source);
  field("origin", letter.origin);
  field("position", fmt::to_string(letter.position));
  if (letter.replayed_at != 0) field("replayed", to_rfc3339(letter.replayed_at));
  if (const std::string_view why = letter.not_replayable(); !why.empty()) {
    field("replay", fmt::format("not possible: {}", why));
  }
  if (letter.header != nullptr) {
    field(letter.format == Format::csv       ? "header"
          : letter.format == Format::pattern ? "patterns"
                                             : "given",
          *letter.header);
  }
  fmt::print("payload\n{}\n", letter.payload);
  return {};
}

/// The engine's report in words; it is ours, so what is missing is not looked for. False: some are
/// refused still, or it ended early.
bool print_report(const std::string& body) {
  simdjson::dom::parser parser;
  simdjson::dom::element report;
  if (parser.parse(body).get(report) != simdjson::SUCCESS) {
    fmt::print("{}\n", body);
    return false;
  }
  const auto count = [&report](const char* name) {
    std::uint64_t value = 0;
    [[maybe_unused]] const auto found = report[name].get(value);
    return value;
  };
  fmt::print("{} taken, {} refused again, {} replayed before, {} passed over\n", count("accepted"),
             count("rejected"), count("repeated"), count("passed_over"));
  simdjson::dom::array failures;
  if (report["errors"].get(failures) == simdjson::SUCCESS) {
    for (const simdjson::dom::element failure : failures) {
      std::int64_t id = 0;
      std::string_view reason = "passed over";
      std::string_view detail;
      [[maybe_unused]] auto found = failure["id"].get(id);
      found = failure["reason"].get(reason);
      found = failure["detail"].get(detail);
      fmt::print("{:>8}  {}: {}\n", id, reason, shown(detail, 400));
    }
  }
  if (count("accepted") != 0) {
    fmt::print(
        "Windows look at what was taken behind this: what is late for them becomes a dead letter "
        "again, see `streamobs dlq list --reason late --waiting`. Where the stream has an id, an "
        "event that is known by it is taken and not counted twice\n");
  }
  std::string_view stopped;
  if (report["stopped"].get(stopped) == simdjson::SUCCESS) {
    fmt::print(stderr, "ended early: {}\n", stopped);
    return false;
  }
  bool more = false;
  if (report["more"].get(more) == simdjson::SUCCESS && more) {
    fmt::print(stderr, "there are more: run it again, or with a higher --limit\n");
  }
  return count("rejected") == 0;
}

/// What sysexits.h calls a data error.
constexpr int kExitRefusedStill = 65;

/// The exit code.
Result<int> replay(const DlqPlace& place, const DlqArguments& arguments) {
  const Result<store::DeadLetterQuery> query = query_of(arguments);
  if (query.has_error()) return query.error();
  Result<ApiTarget> target = place.target();
  if (target.has_error()) return target.error();
  if (!arguments.target.empty()) {
    Result<ApiTarget> given = parse_api_target(arguments.target);
    if (given.has_error()) return given.error();
    given->token = target->token;
    target = std::move(given);
  }
  std::string path = fmt::format("/api/v1/dead-letters/replay?limit={}", arguments.limit);
  const auto add = [&path](const std::string& name, const std::string& value) {
    path += fmt::format("&{}={}", name, url_encoded(value));
  };
  for (const auto& [name, value] : query->list.equal) add(name, value);
  if (query->list.from) add("from", to_rfc3339(*query->list.from));
  if (query->list.to) add("to", to_rfc3339(*query->list.to));
  if (arguments.id != 0) add("id", fmt::to_string(arguments.id));
  const Result<std::string> body = post_to_api(*target, path);
  if (body.has_error()) return body.error();
  return print_report(*body) ? 0 : kExitRefusedStill;
}

void add_filter(CLI::App& command, DlqArguments& arguments) {
  for (const char* name : {"reason", "stream", "source", "window"}) {
    command.add_option_function<std::string>(
        fmt::format("--{}", name),
        [&arguments, name](const std::string& value) {
          arguments.filter.equal.emplace_back(name, value);
        },
        fmt::format("Only those of this {}", name));
  }
  command.add_option("--from", arguments.from, "Only those received at this time or later");
  command.add_option("--to", arguments.to, "Only those received before this time");
}

}  // namespace

std::function<int(const DlqPlace&)> add_dlq_command(CLI::App& command) {
  command.require_subcommand(1);
  command.fallthrough();  // --config and --data-dir are taken behind the verb, too.
  const auto arguments = std::make_shared<DlqArguments>();
  CLI::App* const listing = command.add_subcommand("list", "Print them, the newest first");
  add_filter(*listing, *arguments);
  listing->add_option("--limit", arguments->limit, "At most so many; 100 by default")
      ->check(CLI::Range(1, 100'000));
  CLI::Option* const replayed =
      listing->add_flag("--replayed", arguments->replayed, "Only those that were replayed");
  listing->add_flag("--waiting", arguments->waiting, "Only those that were not")
      ->excludes(replayed);
  listing->add_flag("--ndjson", arguments->ndjson, "One JSON object a line, payload and all");

  CLI::App* const showing = command.add_subcommand("show", "Print one, payload and all");
  showing->add_option("id", arguments->id, "Which one")->required();
  showing->add_flag("--ndjson", arguments->ndjson, "As a JSON object");

  CLI::App* const replaying = command.add_subcommand(
      "replay",
      "Have the running engine take their events as if they came now, each once; late ones only if "
      "asked for by --reason late");
  add_filter(*replaying, *arguments);
  replaying->add_option("--id", arguments->id, "Only this one");
  replaying->add_option("--limit", arguments->limit, "At most so many; 10000 by default")
      ->check(CLI::Range(1, 100'000));
  replaying->add_option("--target", arguments->target,
                        "http://ADDRESS:PORT of the engine, instead of the config's");

  return [arguments, listing, showing, replaying](const DlqPlace& place) {
    if (arguments->limit == 0) arguments->limit = *replaying ? 10'000 : 100;
    if (*replaying) {
      const Result<int> code = replay(place, *arguments);
      return code.has_error() ? fail_with(code.error()) : *code;
    }
    Result<> done;
    if (*listing) done = list(place.data_dir, *arguments);
    if (*showing) done = show(place.data_dir, *arguments);
    return done.has_error() ? fail_with(done.error()) : 0;
  };
}

}  // namespace streamobs::app
