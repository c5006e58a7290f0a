#include "serve/stream_feed.h"

#include "base/json_writer.h"

namespace streamobs::serve {

std::size_t StreamFeed::admit(std::size_t count, Time now) {
  std::size_t admitted = 0;
  {
    const std::lock_guard lock(mutex_);
    const std::chrono::duration<double> passed = std::max(now - refilled_at_, Time::duration());
    refilled_at_ = std::max(now, refilled_at_);
    allowance_ = std::min<double>(kBurst, allowance_ + passed.count() * kEventsPerSecond);
    admitted = std::min(count, static_cast<std::size_t>(allowance_));
    allowance_ -= static_cast<double>(admitted);
  }
  left_out_.fetch_add(count - admitted, std::memory_order_relaxed);
  return admitted;
}

void StreamFeed::show(const std::vector<std::string>& events) {
  std::string data;
  std::size_t bytes = 0;
  JsonWriter json(data);
  json.begin_object().field("stream", stream_).key("events").begin_array();
  for (const std::string& event : events) {
    if (bytes + event.size() > kMessageBytesMax) {
      left_out_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    bytes += event.size();
    json.raw(event);
  }
  json.end_array();
  json.field("left_out", left_out_.exchange(0, std::memory_order_relaxed)).end_object();
  tell_(std::move(data));
}

void StreamFeed::settle() {
  if (!wanted()) {
    left_out_.store(0, std::memory_order_relaxed);
  } else if (left_out_.load(std::memory_order_relaxed) != 0) {
    show({});
  }
}

}  // namespace streamobs::serve
