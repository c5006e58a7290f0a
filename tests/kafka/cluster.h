// Brokers within this process (librdkafka's mock cluster), a client that produces, and a look at
// what topics hold.
//
// It cannot prove that something is there exactly once: aborted messages are readable. The real
// broker can (tests/e2e/test_kafka_sink.py).
#pragma once

#include <cstdint>
#include <librdkafka/rdkafka.h>
// Needs the one before it.
#include <librdkafka/rdkafka_mock.h>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"

namespace streamobs::kafka {

class Cluster {
 public:
  explicit Cluster(const std::map<std::string, int>& topics)
      : owner_(client(RD_KAFKA_PRODUCER, {})) {
    cluster_ = rd_kafka_mock_cluster_new(owner_, 1);
    for (const auto& [topic, partitions] : topics) create(topic, partitions);
    producer_ = client(RD_KAFKA_PRODUCER, brokers());
  }
  ~Cluster() {
    rd_kafka_destroy(producer_);
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  std::string brokers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  rd_kafka_mock_cluster_t* mock() { return cluster_; }

  void create(const std::string& topic, int partitions) {
    rd_kafka_mock_topic_create(cluster_, topic.c_str(), partitions, 1);
  }
  void produce(const std::string& topic, std::int32_t partition, std::string message) {
    rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                      RD_KAFKA_V_VALUE(message.data(), message.size()), RD_KAFKA_V_END);
  }
  void produce_with(const std::string& topic, const std::string& value, const std::string& key,
                    const std::map<std::string, std::string>& headers, std::int64_t time_ms) {
    rd_kafka_headers_t* list = rd_kafka_headers_new(headers.size());
    for (const auto& [name, text] : headers) {
      rd_kafka_header_add(list, name.data(), static_cast<ssize_t>(name.size()), text.data(),
                          static_cast<ssize_t>(text.size()));
    }
    rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(0),
                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                      RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                      RD_KAFKA_V_KEY(key.data(), key.size()), RD_KAFKA_V_HEADERS(list),
                      RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_END);
  }
  void flush() { REQUIRE(rd_kafka_flush(producer_, 20'000) == RD_KAFKA_RESP_ERR_NO_ERROR); }
  void fail_next(std::int16_t request, rd_kafka_resp_err_t error, std::size_t times) {
    const std::vector<rd_kafka_resp_err_t> errors(times, error);
    rd_kafka_mock_push_request_errors_array(cluster_, request, errors.size(), errors.data());
  }

  /// Key and value of each message, partition by partition.
  std::vector<std::pair<std::string, std::string>> messages(const std::string& topic,
                                                            int partitions) {
    rd_kafka_t* const consumer = client(RD_KAFKA_CONSUMER, brokers());
    rd_kafka_topic_t* const handle = rd_kafka_topic_new(consumer, topic.c_str(), nullptr);
    std::vector<std::pair<std::string, std::string>> found;
    for (int partition = 0; partition < partitions; ++partition) {
      REQUIRE(rd_kafka_consume_start(handle, partition, RD_KAFKA_OFFSET_BEGINNING) == 0);
      while (true) {
        rd_kafka_message_t* const message = rd_kafka_consume(handle, partition, 20'000);
        REQUIRE(message != nullptr);
        const bool end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
          found.emplace_back(std::string(static_cast<const char*>(message->key), message->key_len),
                             std::string(static_cast<const char*>(message->payload), message->len));
        }
        rd_kafka_message_destroy(message);
        if (end) break;
      }
      rd_kafka_consume_stop(handle, partition);
    }
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(consumer);
    return found;
  }

 private:
  static rd_kafka_t* client(rd_kafka_type_t type, const std::string& brokers) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char why[256];
    if (!brokers.empty()) {
      rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), why, sizeof why);
    }
    if (type == RD_KAFKA_CONSUMER) {
      rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, sizeof why);
    }
    return rd_kafka_new(type, conf, why, sizeof why);
  }

  rd_kafka_t* owner_;
  rd_kafka_mock_cluster_t* cluster_;
  rd_kafka_t* producer_;
};

}  // namespace streamobs::kafka
