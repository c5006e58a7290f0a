#include "kafka/producer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cluster.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::kafka;

namespace {

constexpr Duration kLong = 20 * kSecond;

ProducerOptions options_of(const Cluster& cluster, std::string transactional_id = {}) {
  ProducerOptions options;
  options.client.brokers = SourceText(cluster.brokers());
  options.transactional_id = std::move(transactional_id);
  return options;
}

std::unique_ptr<Producer> make(const ProducerOptions& options, ProducerHandlers handlers = {}) {
  Result<std::unique_ptr<Producer>> made = Producer::make(options, std::move(handlers));
  REQUIRE(made.has_value());
  return std::move(*made);
}

}  // namespace

TEST_CASE("producer: each message is delivered and told of") {
  Cluster cluster({{"out", 3}});
  int delivered = 0;
  ProducerHandlers handlers;
  handlers.on_delivery = [&](const rd_kafka_message_t& message) {
    CHECK(message.err == RD_KAFKA_RESP_ERR_NO_ERROR);
    ++delivered;
  };
  const auto producer = make(options_of(cluster), std::move(handlers));
  std::vector<std::pair<std::string, std::string>> expected;
  for (int i = 0; i < 300; ++i) {
    expected.emplace_back("key " + std::to_string(i % 7), "value " + std::to_string(i));
    CHECK_FALSE(producer->produce("out", expected.back().first, expected.back().second));
  }
  CHECK_FALSE(producer->produce("out", std::nullopt, "no key", 2));
  expected.emplace_back("", "no key");
  CHECK(producer->flush(kLong));
  CHECK(producer->undelivered() == 0);
  CHECK(delivered == 301);
  auto found = cluster.messages("out", 3);
  std::sort(found.begin(), found.end());
  std::sort(expected.begin(), expected.end());
  CHECK(found == expected);
}

TEST_CASE("producer: a full queue says so, and takes more once it is served") {
  Cluster cluster({{"out", 1}});
  ProducerOptions options = options_of(cluster);
  options.client.properties.push_back({SourceText("queue.buffering.max.messages"), "10"});
  const auto producer = make(options);
  int full = 0;
  for (int i = 0; i < 100; ++i) {
    Failed failed = producer->produce("out", std::nullopt, std::to_string(i));
    while (failed) {
      REQUIRE(failed->again);
      ++full;
      producer->serve(100 * kMillisecond);
      failed = producer->produce("out", std::nullopt, std::to_string(i));
    }
  }
  CHECK(full > 0);
  CHECK(producer->flush(kLong));
  CHECK(cluster.messages("out", 1).size() == 100);
}

TEST_CASE("producer: transactions, until somebody else has the id") {
  constexpr std::int16_t kEndTransaction = 26;  // Of the protocol.
  Cluster cluster({{"out", 1}});
  const auto producer = make(options_of(cluster, "one"));
  REQUIRE_FALSE(producer->init_transactions(kLong));
  REQUIRE_FALSE(producer->begin());
  CHECK_FALSE(producer->produce("out", "k", "v"));
  REQUIRE_FALSE(producer->commit(kLong));
  CHECK(cluster.messages("out", 1) == std::vector<std::pair<std::string, std::string>>{{"k", "v"}});

  REQUIRE_FALSE(producer->begin());
  CHECK_FALSE(producer->produce("out", "k", "too late"));
  // The mock cluster does not fence by itself.
  rd_kafka_mock_push_request_errors(cluster.mock(), kEndTransaction, 1,
                                    RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
  const Failed failed = producer->commit(kLong);
  REQUIRE(failed);
  CHECK_FALSE(failed->again);
  CHECK(failed->fenced());
}

TEST_CASE("producer: without brokers it is told to try again") {
  ProducerOptions options;
  options.client.brokers = SourceText("127.0.0.1:1");
  options.transactional_id = "one";
  std::vector<rd_kafka_resp_err_t> errors;
  ProducerHandlers handlers;
  handlers.on_error = [&](rd_kafka_resp_err_t error, std::string_view) { errors.push_back(error); };
  const auto producer = make(options, std::move(handlers));
  const Failed failed = producer->init_transactions(kSecond);
  REQUIRE(failed);
  CHECK(failed->again);
  CHECK_FALSE(failed->fenced());
  CHECK_FALSE(errors.empty());
}
