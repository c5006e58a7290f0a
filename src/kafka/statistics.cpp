#include "kafka/statistics.h"

#include <simdjson.h>

namespace streamobs::kafka {

std::optional<std::vector<BrokerState>> brokers_of(std::string_view statistics) {
  simdjson::dom::parser parser;
  simdjson::dom::object brokers;
  // Copied: the text has no padding behind it.
  if (parser.parse(statistics.data(), statistics.size(), true)["brokers"].get(brokers) != 0U) {
    return std::nullopt;
  }
  std::vector<BrokerState> states;
  for (const auto& [key, value] : brokers) {
    std::int64_t node = -1;
    std::string_view state;
    std::string_view name;
    if (value["nodeid"].get(node) != 0U || node < 0) continue;
    // A coordinator has a second connection of its own, to a broker that is there already.
    std::string_view origin;
    if (value["source"].get(origin) == 0U && origin == "logical") continue;
    if (value["state"].get(state) != 0U || value["name"].get(name) != 0U) continue;
    BrokerState broker;
    broker.name = name;
    broker.up = state == "UP" || state == "UPDATE";
    simdjson::dom::object partitions;
    broker.in_use = value["toppars"].get(partitions) == 0U && partitions.size() != 0;
    std::int64_t average_us = 0;
    if (value["rtt"]["avg"].get(average_us) == 0U) {
      broker.round_trip_seconds = static_cast<double>(average_us) / 1e6;
    }
    states.push_back(std::move(broker));
  }
  return states;
}

}  // namespace streamobs::kafka
