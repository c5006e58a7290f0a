// What every [source.NAME] and [sink.NAME] of type kafka says of its cluster, and [topic.NAME] of a
// topic.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"

namespace streamobs::kafka {

/// One of librdkafka's own configuration properties.
struct Property {
  SourceText name;
  std::string value;  ///< Secrets as they are, no longer as references.
};

struct ClientOptions {
  SourceText brokers;  ///< "host:9092,…": some of the cluster's, to find the others by.
  std::vector<Property> properties;
};

struct ProducerOptions {
  ClientOptions client;
  SourceText compression;        ///< "gzip", "snappy", "lz4", "zstd"; empty: librdkafka's default.
  std::string transactional_id;  ///< Empty: no transactions.
};

enum class Cleanup : std::uint8_t { remove, compact };

/// How a topic is made. What is not said is left to the brokers.
struct TopicOptions {
  SourceText name;
  std::int32_t partitions = -1;
  std::int32_t replication = -1;
  Duration retention = 0;  ///< How long messages are kept; 0: not said.
  Cleanup cleanup = Cleanup::remove;
};

}  // namespace streamobs::kafka
