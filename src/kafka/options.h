// How to reach a Kafka cluster: what every [source.NAME] (and later every sink) of type kafka says.
#pragma once

#include <string>
#include <vector>

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

}  // namespace streamobs::kafka
