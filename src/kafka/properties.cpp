#include "kafka/properties.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
constexpr std::string_view kOwnGroup = "it has a key of its own here: group = \"streamobs\"";
constexpr std::string_view kEager =
    "all of a group's members have to give up their partitions before any of them changes hands";
constexpr std::string_view kMembersComeAndGo =
    "members come and go, and each process has its own log: it is known by that, and its rows by "
    "the config's `instance`";
constexpr std::string_view kOwnKey = "it has a key of its own here: brokers = \"host:9092\"";
constexpr Owned kOfAll[] = {
    {"bootstrap.servers", kOwnKey},
    {"metadata.broker.list", kOwnKey},
    {"statistics.interval.ms", "streamobs' own metrics need it"},
    {"log.queue", "librdkafka's log lines go into streamobs' own"},
    {"plugin.library.paths", "no code is loaded by configuration"},
};
constexpr Owned kOfConsumers[] = {
    {"auto.offset.reset", "the source's start and on_gap say where it reads"},
    {"enable.auto.commit", kPlacesAreOurs},
    {"auto.commit.enable", kPlacesAreOurs},
    {"auto.commit.interval.ms", kPlacesAreOurs},
    {"enable.auto.offset.store", kPlacesAreOurs},
    {"offset.store.method", kPlacesAreOurs},
    {"offset.store.path", kPlacesAreOurs},
    {"group.id", kOwnGroup},
    {"group.instance.id", kMembersComeAndGo},
    {"partition.assignment.strategy", kEager},
    {"enable.partition.eof", "streamobs needs it to tell a silent partition from one behind"},
    {"allow.auto.create.topics", "a source makes no topics"},
};
constexpr std::string_view kOnce = "every result is sent exactly once, and that needs it as it is";
constexpr std::string_view kCompression = "it is the sink's own key here: compression = \"zstd\"";
constexpr Owned kOfProducers[] = {
    {"transactional.id", "it follows from the log and the sink's name: who else has it is fenced"},
    {"enable.idempotence", kOnce},
    {"enable.gapless.guarantee", kOnce},
    {"acks", kOnce},
    {"request.required.acks", kOnce},
    {"max.in.flight", kOnce},
    {"max.in.flight.requests.per.connection", kOnce},
    {"retries", kOnce},
    {"message.send.max.retries", kOnce},
    {"isolation.level", kOnce},
    {"delivery.report.only.error", kOnce},
    {"compression.codec", kCompression},
    {"compression.type", kCompression},
};

/// Ours of every client of a kind. The user's come later and may change the defaults.
struct Setting {
  const char* name;
  const char* value;
};
constexpr Setting kConsumerDefaults[] = {
    {"client.id", "streamobs"},
    // Bounded by bytes: with librdkafka's 64 MiB it would be the largest buffer of the engine.
    {"queued.min.messages", "1000000"},
    {"queued.max.messages.kbytes", "16384"},
};
constexpr Setting kConsumerFixed[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},
    {"auto.offset.reset", "error"},  // Never a silent jump.
    {"statistics.interval.ms", "1000"},
    {"allow.auto.create.topics", "false"},
    {"log.queue", "true"},
};
/// Of a group's member beside that: it reads nothing.
constexpr Setting kMemberFixed[] = {
    {"partition.assignment.strategy", "range,roundrobin"},
    {"statistics.interval.ms", "0"},
    {"topic.blacklist", "^__"},  // The brokers' own are meant by no pattern.
};

constexpr Setting kProducerDefaults[] = {
    {"client.id", "streamobs"},
    {"queue.buffering.max.kbytes", "32768"},
    {"partitioner", "murmur2_random"},  // A key goes where Java's clients would send it.
};
constexpr Setting kProducerFixed[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"statistics.interval.ms", "1000"},
    {"log.queue", "true"},
};

/// What is said of a client of one kind.
struct Kind {
  std::span<const Owned> owned;
  std::span<const Setting> defaults;
  std::span<const Setting> fixed;
};
constexpr Kind kConsumer{kOfConsumers, kConsumerDefaults, kConsumerFixed};
constexpr Kind kProducer{kOfProducers, kProducerDefaults, kProducerFixed};

