// [join.NAME].
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/wording.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

using window::JoinOptions;
using window::Side;

constexpr Choice<bool> kKinds[] = {{"inner", false}, {"left", true}};
constexpr Choice<Side> kSides[] = {{"left", Side::left}, {"right", Side::right}};
constexpr Choice<bool> kMatches[] = {{"all", false}, {"one", true}};
constexpr Choice<bool> kUnmatched[] = {{"dead_letter", false}, {"drop", true}};
constexpr std::size_t kKeysMax = 8;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// "request_id", or "id = request_id" where the two sides call it differently.
JoinOptions::Key read_key(const SourceText& text, const TableReader& table) {
  const std::size_t sign = text.text.find('=');
  const std::string_view whole = text.text;
  const std::string_view left = trimmed(whole.substr(0, sign));
  const std::string_view right = sign == std::string::npos ? left : trimmed(whole.substr(sign + 1));
  if (left.empty() || right.empty()) {
    table.error("on", fmt::format("\"{}\" names no two fields", text.text),
                R"(write "request_id", or "id = request_id" with the left side's name first)");
  }
  return {{SourceText(std::string(left), text.place), SourceText(std::string(right), text.place)}};
}

void read_on(const TableReader& table, JoinOptions& out) {
  std::vector<SourceText> keys;
  const Value* const on = table.find("on");
  if (on == nullptr) {
    table.missing("on", "what is equal on both sides? on = \"request_id\"");
  } else if (on->kind == Value::Kind::array) {
    table.texts("on", keys);
    if (on->items.empty()) table.error("on", "it is empty", "name at least one field");
  } else {
    SourceText key;
    table.text("on", key);
    if (!key.empty()) keys.push_back(std::move(key));
  }
  if (keys.size() > kKeysMax) {
    table.error("on", fmt::format("{} fields are too many", keys.size()),
                fmt::format("at most {}", kKeysMax));
    keys.resize(kKeysMax);
  }
  for (const SourceText& key : keys) out.on.push_back(read_key(key, table));
}

void read_side(const TableReader& table, std::string_view key, SourceText& out) {
  table.text(key, out);
  if (!table.has(key)) table.missing(key, fmt::format("which stream? {} = \"requests\"", key));
}

}  // namespace

void read_join(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[join.{}]", entry.key), kJoin,
                          report);
  JoinConfig join;
  JoinOptions& out = join.options;
  out.name = label_of(entry, "join", ": windows say from = \"NAME\"", report);
  read_side(table, "left", out.streams[0]);
  read_side(table, "right", out.streams[1]);
  read_on(table, out);
  table.duration("within", 0, 31 * kDay, out.within);
  if (!table.has("within")) {
    table.missing("within", "how far apart may the two be? within = \"5m\"");
  }
  table.choice("kind", kKinds, out.keep_left);
  table.choice("time", kSides, out.time);
  table.choice("match", kMatches, out.one_to_one);
  out.hold = out.within;
  table.duration("hold", 0, 31 * kDay, out.hold);
  if (out.hold > out.within) {
    table.error("hold", "it is longer than within",
                "nobody waits for longer than within: leave it out");
  }
  table.choice("unmatched", kUnmatched, out.drop_unmatched);
  table.bytes("max_pending_bytes", 1 << 16, std::size_t{64} << 30, out.pending_bytes_max);

  join.stream.name = out.name;
  join.stream.joined = true;
  if (!read_named(table, "derive", join.stream.derive) || table.lost_names()) {
    join.stream.names_missing = true;
  }
  table.expression("filter", join.stream.filter);
  config.joins.push_back(std::move(join));
}

void check_joins(Config& config, Report& report) {
  std::vector<std::string_view> streams;
  for (const decode::StreamOptions& stream : config.streams) streams.push_back(stream.name.text);
  const auto is_join = [&](std::string_view name) {
    return std::any_of(config.joins.begin(), config.joins.end(),
                       [&](const JoinConfig& join) { return join.options.name.text == name; });
  };
  for (const JoinConfig& join : config.joins) {
    const JoinOptions& options = join.options;
    const Report::Within item(report, "join", options.name.text);
    if (std::find(streams.begin(), streams.end(), options.name.text) != streams.end()) {
      report.error(span_of(options.name),
                   fmt::format("there is a stream \"{}\" as well", options.name.text),
                   "windows take either by its name: give the join another one");
    }
    const auto same_name = [&](const window::WindowOptions& window) {
      return window.name.text == options.name.text;
    };
    if (std::any_of(config.windows.begin(), config.windows.end(), same_name)) {
      report.error(span_of(options.name),
                   fmt::format("there is a window \"{}\" as well", options.name.text),
                   "give one of them another name: what is joined, and what is summed up of it");
    }
    for (const Side side : {Side::left, Side::right}) {
      const SourceText& stream = options.streams[static_cast<std::size_t>(side)];
      const std::string_view key = side == Side::left ? "left" : "right";
      if (stream.empty()) continue;  // Which has been told.
      if (is_join(stream.text)) {
        report.error(span_of(stream), fmt::format("{}: \"{}\" is a join", key, stream.text),
                     "a join takes two streams: " + listed(streams));
      } else {
        check_name(stream, key, "stream", streams, report);
      }
    }
    if (!options.streams[0].empty() && options.streams[0].text == options.streams[1].text) {
      report.error(span_of(options.streams[1]),
                   fmt::format("right: {} is the left side already", options.streams[1].text),
                   "a stream cannot be joined with itself; two events of one stream that belong "
                   "together are what gap = \"…\" (sessions) is for");
    }
  }
}

}  // namespace streamobs::config
