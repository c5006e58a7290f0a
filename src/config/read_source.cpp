// [source.NAME].
#include <algorithm>
#include <iterator>
#include <string>

#include <fmt/format.h>

#include "base/wording.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

using source::SourceOptions;
using source::Type;

/// What loadgen can play.
constexpr std::string_view kScenarios[] = {"services", "transactions", "metrics", "logs", "llm"};
constexpr std::string_view kTypes[] = {"file", "stdin", "demo", "kafka"};
constexpr Choice<source::OnGap> kOnGap[] = {{"stop", source::OnGap::stop},
                                            {"continue", source::OnGap::go_on}};

constexpr double kRateMax = 1e6;          ///< What the demo source keeps up with.
constexpr double kAnomalyShareMax = 0.3;  ///< More would be the normal state.

/// Which keys only one kind of source understands.
struct TypedKey {
  std::string_view key;
  std::string_view types;  ///< Words of kTypes, as messages show them.
};
constexpr TypedKey kTypedKeys[] = {{"format", "file, stdin and kafka"},
                                   {"path", "file"},
                                   {"paths", "file"},
                                   {"follow", "file"},
                                   {"scenario", "demo"},
                                   {"rate", "demo"},
                                   {"seed", "demo"},
                                   {"anomaly_share", "demo"},
                                   {"history", "demo"},
                                   {"brokers", "kafka"},
                                   {"topics", "kafka"},
                                   {"group", "kafka"},
                                   {"start", "kafka"},
                                   {"on_gap", "kafka"},
                                   {"options", "kafka"},
                                   {"max_skew", "kafka"},
                                   {"fields", "kafka"}};

/// Reads `type`; false where there is no telling what the source is.
bool read_type(const TableReader& table, SourceOptions& out) {
  SourceText type;
  table.text("type", type);
  if (!table.has("type")) {
    table.missing("type",
                  "type = \"file\", \"stdin\", \"demo\" or \"kafka\"; HTTP needs no source");
  }
  if (type.empty()) return false;
  if (type.text == "file") {
    out.type = Type::file;
  } else if (type.text == "stdin") {
    out.type = Type::standard_input;
  } else if (type.text == "demo") {
    out.type = Type::demo;
  } else if (type.text == "http") {
    table.error("type", "HTTP needs no source",
                "remove this table: every stream can be posted to, at /v1/events/STREAM");
    return false;
  } else if (type.text == "kafka") {
    out.type = Type::kafka;
  } else {
    table.error("type", fmt::format("there is no source type \"{}\"", type.text),
                did_you_mean(type.text, kTypes,
                             "there are file, stdin, demo and kafka; HTTP needs no source"));
    return false;
  }
  return true;
}

/// Says so where a key is given that this type of source does not look at.
void check_typed_keys(const TableReader& table, Type type) {
  const std::string_view word = kTypes[static_cast<std::size_t>(type)];
  for (const TypedKey& typed : kTypedKeys) {
    if (!table.has(typed.key) || typed.types.find(word) != std::string_view::npos) continue;
    table.error(typed.key, fmt::format("means nothing for a source of type {}", word),
                fmt::format("it is for {} sources; remove it, or change the type", typed.types));
  }
}

void read_file(const TableReader& table, SourceOptions& out) {
  SourceText path;
  table.text("path", path);
  table.texts("paths", out.paths);
  if (table.has("path") && table.has("paths")) {
    table.error("paths", "there is a path already", "keep one of the two");
  } else if (!table.has("path") && (!table.has("paths") || table.find("paths")->items.empty())) {
    table.missing("path", "path = \"events.ndjson\", or paths = [\"logs/*.log\", …]");
  }
  if (!path.empty()) out.paths.insert(out.paths.begin(), path);
  table.flag("follow", out.follow);
}

void read_demo(const TableReader& table, SourceOptions& out) {
  table.text("scenario", out.scenario);
  if (std::find(std::begin(kScenarios), std::end(kScenarios), out.scenario.text) ==
      std::end(kScenarios)) {
    table.error("scenario", fmt::format("there is no scenario \"{}\"", out.scenario.text),
                did_you_mean(out.scenario.text, kScenarios, "there are " + listed(kScenarios)));
  }
  table.number("rate", 0.001, kRateMax, out.rate);
  table.integer("seed", 0, INT64_MAX, out.seed);
  table.number("anomaly_share", 0, kAnomalyShareMax, out.anomaly_share);
  table.duration("history", 0, 31 * kDay, out.history);
}

SourceText name_of(const Entry& entry, const Report& report) {
  return SourceText(entry.key, report.file().place(entry.key_span));
}

/// fields = { NAME = "key", … }: what events are given of their message.
void read_message_fields(const TableReader& table, SourceOptions& out) {
  constexpr std::string_view kHeader = "header:";
  const Value* fields = table.find("fields");
  if (fields == nullptr) return;
  if (fields->kind != Value::Kind::table) {
    table.error("fields", "expected a table of names and parts of a message",
                "write fields = { customer = \"key\" }");
    return;
  }
  for (const Entry& entry : fields->entries) {
    source::MessageField field;
    field.name = name_of(entry, table.report());
    const std::string& part = entry.value.text;
    if (entry.value.kind == Value::Kind::string && part == "timestamp") {
      field.part = source::MessagePart::timestamp;
    } else if (entry.value.kind == Value::Kind::string && part.starts_with(kHeader) &&
               part.size() > kHeader.size()) {
      field.part = source::MessagePart::header;
      field.header = part.substr(kHeader.size());
    } else if (entry.value.kind != Value::Kind::string || part != "key") {
      table.report().error(
          entry.value.span, fmt::format("fields: {} names no part of a message", entry.key),
          "there are \"key\", \"timestamp\" and \"header:NAME\"; what a field's type is, "
          "[stream.NAME] says");
      continue;
    }
    out.message_fields.push_back(std::move(field));
  }
}

void read_kafka(const TableReader& table, SourceOptions& out) {
  read_client(table, out.kafka);
  table.texts("topics", out.topics);
  if (!table.has("topics") || table.find("topics")->items.empty()) {
    table.missing("topics", "topics = [\"requests\"]; * and ? stand for others");
  }
  for (const SourceText& topic : out.topics) {
    check_topic(topic, "topics", true, table.report());
  }
  table.text("group", out.group);
  if (table.has("group") && out.group.empty()) {
    table.error("group", "a consumer group has a name",
                "group = \"streamobs\", or remove it: then the source reads all partitions itself");
  }
  table.text("start", out.start);
  table.choice("on_gap", kOnGap, out.on_gap);
  table.duration("max_skew", kSecond, 366 * kDay, out.max_skew);
  read_message_fields(table, out);
}

}  // namespace

void read_source(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[source.{}]", entry.key),
                          kSource, report);
  SourceOptions out;
  out.name = label_of(entry, "source", "", report);
  if (entry.key == "http") {
    report.error(entry.key_span, "requests are called http where it says where events came from",
                 "choose another name for this source");
  }
  table.text("stream", out.stream);
  if (read_type(table, out)) {
    check_typed_keys(table, out.type);
    if (out.type == Type::file) read_file(table, out);
    if (out.type == Type::demo) read_demo(table, out);
    if (out.type == Type::kafka) read_kafka(table, out);
    out.format_given = read_format(table, out.format);
    if (out.type == Type::kafka && out.format == Format::csv) {
      table.error("format", "a message has no header line, so it cannot be CSV",
                  "json, or one of the formats of lines");
    }
  }
  config.sources.push_back(std::move(out));
}

}  // namespace streamobs::config
