#include "http/server_context.h"

#include <algorithm>

namespace streamobs::http {

namespace {
constexpr std::array<int, 21> kStatusSlots = {200, 204, 304, 400, 401, 403, 404, 405, 408, 413, 415,
                                              417, 421, 429, 431, 500, 503, 507, 422, 101, 426};
constexpr std::string_view kRequests = "streamobs_http_requests_total";
constexpr std::string_view kSeconds = "streamobs_http_request_seconds";
}  // namespace

Metrics::Metrics(telemetry::Registry& registry, const Router& router)
    : registry_(registry),
      routes_(router.size() + 1),
      body_bytes_(registry.counter("streamobs_http_body_bytes_total",
                                   "Bytes of request bodies, as received.")),
      connections_total_(
          registry.counter("streamobs_http_connections_total", "Connections accepted.")) {
  for (const Route& route : router.routes()) routes_[route.index].name = route.pattern;
  routes_.back().name = "none";
  for (PerRoute& route : routes_) {
    route.seconds = &registry.histogram(
        kSeconds, "Time from a request's complete head to its sent answer, in seconds.",
        telemetry::latency_bounds(), {{"route", route.name}});
  }
}

void Metrics::answered(const Route* route, int status, double seconds) {
  PerRoute& per_route = route != nullptr ? routes_[route->index] : routes_.back();
  const auto found = std::find(kStatusSlots.begin(), kStatusSlots.end(), status);
  auto& slot = per_route.by_status[static_cast<std::size_t>(found - kStatusSlots.begin())];
  telemetry::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    const std::string label = found != kStatusSlots.end() ? std::to_string(status) : "other";
    counter = &registry_.counter(kRequests, "Requests answered, by route and status.",
                                 {{"route", per_route.name}, {"status", label}});
    slot.store(counter, std::memory_order_release);
  }
  counter->add();
  per_route.seconds->observe(seconds);
}

void Metrics::rejected(std::string_view reason) {
  registry_
      .counter("streamobs_http_rejected_total",
               "Requests and connections turned away before a handler saw them, by reason.",
               {{"reason", std::string(reason)}})
      .add();
}

}  // namespace streamobs::http
