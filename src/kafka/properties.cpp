#include "kafka/properties.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace streamobs::kafka {

namespace {

/// What is ours to set, and why.
struct Owned {
  std::string_view name;
  std::string_view why;
};
constexpr std::string_view kPlacesAreOurs =
    "how far a topic has been read is kept in streamobs' own log, so that it fits what was counted";
constexpr std::string_view kNoGroups =
    "the source reads all partitions itself, without a consumer group; groups are not there yet";
constexpr Owned kOwned[] = {
    {"bootstrap.servers", "it is the source's own key here: brokers = \"host:9092\""},
    {"metadata.broker.list", "it is the source's own key here: brokers = \"host:9092\""},
    {"auto.offset.reset", "the source's start and on_gap say where it reads"},
    {"enable.auto.commit", kPlacesAreOurs},
    {"auto.commit.enable", kPlacesAreOurs},
    {"auto.commit.interval.ms", kPlacesAreOurs},
    {"enable.auto.offset.store", kPlacesAreOurs},
    {"offset.store.method", kPlacesAreOurs},
    {"offset.store.path", kPlacesAreOurs},
    {"group.id", kNoGroups},
    {"group.instance.id", kNoGroups},
    {"partition.assignment.strategy", kNoGroups},
    {"session.timeout.ms", kNoGroups},
    {"max.poll.interval.ms", kNoGroups},
    {"enable.partition.eof", "streamobs needs it to tell a silent partition from one behind"},
    {"statistics.interval.ms", "streamobs' own metrics need it"},
    {"allow.auto.create.topics", "a source makes no topics"},
    {"log.queue", "librdkafka's log lines go into streamobs' own"},
    {"plugin.library.paths", "no code is loaded by configuration"},
};

/// Ours of every consumer. The user's come later and may change the first ones.
struct Setting {
  const char* name;
  const char* value;
};
constexpr Setting kDefaults[] = {
    {"client.id", "streamobs"},
    // Bounded by bytes: with librdkafka's 64 MiB it would be the largest buffer of the engine.
    {"queued.min.messages", "1000000"},
    {"queued.max.messages.kbytes", "16384"},
};
constexpr Setting kFixed[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},
    {"auto.offset.reset", "error"},  // Never a silent jump.
    {"statistics.interval.ms", "1000"},
    {"allow.auto.create.topics", "false"},
    {"log.queue", "true"},
};

const Owned* find_owned(std::string_view name) {
  const auto same = [name](const Owned& owned) { return owned.name == name; };
  const auto found = std::find_if(std::begin(kOwned), std::end(kOwned), same);
  return found == std::end(kOwned) ? nullptr : found;
}

/// What librdkafka says against it; empty: nothing.
std::string set(rd_kafka_conf_t* conf, const char* name, const char* value) {
  char why[512] = {};
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) return {};
  return why;
}

}  // namespace

bool check(const ClientOptions& options, Diagnostics& diagnostics) {
  const Conf conf(rd_kafka_conf_new());
  const std::size_t before = diagnostics.size();
  const auto complain = [&](const SourceText& at, std::string message, std::string hint) {
    diagnostics.push_back(
        {Diagnostic::Severity::error, at.place, std::move(message), std::move(hint), ""});
  };
  for (const Property& property : options.properties) {
    const std::string& name = property.name.text;
    if (const Owned* owned = find_owned(name)) {
      complain(property.name, fmt::format("the option \"{}\" is not yours to set", name),
               std::string(owned->why));
      continue;
    }
    const std::string why = set(conf.get(), name.c_str(), property.value.c_str());
    if (why.empty()) continue;
    complain(property.name, fmt::format("librdkafka refuses the option \"{}\": {}", name, why),
             fmt::format("options are librdkafka's configuration properties, as its version {} "
                         "has them (CONFIGURATION.md of the project)",
                         rd_kafka_version_str()));
  }
  return diagnostics.size() == before;
}

Result<Conf> consumer_conf(const ClientOptions& options) {
  Conf conf(rd_kafka_conf_new());
  std::string why;
  const auto apply = [&](const char* name, const char* value) {
    if (why.empty()) why = set(conf.get(), name, value);
  };
  for (const auto& [name, value] : kDefaults) apply(name, value);
  for (const Property& property : options.properties) {
    apply(property.name.text.c_str(), property.value.c_str());
  }
  for (const auto& [name, value] : kFixed) apply(name, value);
  apply("bootstrap.servers", options.brokers.text.c_str());
  if (!why.empty()) return fail(ErrorCode::invalid, "Kafka: " + why);
  return conf;
}

}  // namespace streamobs::kafka
