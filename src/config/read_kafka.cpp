// What sources and sinks of type kafka have in common, and [topic.NAME].
#include <algorithm>
#include <cctype>
#include <iterator>
#include <string>

#include <fmt/format.h>

#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

constexpr Choice<kafka::Cleanup> kCleanups[] = {{"delete", kafka::Cleanup::remove},
                                                {"compact", kafka::Cleanup::compact}};

/// The value of one of librdkafka's properties; false after an error.
bool read_property(const Entry& entry, std::string& out, Report& report) {
  const Value& value = entry.value;
  if (value.kind == Value::Kind::integer) {
    out = std::to_string(value.integer);
  } else if (value.kind == Value::Kind::boolean) {
    out = value.boolean ? "true" : "false";
  } else if (value.kind != Value::Kind::string) {
    report.error(value.span,
                 fmt::format("options: \"{}\" is a text, a number, true or false", entry.key));
    return false;
  } else if (is_reference(value)) {
    return resolve_reference(value, entry.key, out, report);
  } else if (sounds_secret(entry.key)) {
    report.error_without_excerpt(
        value.span,
        fmt::format("options: \"{}\": a secret must not stand in the config", entry.key),
        "secrets come from the environment or from a file: \"env:KAFKA_PASSWORD\" or "
        "\"file:/run/secrets/kafka\"");
    return false;
  } else {
    out = value.text;
  }
  return true;
}

}  // namespace

bool sounds_secret(std::string_view name) {
  constexpr std::string_view kWords[] = {"password", "secret", "key.pem", "token"};
  return std::any_of(std::begin(kWords), std::end(kWords), [name](std::string_view word) {
    return name.find(word) != std::string_view::npos;
  });
}

bool check_topic(const SourceText& topic, std::string_view key, bool pattern, Report& report) {
  constexpr std::size_t kTopicCharsMax = 249;
  const std::string_view others = pattern ? "._-*?" : "._-";
  const bool good = std::all_of(topic.text.begin(), topic.text.end(), [others](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           others.find(c) != std::string_view::npos;
  });
  if (good && !topic.text.empty() && topic.text.size() <= kTopicCharsMax) return true;
  report.error(span_of(topic), fmt::format("{}: \"{}\" is no name of a topic", key, topic.text),
               fmt::format("letters, digits, \".\", \"_\" and \"-\", at most 249{}",
                           pattern ? "; * and ? stand for others" : ""));
  return false;
}

void read_client(const TableReader& table, kafka::ClientOptions& out) {
  table.text("brokers", out.brokers);
  if (!table.has("brokers")) table.missing("brokers", "brokers = \"localhost:9092\"");
  const Value* options = table.find("options");
  if (options == nullptr) return;
  if (options->kind != Value::Kind::table) {
    table.error("options", "expected a table",
                "write options = { \"security.protocol\" = \"sasl_ssl\" }");
    return;
  }
  for (const Entry& entry : options->entries) {
    kafka::Property property;
    property.name = SourceText(entry.key, table.report().file().place(entry.key_span));
    if (read_property(entry, property.value, table.report())) {
      out.properties.push_back(std::move(property));
    }
  }
}

void read_topic(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[topic.{}]", entry.key), kTopic,
                          report);
  kafka::TopicOptions out;
  out.name = SourceText(entry.key, report.file().place(entry.key_span));
  check_topic(out.name, "the name", false, report);
  table.integer("partitions", 1, 10'000, out.partitions);
  table.integer("replication", 1, 100, out.replication);
  table.duration("retention", kMinute, 36'600 * kDay, out.retention);
  table.choice("cleanup", kCleanups, out.cleanup);
  config.topics.push_back(std::move(out));
}

}  // namespace streamobs::config