const Owned* find_owned(const Kind& kind, std::string_view name) {
  const auto same = [name](const Owned& owned) { return owned.name == name; };
  const auto* const of_all = std::find_if(std::begin(kOfAll), std::end(kOfAll), same);
  if (of_all != std::end(kOfAll)) return of_all;
  const auto found = std::find_if(kind.owned.begin(), kind.owned.end(), same);
  return found == kind.owned.end() ? nullptr : &*found;
}

/// What librdkafka says against it; empty: nothing.
std::string set(rd_kafka_conf_t* conf, const char* name, const char* value) {
  char why[512] = {};
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) return {};
  return why;
}

void complain(const SourceText& at, std::string message, std::string hint,
              Diagnostics& diagnostics) {
  diagnostics.push_back(
      {Diagnostic::Severity::error, at.place, std::move(message), std::move(hint), ""});
}

bool check(const Kind& kind, const ClientOptions& options, Diagnostics& diagnostics) {
  const Conf conf(rd_kafka_conf_new());
  const std::size_t before = diagnostics.size();
  for (const Property& property : options.properties) {
    const std::string& name = property.name.text;
    if (const Owned* owned = find_owned(kind, name)) {
      complain(property.name, fmt::format("the option \"{}\" is not yours to set", name),
               std::string(owned->why), diagnostics);
      continue;
    }
    const std::string why = set(conf.get(), name.c_str(), property.value.c_str());
    if (why.empty()) continue;
    complain(property.name, fmt::format("librdkafka refuses the option \"{}\": {}", name, why),
             fmt::format("options are librdkafka's configuration properties, as its version {} "
                         "has them (CONFIGURATION.md of the project)",
                         rd_kafka_version_str()),
             diagnostics);
  }
  return diagnostics.size() == before;
}

Result<Conf> conf_of(const Kind& kind, const ClientOptions& options,
                     const std::vector<std::pair<const char*, std::string>>& own) {
  Conf conf(rd_kafka_conf_new());
  std::string why;
  const auto apply = [&](const char* name, const char* value) {
    if (why.empty()) why = set(conf.get(), name, value);
  };
  for (const auto& [name, value] : kind.defaults) apply(name, value);
  for (const Property& property : options.properties) {
    apply(property.name.text.c_str(), property.value.c_str());
  }
  for (const auto& [name, value] : kind.fixed) apply(name, value);
  for (const auto& [name, value] : own) apply(name, value.c_str());
  apply("bootstrap.servers", options.brokers.text.c_str());
  if (!why.empty()) return fail(ErrorCode::invalid, "Kafka: " + why);
  return conf;
}

}  // namespace

bool check(const ClientOptions& options, Diagnostics& diagnostics) {
  return check(kConsumer, options, diagnostics);
}

bool check(const ProducerOptions& options, Diagnostics& diagnostics) {
  const bool good = check(kProducer, options.client, diagnostics);
  if (options.compression.empty()) return good;
  const Conf conf(rd_kafka_conf_new());
  const std::string why = set(conf.get(), "compression.type", options.compression.text.c_str());
  if (why.empty()) return good;
  complain(options.compression,
           fmt::format("compression: librdkafka refuses \"{}\": {}", options.compression.text, why),
           "there are gzip, snappy, lz4 and, where librdkafka was built with it, zstd",
           diagnostics);
  return false;
}

Result<Conf> consumer_conf(const ClientOptions& options) {
  return conf_of(kConsumer, options, {});
}

Result<Conf> group_conf(const ClientOptions& options, const std::string& group) {
  std::vector<std::pair<const char*, std::string>> own{{"group.id", group}};
  for (const auto& [name, value] : kMemberFixed) own.emplace_back(name, value);
  return conf_of(kConsumer, options, own);
}

Result<Conf> producer_conf(const ProducerOptions& options) {
  std::vector<std::pair<const char*, std::string>> own;
  if (!options.compression.empty()) {
    own.emplace_back("compression.type", options.compression.text);
  }
  if (!options.transactional_id.empty()) {
    own.emplace_back("transactional.id", options.transactional_id);
  }
  return conf_of(kProducer, options.client, own);
}

}  // namespace streamobs::kafka
