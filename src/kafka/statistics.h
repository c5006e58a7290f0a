// librdkafka's statistics, of which we want to know how its brokers are. A pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace streamobs::kafka {

struct BrokerState {
  std::string name;  ///< "host:9092/1"
  bool up = false;
  bool in_use = false;  ///< It leads partitions that are being read.
  double round_trip_seconds = 0;
};

/// Brokers of the cluster, those that stand in the configuration only to find the others left out.
/// None if it is not librdkafka's JSON.
std::optional<std::vector<BrokerState>> brokers_of(std::string_view statistics);

}  // namespace streamobs::kafka
