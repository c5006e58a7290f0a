// services: request telemetry of three services, with error surges and latency spikes.
//
// {"event_time":"2026-01-01T00:00:00.123Z","service":"checkout","endpoint":"/api/checkout",
//  "latency_ms":103.4,"status_code":200}
#include <algorithm>
#include <array>

#include "loadgen/scenarios.h"

namespace streamobs::loadgen {
namespace {

constexpr std::array<std::string_view, 3> kServices = {"checkout", "payments", "search"};
constexpr std::array kServiceWeights = {0.40, 0.25, 0.35};

/// Latencies are drawn in tenths of a millisecond. Every p95 stays well under the SLA of 300 ms.
struct Profile {
  std::array<std::string_view, 3> endpoints;
  double median_tenth_ms;
  double sigma;
};
constexpr std::array<Profile, 3> kProfiles = {{
    {{"/api/checkout", "/api/cart", "/api/orders"}, 1'050, 0.45},
    {{"/api/payments", "/api/refunds", "/api/payment-methods"}, 1'200, 0.45},
    {{"/api/search", "/api/suggest", "/api/filters"}, 520, 0.55},
}};
/// The first endpoint is the one that an episode is mostly about.
constexpr std::array kEndpointWeights = {0.60, 0.25, 0.15};
constexpr std::array<std::int64_t, 3> kEndpointLatencyPercent = {100, 70, 115};

constexpr double kErrorRate = 0.008;
constexpr double kNotFoundRate = 0.015;
constexpr std::array kErrorStatus = {500, 503, 504};
constexpr std::uint32_t kErrorSurge = 0;

struct Surge {
  double main_endpoint;
  double others;
};
/// Error rates that make `overall` for the service, nine tenths of it on the main endpoint.
Surge surge_of(double overall) {
  const double main_rate = std::min(0.95, overall * 0.9 / kEndpointWeights[0]);
  return {main_rate, (overall - main_rate * kEndpointWeights[0]) / (1 - kEndpointWeights[0])};
}
double overall_error_rate(const Episode& episode) {
  return 0.30 + 0.30 * episode.strength;
}
double latency_factor(const Episode& episode) {
  return 6 + 4 * episode.strength;
}

class Services final : public Scenario {
 public:
  explicit Services(const ScenarioOptions& options)
      : Scenario(setup(options), options),
        services_(key_names(kServices, "service", service_count(options))),
        service_choice_({kServiceWeights.begin(), kServiceWeights.end()}),
        endpoint_choice_({kEndpointWeights.begin(), kEndpointWeights.end()}) {
    for (const Profile& profile : kProfiles) {
      latencies_.push_back(QuantileTable::log_normal(profile.median_tenth_ms, profile.sigma));
    }
    if (truth_) {
      for (const std::string& service : services_) truth_->add_key({service});
    }
  }

 private:
  static std::uint32_t service_count(const ScenarioOptions& options) {
    return options.keys == 0 ? kServices.size() : options.keys;
  }
  static Setup setup(const ScenarioOptions& options) {
    Setup setup;
    setup.streams = {{"requests", "/v1/events/requests"}};
    setup.truth = {{"service"}, {{"latency_ms", 1}}, {"errors"}};
    setup.episode_kinds = 2;
    const std::uint32_t count = service_count(options);
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(count, kServices.size()); ++i) {
      setup.episode_key_shares.push_back(count == kServices.size() ? kServiceWeights[i]
                                                                   : 1.0 / count);
    }
    return setup;
  }

  void generate(Timestamp at, std::vector<Lines>& out) override {
    const std::uint64_t bits = random_.next();
    const std::uint32_t service = services_.size() == kServices.size()
                                      ? service_choice_.draw(bits)
                                      : random_.below(static_cast<std::uint32_t>(services_.size()));
    const std::uint32_t endpoint = endpoint_choice_.draw(bits >> 16);
    const std::size_t profile = service % kProfiles.size();
    std::int64_t latency =
        latencies_[profile].draw(bits >> 32) * kEndpointLatencyPercent[endpoint] / 100;
    const Timestamp t = event_time(at, bits >> 44);

    const Episode& episode = episodes_.current(at);
    const bool anomalous = episode.key == service && episode.covers(t);
    double error_rate = kErrorRate;
    if (anomalous && episode.kind == kErrorSurge) {
      const Surge surge = surge_of(overall_error_rate(episode));
      error_rate = endpoint == 0 ? surge.main_endpoint : surge.others;
    } else if (anomalous) {
      const double factor = latency_factor(episode);
      latency = static_cast<std::int64_t>(static_cast<double>(latency) *
                                          (endpoint == 0 ? factor : factor / 2));
    }
    const int status = draw_status(error_rate, anomalous ? episode.dice : bits >> 54);

    line_.text(R"({"event_time":")").iso_time(time_text_, t).text(R"(","service":")");
    line_.text(services_[service]).text(R"(","endpoint":")");
    line_.text(kProfiles[profile].endpoints[endpoint]).text(R"(","latency_ms":)");
    line_.decimal(latency, 1).text(R"(,"status_code":)").number(status).text("}\n");
    emit(line_, out[0]);
    if (truth_) record(service, t, latency, status >= 500, anomalous ? &episode : nullptr);
  }

  int draw_status(double error_rate, std::uint64_t dice) {
    const double u = random_.unit();
    if (u < error_rate) return kErrorStatus[dice % kErrorStatus.size()];
    return u < error_rate + kNotFoundRate ? 404 : 200;
  }

  void record(std::uint32_t service, Timestamp t, std::int64_t latency, bool error,
              const Episode* episode) {
    truth_->add(service, t, std::array{latency}, error ? 1 : 0);
    if (episode == nullptr) return;
    if (truth_->anomaly_is_new(episode->number)) describe(service, *episode);
    truth_->add_anomaly_event(error, latency);
  }

  void describe(std::uint32_t service, const Episode& episode) {
    const bool surge = episode.kind == kErrorSurge;
    const std::size_t profile = service % kProfiles.size();
    Truth::Anomaly anomaly;
    anomaly.number = episode.number;
    anomaly.kind = surge ? "error_surge" : "latency_spike";
    anomaly.metric = surge ? "error_rate" : "p95_latency_ms";
    anomaly.keys = {services_[service]};
    anomaly.detail = std::string("endpoint ") + std::string(kProfiles[profile].endpoints[0]);
    anomaly.from = episode.from;
    anomaly.to = episode.to;
    anomaly.is_rate = surge;
    anomaly.digits = 1;
    anomaly.expected = surge ? overall_error_rate(episode)
                             : static_cast<double>(latencies_[profile].quantile(0.95)) / 10 *
                                   latency_factor(episode);
    truth_->describe_anomaly(std::move(anomaly));
  }

  std::vector<std::string> services_;
  WeightedChoice service_choice_;
  WeightedChoice endpoint_choice_;
  std::vector<QuantileTable> latencies_;
  TimeText time_text_{'T'};
};

}  // namespace

std::unique_ptr<Scenario> make_services(const ScenarioOptions& options) {
  return std::make_unique<Services>(options);
}

}  // namespace streamobs::loadgen
