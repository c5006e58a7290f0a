#include "support/events.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <random>

#include <fmt/format.h>

#include "base/time_format.h"

namespace streamobs::bench {

namespace {

constexpr std::array kServices = {"checkout", "payments", "search",  "auth",     "gateway",
                                  "catalog",  "orders",   "users",   "shipping", "inventory",
                                  "pricing",  "emails",   "media",   "ads",      "fraud",
                                  "ledger",   "billing",  "profile", "sessions", "feed"};
constexpr std::array kEndpoints = {"/api/cart",       "/api/checkout",
                                   "/api/items/list", "/api/users/profile",
                                   "/login",          "/search",
                                   "/api/orders",     "/api/payment/confirm",
                                   "/health",         "/api/v2/recommendations",
                                   "/static/app.js",  "/api/items/detail"};
constexpr Timestamp kStart = 1'704'804'000 * kSecond;

/// A source of numbers that is the same on every platform, unlike the distributions of <random>.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  double unit() { return (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53; }
  double normal() {  // Box and Muller.
    return std::sqrt(-2 * std::log(unit())) * std::cos(2 * 3.14159265358979323846 * unit());
  }

 private:
  std::mt19937_64 engine_;
};

int status_of(std::size_t per_mille) {
  struct Step {
    std::size_t below;
    int status;
  };
  for (const auto& [below, status] :
       {Step{940, 200}, Step{955, 201}, Step{970, 404}, Step{985, 500}, Step{995, 503}}) {
    if (per_mille < below) return status;
  }
  return 429;
}

std::string millisecond_text(Timestamp t) {
  std::string seconds = to_rfc3339(t / kSecond * kSecond);
  seconds.pop_back();
  return fmt::format("{}.{:03}Z", seconds, t % kSecond / kMillisecond);
}

}  // namespace

std::string make_events(std::size_t count, const EventOptions& options) {
  Numbers numbers(options.seed);
  std::vector<std::string> services;
  for (std::size_t i = 0; i < options.keys; ++i) {
    const std::string name = kServices[i % kServices.size()];
    services.push_back(i < kServices.size() ? name
                                            : fmt::format("{}-{}", name, i / kServices.size()));
  }
  std::string out;
  out.reserve(count * 132);
  auto to = std::back_inserter(out);
  for (std::size_t i = 0; i < count; ++i) {
    const auto late = static_cast<Duration>(numbers.below(2000)) * kMillisecond;
    const std::string time =
        millisecond_text(kStart + static_cast<Duration>(i / 10) * kMillisecond - late);
    const int latency = static_cast<int>(std::exp(4.0 + 0.9 * numbers.normal())) + 1;
    const int status = status_of(numbers.below(1000));
    const char* const endpoint = kEndpoints[numbers.below(kEndpoints.size())];
    const std::string& service = services[numbers.below(services.size())];
    std::array<std::string, 5> members = {
        fmt::format("\"event_time\":\"{}\"", time), fmt::format("\"service\":\"{}\"", service),
        fmt::format("\"endpoint\":\"{}\"", endpoint), fmt::format("\"latency_ms\":{}", latency),
        fmt::format("\"status_code\":{}", status)};
    const std::size_t shape = options.shape == EventShape::three ? numbers.below(3) : 0;
    if (options.shape == EventShape::random) {
      for (std::size_t k = members.size(); k > 1; --k)
        std::swap(members[k - 1], members[numbers.below(k)]);
    }
    if (shape == 0) {
      fmt::format_to(to, "{{{},{},{},{},{}}}\n", members[0], members[1], members[2], members[3],
                     members[4]);
    } else if (shape == 1) {
      fmt::format_to(to, "{{{},{},{},\"region\":\"eu-west-1\",\"latency_ms\":{}.{},{}}}\n",
                     members[1], members[2], members[4], latency, numbers.below(10), members[0]);
    } else {
      fmt::format_to(to, "{{{},{},{},{},{}}}\n", members[4], members[3], members[0], members[2],
                     members[1]);
    }
  }
  return out;
}

std::vector<std::string> cut_into_bodies(const std::string& events, std::size_t bytes) {
  std::vector<std::string> bodies;
  for (std::size_t at = 0; at < events.size();) {
    std::size_t end = std::min(at + bytes, events.size());
    if (end < events.size()) {
      const std::size_t newline = events.rfind('\n', end - 1);
      end = newline != std::string::npos && newline >= at
                ? newline + 1
                : std::min(events.find('\n', at), events.size() - 1) + 1;
    }
    bodies.push_back(events.substr(at, end - at));
    at = end;
  }
  return bodies;
}

}  // namespace streamobs::bench
