#include "kafka/properties.h"

#include <string>
#include <utility>

#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::kafka;

namespace {

Diagnostics told(const std::string& name, const std::string& value) {
  ClientOptions options;
  options.properties.push_back({SourceText(name, {"obs.toml", 4, 13}), value});
  Diagnostics diagnostics;
  const bool good = check(options, diagnostics);
  CHECK(good == diagnostics.empty());
  return diagnostics;
}

std::string value_of(const Conf& conf, const char* name) {
  char value[256] = {};
  std::size_t size = sizeof value;
  REQUIRE(rd_kafka_conf_get(conf.get(), name, value, &size) == RD_KAFKA_CONF_OK);
  return value;
}

}  // namespace

TEST_CASE("properties: librdkafka is asked, and its answer stands at the place") {
  CHECK(told("security.protocol", "sasl_ssl").empty());
  CHECK(told("fetch.min.bytes", "1000").empty());
  for (const auto& [name, value] :
       {std::pair("no.such", "1"), std::pair("fetch.min.bytes", "many"),
        std::pair("security.protocol", "carrier pigeon"), std::pair("error_cb", "1")}) {
    const Diagnostics diagnostics = told(name, value);
    REQUIRE(diagnostics.size() == 1);
    CHECK(diagnostics[0].place.line == 4);
    CHECK(diagnostics[0].message.find(name) != std::string::npos);
  }
}

TEST_CASE("properties: what decides where we read is ours") {
  for (const char* name : {"group.id", "enable.auto.commit", "auto.offset.reset",
                           "bootstrap.servers", "metadata.broker.list", "enable.partition.eof"}) {
    const Diagnostics diagnostics = told(name, "false");
    REQUIRE(diagnostics.size() == 1);
    CHECK(diagnostics[0].message.find("not yours to set") != std::string::npos);
    CHECK_FALSE(diagnostics[0].hint.empty());
  }
}

TEST_CASE("properties: a consumer has the user's, and ours") {
  ClientOptions options;
  options.brokers = "a:1,b:2";
  options.properties.push_back({SourceText("client.id"), "me"});
  options.properties.push_back({SourceText("queued.max.messages.kbytes"), "1024"});
  const Result<Conf> conf = consumer_conf(options);
  REQUIRE(conf.has_value());
  CHECK(value_of(*conf, "bootstrap.servers") == "a:1,b:2");
  CHECK(value_of(*conf, "client.id") == "me");
  CHECK(value_of(*conf, "queued.max.messages.kbytes") == "1024");
  CHECK(value_of(*conf, "enable.auto.commit") == "false");
  CHECK(value_of(*conf, "auto.offset.reset") == "error");
}

TEST_CASE("properties: a producer's are its own") {
  ProducerOptions options;
  for (const char* name : {"acks", "transactional.id", "compression.type", "bootstrap.servers"}) {
    options.client.properties.push_back({SourceText(name, {"obs.toml", 4, 13}), "1"});
  }
  options.client.properties.push_back({SourceText("batch.size", {"obs.toml", 5, 1}), "100000"});
  // Of consumers only, and so of no harm.
  options.client.properties.push_back({SourceText("group.id", {"obs.toml", 5, 1}), "g"});
  options.compression = SourceText("shrink", {"obs.toml", 6, 1});
  Diagnostics diagnostics;
  CHECK_FALSE(check(options, diagnostics));
  REQUIRE(diagnostics.size() == 5);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(diagnostics[i].message.find("is not yours to set") != std::string::npos);
    CHECK_FALSE(diagnostics[i].hint.empty());
  }
  CHECK(diagnostics[4].place.line == 6);

  options.client.properties.assign(1, {SourceText("linger.ms"), "7"});
  options.compression = SourceText("lz4");
  options.transactional_id = "streamobs-1-out";
  const Result<Conf> conf = producer_conf(options);
  REQUIRE(conf.has_value());
  CHECK(value_of(*conf, "linger.ms") == "7");
  CHECK(value_of(*conf, "compression.codec") == "lz4");
  CHECK(value_of(*conf, "transactional.id") == "streamobs-1-out");
  CHECK(value_of(*conf, "enable.idempotence") == "true");
}

TEST_CASE("properties: a group's member has the user's, and takes turns with the others") {
  ClientOptions options;
  options.brokers = "a:1";
  options.properties.push_back({SourceText("session.timeout.ms"), "7000"});
  Diagnostics diagnostics;
  CHECK(check(options, diagnostics));
  const Result<Conf> conf = group_conf(options, "readers");
  REQUIRE(conf.has_value());
  CHECK(value_of(*conf, "group.id") == "readers");
  CHECK(value_of(*conf, "session.timeout.ms") == "7000");
  CHECK(value_of(*conf, "enable.auto.commit") == "false");
  CHECK(value_of(*conf, "partition.assignment.strategy") == "range,roundrobin");
  for (const char* name : {"group.instance.id", "partition.assignment.strategy"}) {
    CHECK(told(name, "x").size() == 1);
  }
}
