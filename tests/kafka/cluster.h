// Brokers within this process (librdkafka's mock cluster), and a look at what topics hold.
//
// It cannot prove that something is there exactly once: aborted messages are readable. The real
// broker can (tests/e2e/test_kafka_sink.py).
#pragma once

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
    for (const auto& [topic, partitions] : topics) {
      rd_kafka_mock_topic_create(cluster_, topic.c_str(), partitions, 1);
    }
  }
  ~Cluster() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  std::string brokers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  rd_kafka_mock_cluster_t* mock() { return cluster_; }

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
};

}  // namespace streamobs::kafka
