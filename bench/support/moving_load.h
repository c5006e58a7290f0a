// Load for as long as it is wanted: 1 MiB bodies of the usual events are sent again and again, each
// pass over them a minute of event time after the one before, so that windows close as in life and
// nothing is late.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/events.h"
#include "support/http_load.h"

namespace streamobs::bench {

class MovingLoad {
 public:
  /// Events of one minute: their times rise by 100 µs.
  static constexpr std::size_t kEventsPerPass = 600'000;

  explicit MovingLoad(const EventOptions& options) {
    for (const std::string& body :
         cut_into_bodies(make_events(kEventsPerPass, options), std::size_t{1} << 20)) {
      bodies_.push_back(std::make_unique<Body>(body));
    }
  }

  /// Sends `passes` passes over so many connections, one body outstanding on each. Returns when
  /// everything has been answered. Call after call goes on in event time, unless begin() is called.
  void send(std::uint16_t port, std::size_t passes, std::size_t connections) {
    std::atomic<std::size_t> next{0};
    const std::size_t all = passes * bodies_.size();
    std::vector<std::thread> clients;
    for (std::size_t i = 0; i < connections; ++i) {
      clients.emplace_back([&] {
        const int fd = connect_to(port);
        for (std::size_t k = next++; k < all; k = next++) {
          bodies_[k % bodies_.size()]->send(fd, passes_sent_ + k / bodies_.size());
          read_answer(fd);
        }
        ::close(fd);
      });
    }
    for (std::thread& client : clients) client.join();
    passes_sent_ += passes;
  }
  /// From the first minute again, for another engine.
  void begin() { passes_sent_ = 0; }

 private:
  class Body {
   public:
    explicit Body(const std::string& events) : request_(request_of(events)) {
      constexpr std::string_view kTime = R"("event_time":"2024-01-09T)";
      for (std::size_t at = 0; (at = request_.find(kTime, at)) != std::string::npos;) {
        at += kTime.size();
        const int hour = std::atoi(&request_[at]);
        places_.push_back({static_cast<std::uint32_t>(at),
                           static_cast<std::uint32_t>(hour * 60 + std::atoi(&request_[at + 3]))});
      }
      if (places_.empty()) std::abort();
    }
    void send(int fd, std::size_t minutes_later) {
      const std::lock_guard lock(mutex_);  // The pass before may still be under way.
      for (const Place& place : places_) {
        const std::size_t minute = place.minute + minutes_later;
        if (minute >= 24 * 60) std::abort();  // The date would have to move, too.
        put_two(place.offset, minute / 60);
        put_two(place.offset + 3, minute % 60);
      }
      send_all(fd, request_);
    }

   private:
    struct Place {
      std::uint32_t offset;  ///< Of "HH:MM".
      std::uint32_t minute;  ///< Of the day, as generated.
    };
    void put_two(std::size_t offset, std::size_t number) {
      request_[offset] = static_cast<char>('0' + number / 10);
      request_[offset + 1] = static_cast<char>('0' + number % 10);
    }
    std::mutex mutex_;
    std::string request_;
    std::vector<Place> places_;
  };

  std::vector<std::unique_ptr<Body>> bodies_;
  std::size_t passes_sent_ = 0;
};

}  // namespace streamobs::bench
