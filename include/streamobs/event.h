// One event, built field by field, for programs that do not have it as JSON already.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace streamobs {

/// A JSON object under construction. Not thread-safe; reuse it with clear().
///
///   Event event;
///   event.set("event_time", Event::now()).set("service", "checkout").set("latency_ms", 12.5);
///   engine.push("requests", event);
class Event {
 public:
  Event& set(std::string_view name, std::string_view value);
  Event& set(std::string_view name, const char* value) { return set(name, std::string_view(value)); }
  Event& set(std::string_view name, const std::string& value) {
    return set(name, std::string_view(value));
  }
  Event& set(std::string_view name, std::int64_t value);
  Event& set(std::string_view name, int value) { return set(name, static_cast<std::int64_t>(value)); }
  Event& set(std::string_view name, double value);  ///< NaN and infinity become null.
  Event& set(std::string_view name, bool value);

  /// The time of day as a stream's time field takes it: RFC 3339, UTC, microseconds.
  static std::string now();

  void clear() { body_.clear(); }
  std::string json() const { return "{" + body_ + "}"; }

 private:
  void name(std::string_view name);
  std::string body_;
};

}  // namespace streamobs
