// [sink.NAME] and [topic.NAME].
#include <string>

#include "config/support.h"

namespace streamobs::config {

namespace {

const std::string kHead = R"toml(
[stream.s]
time = "t"
fields = { shop = "string", area = "string" }
[window.w]
from = "s"
size = "1m"
by = ["shop", "area"]
select = { n = "count(*)" }
)toml";

std::string sink(const std::string& more, const std::string& from = "w") {
  return kHead +
         "[sink.out]\ntype = \"kafka\"\nbrokers = \"b:9092\"\ntopic = \"results\"\nfrom = \"" +
         from + "\"\n" + more;
}

}  // namespace

TEST_CASE("a sink says where results go") {
  const Config config = parse_good(sink(R"(
key = ["area"]
compression = "zstd"
outbox_max = "16MiB"
required = true
options = { "linger.ms" = 20 }
[topic.results]
partitions = 3
replication = 2
retention = "7d"
[topic.streamobs-markers]
cleanup = "compact"
)"));
  REQUIRE(config.sinks.size() == 1);
  const sink::SinkOptions& out = config.sinks[0];
  CHECK(out.name.text == "out");
  CHECK(out.from.text == "w");
  CHECK(out.topic.text == "results");
  CHECK(out.key.at(0).text == "area");
  CHECK(out.kafka.client.brokers.text == "b:9092");
  CHECK(out.kafka.compression.text == "zstd");
  CHECK(out.kafka.client.properties.at(0).value == "20");
  CHECK(out.outbox_bytes_max == 16 << 20);
  CHECK(out.required);
  REQUIRE(config.topics.size() == 2);
  CHECK(config.topics[0].partitions == 3);
  CHECK(config.topics[0].replication == 2);
  CHECK(config.topics[0].retention == 7 * kDay);
  CHECK(config.topics[1].cleanup == kafka::Cleanup::compact);
}

TEST_CASE("a sink left to itself has every default") {
  for (const char* from : {"w", "anomalies", "incidents", "dead_letters"}) {
    const Config config = parse_good(sink("", from));
    CHECK_FALSE(config.sinks.at(0).key_given);
    CHECK_FALSE(config.sinks[0].required);
    CHECK(config.sinks[0].outbox_bytes_max == 256 << 20);
    CHECK(config.sinks[0].markers.text == "streamobs-markers");
    CHECK(config.sinks[0].kafka.compression.empty());
  }
  CHECK(parse_good(sink("compression = \"none\"\n")).sinks.at(0).kafka.compression.text == "none");
  CHECK(parse_good(sink("key = []\n")).sinks.at(0).key_given);
}

TEST_CASE("what a sink cannot be is told with the way out") {
  CHECK(mentions(messages(sink("", "v")), "from: there is no window or stream \"v\""));
  CHECK(mentions(messages(sink("", "anomalys")), "did you mean \"anomalies\"?"));
  CHECK(mentions(messages(sink("key = [\"shopp\"]\n", "s")),
                 "key: stream s has no declared field \"shopp\""));
  CHECK(mentions(messages(sink("", "anomalies") + "[stream.anomalies]\ntime = \"t\"\n"),
                 "is the name of more than one thing"));
  CHECK(mentions(messages(sink("key = [\"shopp\"]\n")), "did you mean \"shop\"?"));
  CHECK(mentions(messages(sink("key = [\"shop\"]\n", "incidents")),
                 "key: means nothing for incidents"));
  CHECK(mentions(messages(sink("compression = \"zst\"\n")), "did you mean \"zstd\"?"));
  CHECK(mentions(messages(sink("markers = \"results\"\n")), "this is the topic of markers"));
  CHECK(mentions(messages(sink("markers = \"a/b\"\n")), "is no name of a topic"));
  CHECK(mentions(messages(sink("partitions = 3\n")), "[topic.NAME] partitions = 3"));
  CHECK(mentions(messages(sink("options = { \"ssl.key.password\" = \"x\" }\n")),
                 "a secret must not stand in the config"));
  CHECK(mentions(messages(kHead + "[sink.out]\ntype = \"webhook\"\n"),
                 "there is no sink type \"webhook\""));
  const std::string nothing = messages(kHead + "[sink.out]\n");
  for (const char* key : {"type", "brokers", "from", "topic"}) {
    INFO(key);
    CHECK(mentions(nothing, std::string(key) + " = \""));
  }
  CHECK(mentions(messages(sink("[topic.other]\npartitions = 3\n")),
                 "[topic.other]: no source reads it and no sink writes it"));
}

TEST_CASE("what a sink writes does not come in again") {
  const auto with = [](const std::string& topics, const std::string& brokers,
                       const std::string& from = "w") {
    return messages(sink("", from) +
                    "[stream.other]\ntime = \"t\"\n"
                    "[source.in]\ntype = \"kafka\"\nstream = \"s\"\nbrokers = \"" +
                    brokers + "\"\ntopics = [" + topics + "]\n");
  };
  CHECK(mentions(with("\"a\", \"results\"", "b:9092", "anomalies"),
                 "topic: [source.in] reads \"results\""));
  CHECK(mentions(with("\"res*\"", "b:9092", "dead_letters"), "topic: [source.in] reads"));
  CHECK_FALSE(mentions(with("\"res*\"", "elsewhere:9092", "dead_letters"), "[source.in] reads"));
  for (const char* same : {"b", "a:9092, B", "PLAINTEXT://b:9092"}) {
    CHECK(mentions(with("\"res*\"", same, "dead_letters"), "topic: [source.in] reads"));
  }
  CHECK_FALSE(mentions(with("\"res*\"", "b:9093", "dead_letters"), "[source.in] reads"));
  CHECK(mentions(with("\"streamobs-*\"", "b:9092", "dead_letters"),
                 "is also the topic of markers of [sink.out]"));
  CHECK(mentions(with("\"results\"", "b:9092"), "topic: [source.in] reads \"results\""));
}

}  // namespace streamobs::config
