// [sink.NAME], and what it says of other sections.
#include <algorithm>
#include <cctype>
#include <fnmatch.h>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/wording.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

using sink::SinkOptions;

constexpr std::string_view kTypes[] = {"kafka"};
constexpr std::string_view kCompressions[] = {"none", "gzip", "snappy", "lz4", "zstd"};
/// What a sink may be fed from besides windows.
constexpr std::string_view kLists[] = {"anomalies", "incidents", "dead_letters"};

constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kTiB = std::size_t{1} << 40;

bool is_list(std::string_view from) {
  return std::find(std::begin(kLists), std::end(kLists), from) != std::end(kLists);
}

void read_type(const TableReader& table) {
  SourceText type;
  table.text("type", type);
  if (!table.has("type")) table.missing("type", "type = \"kafka\"");
  if (type.empty() || type.text == "kafka") return;
  table.error("type", fmt::format("there is no sink type \"{}\"", type.text),
              did_you_mean(type.text, kTypes,
                           "there is kafka; the store (SQLite) is always there and needs no sink"));
}

void read_compression(const TableReader& table, kafka::ProducerOptions& out) {
  SourceText compression;
  table.text("compression", compression);
  if (compression.empty()) return;
  if (std::find(std::begin(kCompressions), std::end(kCompressions), compression.text) !=
      std::end(kCompressions)) {
    out.compression = std::move(compression);
    return;
  }
  table.error("compression", fmt::format("there is no compression \"{}\"", compression.text),
              did_you_mean(compression.text, kCompressions, "there are " + listed(kCompressions)));
}

/// What a sink may say of `from`, with what it is told when it says something else.
void check_from(const SinkOptions& sink, const Config& config, Report& report) {
  const std::string& from = sink.from.text;
  std::vector<std::string_view> known;
  for (const window::WindowOptions& window : config.windows) known.push_back(window.name.text);
  for (const decode::StreamOptions& stream : config.streams) known.push_back(stream.name.text);
  known.insert(known.end(), std::begin(kLists), std::end(kLists));
  for (const JoinConfig& join : config.joins) {
    if (join.options.name.text != from) continue;
    report.error(span_of(sink.from), fmt::format("from: \"{}\" is a join", from),
                 fmt::format("send what a window makes of it ([window.NAME] with from = \"{}\"), "
                             "or the streams it joins",
                             from));
    return;
  }
  switch (std::count(known.begin(), known.end(), from)) {
    case 0:
      report.error(span_of(sink.from),
                   fmt::format("from: there is no window or stream \"{}\"", from),
                   did_you_mean(from, known, "there are " + listed(known)));
      return;
    case 1:
      return;
    default:
      report.error(span_of(sink.from),
                   fmt::format("from: \"{}\" is the name of more than one thing", from),
                   "it may be a window, a stream, or one of " + listed(kLists) +
                       ": give the one that is meant a name of its own");
  }
}

const window::WindowOptions* window_of(const SinkOptions& sink, const Config& config) {
  const auto found = std::find_if(config.windows.begin(), config.windows.end(),
                                  [&](const auto& w) { return w.name.text == sink.from.text; });
  return found == config.windows.end() ? nullptr : &*found;
}

const decode::StreamOptions* stream_of(const SinkOptions& sink, const Config& config) {
  const auto found = std::find_if(config.streams.begin(), config.streams.end(),
                                  [&](const auto& s) { return s.name.text == sink.from.text; });
  return found == config.streams.end() ? nullptr : &*found;
}

/// A stream's key is made of its fields as they come.
void check_fields(const SinkOptions& sink, const decode::StreamOptions& stream, Report& report) {
  std::vector<std::string_view> names = {stream.time.text};
  for (const decode::FieldOptions& field : stream.fields) {
    if (field.type.kind != Kind::map) names.push_back(field.name.text);
  }
  for (const SourceText& key : sink.key) {
    if (std::find(names.begin(), names.end(), key.text) != names.end()) continue;
    report.error(
        span_of(key),
        fmt::format("key: stream {} has no declared field \"{}\"", sink.from.text, key.text),
        did_you_mean(key.text, names, "it has " + listed(names)));
  }
}

void check_key(const SinkOptions& sink, const Config& config, Report& report) {
  const decode::StreamOptions* const stream = stream_of(sink, config);
  if (stream != nullptr && !stream->names_missing) check_fields(sink, *stream, report);
  const window::WindowOptions* const window = window_of(sink, config);
  if (window == nullptr || window->names_missing) return;
  std::vector<std::string_view> names;
  for (const window::NamedExpression& by : window->by) names.push_back(by.name.text);
  for (const SourceText& key : sink.key) {
    if (std::find(names.begin(), names.end(), key.text) != names.end()) continue;
    report.error(
        span_of(key), fmt::format("key: window {} has no key \"{}\"", sink.from.text, key.text),
        names.empty() ? "it has none at all: remove key, and messages are spread over partitions"
                      : did_you_mean(key.text, names, "it has " + listed(names)));
  }
}

