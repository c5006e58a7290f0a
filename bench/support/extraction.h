// The limit that decoding is measured against ("extraction"): simdjson's on-demand parser with
// iterate_many over whole 1 MiB bodies, looking up five fields in their order and touching the
// time's digits. The fastest general JSON reader there is, doing the least that could be called
// decoding.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include <simdjson.h>

#include "event/block.h"
#include "support/events.h"

namespace streamobs::bench {

struct Bodies {
  std::vector<Block> blocks;
  std::size_t events = 0;
};

/// Events in 1 MiB bodies, warm in memory.
inline Bodies make_bodies(std::size_t events, const EventOptions& options) {
  Bodies bodies;
  bodies.events = events;
  for (const std::string& body : cut_into_bodies(make_events(events, options), 1 << 20)) {
    Block block;
    block.format = Format::ndjson;
    block.bytes = std::make_shared<BlockBuffer>();
    block.bytes->append(body);
    block.origin.received_at = 1'800'000'000 * kSecond;
    bodies.blocks.push_back(std::move(block));
  }
  return bodies;
}

inline std::uint64_t extract(simdjson::ondemand::parser& parser, const Bodies& bodies) {
  std::uint64_t sum = 0;
  for (const Block& block : bodies.blocks) {
    simdjson::ondemand::document_stream documents;
    if (parser.iterate_many(block.bytes->data(), block.bytes->size(), block.bytes->size())
            .get(documents)) {
      std::abort();
    }
    for (auto document : documents) {
      simdjson::ondemand::object object;
      std::string_view time, service, endpoint;
      std::int64_t latency = 0, status = 0;
      if (document.get_object().get(object) || object["event_time"].get(time) ||
          object["service"].get(service) || object["endpoint"].get(endpoint) ||
          object["latency_ms"].get(latency) || object["status_code"].get(status)) {
        std::abort();
      }
      std::uint64_t low = 0;
      std::uint64_t high = 0;
      std::memcpy(&low, time.data() + 8, 8);
      std::memcpy(&high, time.data() + 16, 8);
      sum += low * 31 + high + service.size() + endpoint.size() +
             static_cast<std::uint64_t>(latency + status);
    }
  }
  return sum;
}

}  // namespace streamobs::bench