/// The addresses that librdkafka makes of a list of brokers.
std::set<std::string> addresses_of(std::string_view brokers) {
  std::set<std::string> addresses;
  while (!brokers.empty()) {
    const std::size_t comma = brokers.find(',');
    std::string address;
    for (const unsigned char c : brokers.substr(0, comma)) {
      if (std::isspace(c) == 0) address += static_cast<char>(std::tolower(c));
    }
    if (const std::size_t scheme = address.find("://"); scheme != std::string::npos) {
      address.erase(0, scheme + 3);
    }
    // Behind the brackets of an IPv6 address, if it is one.
    if (address.find(':', address.rfind(']') + 1) == std::string::npos) address += ":9092";
    addresses.insert(address);
    brokers.remove_prefix(comma == std::string_view::npos ? brokers.size() : comma + 1);
  }
  return addresses;
}

/// Whether two lists name a broker in common. That two names are one machine's is not seen.
bool share_broker(const SourceText& one, const SourceText& other) {
  const std::set<std::string> known = addresses_of(one.text);
  const std::set<std::string> asked = addresses_of(other.text);
  return std::any_of(asked.begin(), asked.end(),
                     [&known](const std::string& address) { return known.count(address) != 0; });
}

/// What is written must not come in again.
void check_loop(const SinkOptions& sink, const Config& config, Report& report) {
  const window::WindowOptions* const window = window_of(sink, config);
  const decode::StreamOptions* const stream = stream_of(sink, config);
  for (const source::SourceOptions& source : config.sources) {
    if (source.type != source::Type::kafka) continue;
    if (!share_broker(source.kafka.brokers, sink.kafka.client.brokers)) continue;
    for (const SourceText& topic : source.topics) {
      const auto reads = [&](const SourceText& written) {
        return ::fnmatch(topic.text.c_str(), written.text.c_str(), 0) == 0;
      };
      // Events of another stream may well be made of these results.
      const std::string* const made_of = window != nullptr   ? &window->from.text
                                         : stream != nullptr ? &stream->name.text
                                                             : nullptr;
      const bool same_stream = made_of == nullptr || *made_of == source.stream.text;
      if (same_stream && reads(sink.topic)) {
        report.error(
            span_of(sink.topic),
            fmt::format("topic: [source.{}] reads \"{}\" (\"{}\"): its results would be its "
                        "events",
                        source.name.text, sink.topic.text, topic.text),
            "send them to another topic, or have the source name the topics it is to read");
      }
      if (reads(sink.markers)) {
        report.error(span_of(topic),
                     fmt::format("topics: \"{}\" is also the topic of markers of [sink.{}], \"{}\"",
                                 topic.text, sink.name.text, sink.markers.text),
                     "name the topics to be read more closely");
      }
    }
  }
}

void check_topic_used(const kafka::TopicOptions& topic, const Config& config, Report& report) {
  for (const sink::SinkOptions& sink : config.sinks) {
    if (sink.topic.text == topic.name.text || sink.markers.text == topic.name.text) return;
  }
  for (const source::SourceOptions& source : config.sources) {
    for (const SourceText& read : source.topics) {
      if (::fnmatch(read.text.c_str(), topic.name.text.c_str(), 0) == 0) return;
    }
  }
  report.error(span_of(topic.name),
               fmt::format("[topic.{}]: no source reads it and no sink writes it", topic.name.text),
               "remove it, or correct its name; a name with dots is written in quotes: "
               "[topic.\"llm.metrics\"]");
}

}  // namespace

void read_sink(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[sink.{}]", entry.key), kSink,
                          report);
  SinkOptions out;
  out.name = label_of(entry, "sink", "", report);
  read_type(table);
  read_client(table, out.kafka.client);
  table.text("from", out.from);
  if (!table.has("from")) {
    table.missing("from", "from = \"WINDOW\", \"anomalies\", \"incidents\" or \"dead_letters\"");
  }
  table.text("topic", out.topic);
  if (!table.has("topic")) table.missing("topic", "topic = \"service-metrics\"");
  if (!out.topic.empty()) check_topic(out.topic, "topic", false, report);
  table.text("markers", out.markers);
  check_topic(out.markers, "markers", false, report);
  if (out.topic.text == out.markers.text) {
    table.error("topic", "this is the topic of markers", "results and markers do not mix");
  }
  out.key_given = table.has("key");
  table.texts("key", out.key);
  if (out.key_given && is_list(out.from.text) && out.from.text != "dead_letters") {
    table.error("key", fmt::format("means nothing for {}", out.from.text),
                "anomalies and incidents go by their id");
  }
  read_compression(table, out.kafka);
  table.bytes("outbox_max", kMiB, kTiB, out.outbox_bytes_max);
  table.flag("required", out.required);
  config.sinks.push_back(std::move(out));
}

void check_sinks(const Config& config, Report& report) {
  for (const SinkOptions& sink : config.sinks) {
    const Report::Within item(report, "sink", sink.name.text);
    if (!sink.from.empty()) check_from(sink, config, report);
    check_key(sink, config, report);
    check_loop(sink, config, report);
  }
  for (const kafka::TopicOptions& topic : config.topics) {
    const Report::Within item(report, "topic", topic.name.text);
    check_topic_used(topic, config, report);
  }
}

}  // namespace streamobs::config
