// metrics: metric events with nested tags and metadata, and spikes of one service's request times.
//
// {"eventId":"…","timestamp":1767225600123,"serviceId":"order-service",
//  "instanceId":"order-service-1","metricType":"HTTP_REQUEST","metricName":"api.request.duration",
//  "value":84.21,"unit":"ms","tags":{"endpoint":"/api/orders","method":"GET","statusCode":"200",
//  "region":"eu-west-1"},"metadata":{"traceId":"…","spanId":"…"}}
#include <algorithm>
#include <array>

#include "loadgen/scenarios.h"

namespace streamobs::loadgen {
namespace {

constexpr std::array<std::string_view, 4> kServices = {"order-service", "user-service",
                                                       "payment-service", "inventory-service"};
constexpr std::array<std::string_view, 4> kEndpoints = {"/api/orders", "/api/users",
                                                        "/api/payments", "/api/stock"};
constexpr std::array<std::string_view, 4> kMethods = {"GET", "GET", "POST", "PUT"};
constexpr std::array<std::string_view, 3> kRegions = {"eu-west-1", "us-east-1", "ap-south-1"};

/// Values are drawn in hundredths of the unit.
struct Metric {
  std::string_view type;
  std::string_view name;
  std::string_view unit;
  double weight;
  double median_hundredths;
  double sigma;
  bool is_request;  ///< Has endpoint, method and status among its tags.
};
constexpr std::array<Metric, 5> kMetrics = {{
    {"HTTP_REQUEST", "api.request.duration", "ms", 0.50, 8'000, 0.5, true},
    {"HTTP_REQUEST", "api.response.size", "bytes", 0.15, 240'000, 0.7, true},
    {"DATABASE_QUERY", "db.query.duration", "ms", 0.20, 900, 0.6, false},
    {"SYSTEM", "cpu.usage", "percent", 0.10, 3'500, 0.3, false},
    {"SYSTEM", "memory.usage", "percent", 0.05, 5'500, 0.1, false},
}};
constexpr std::int64_t kPercentMaxHundredths = 10'000;

double spike_factor(const Episode& episode) {
  return 5 + 4 * episode.strength;
}

class Metrics final : public Scenario {
 public:
  explicit Metrics(const ScenarioOptions& options)
      : Scenario(setup(options), options),
        services_(key_names(kServices, "service", service_count(options))),
        metric_choice_(metric_weights()) {
    for (const Metric& metric : kMetrics) {
      values_.push_back(QuantileTable::log_normal(metric.median_hundredths, metric.sigma));
    }
    if (!truth_) return;
    for (const std::string& service : services_) {
      for (const Metric& metric : kMetrics) truth_->add_key({service, std::string(metric.name)});
    }
  }

 private:
  static std::uint32_t service_count(const ScenarioOptions& options) {
    return options.keys == 0 ? kServices.size() : options.keys;
  }
  static std::vector<double> metric_weights() {
    std::vector<double> weights;
    for (const Metric& metric : kMetrics) weights.push_back(metric.weight);
    return weights;
  }
  static Setup setup(const ScenarioOptions& options) {
    Setup setup;
    setup.streams = {{"metrics", "/v1/events/metrics"}};
    setup.truth = {{"service_id", "metric_name"}, {{"value", 2}}, {}};
    const std::uint32_t count = service_count(options);
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(count, kServices.size()); ++i) {
      setup.episode_key_shares.push_back(kMetrics[0].weight / count);
    }
    return setup;
  }

  void generate(Timestamp at, std::vector<Lines>& out) override {
    const std::uint64_t bits = random_.next();
    const std::uint64_t id_high = random_.next();
    const std::uint64_t id_low = draw_id_low(at);
    const auto service = random_.below(static_cast<std::uint32_t>(services_.size()));
    const std::uint32_t index = metric_choice_.draw(bits);
    const Metric& metric = kMetrics[index];
    const Timestamp t = event_time(at, bits >> 16);
    std::int64_t value = values_[index].draw(bits >> 26);
    if (metric.unit == "percent") value = std::min(value, kPercentMaxHundredths);
    const Episode& episode = episodes_.current(at);
    const bool anomalous = index == 0 && episode.key == service && episode.covers(t);
    if (anomalous)
      value = static_cast<std::int64_t>(static_cast<double>(value) * spike_factor(episode));

    write_event(t, services_[service], metric, value, bits >> 38, id_high, id_low);
    emit(line_, out[0]);

    if (!truth_) return;
    truth_->add(service * static_cast<std::uint32_t>(kMetrics.size()) + index, t, std::array{value},
                0);
    if (!anomalous) return;
    if (truth_->anomaly_is_new(episode.number)) describe(service, episode);
    truth_->add_anomaly_event(true, value);
  }

  /// `bits` has 26 random bits.
  void write_event(Timestamp t, std::string_view service, const Metric& metric, std::int64_t value,
                   std::uint64_t bits, std::uint64_t id_high, std::uint64_t id_low) {
    line_.text(R"({"eventId":")").uuid(id_high, id_low).text(R"(","timestamp":)");
    line_.number(t / kMillisecond).text(R"(,"serviceId":")").text(service);
    line_.text(R"(","instanceId":")").text(service).text("-").number(1 + (bits & 3));
    line_.text(R"(","metricType":")").text(metric.type).text(R"(","metricName":")");
    line_.text(metric.name).text(R"(","value":)").decimal(value, 2).text(R"(,"unit":")");
    line_.text(metric.unit).text(R"(","tags":{)");
    if (metric.is_request) {
      line_.text(R"("endpoint":")").text(kEndpoints[bits >> 2 & 3]).text(R"(","method":")");
      line_.text(kMethods[bits >> 4 & 3]).text(R"(","statusCode":")");
      line_.text((bits >> 6 & 127) == 0 ? "500" : "200").text(R"(",)");
    }
    line_.text(R"("region":")").text(kRegions[(bits >> 13 & 1023) % kRegions.size()]);
    line_.text(R"("},"metadata":{"traceId":")").hex(random_.next(), 16).hex(random_.next(), 16);
    line_.text(R"(","spanId":")").hex(random_.next(), 16).text("\"}}\n");
  }

  void describe(std::uint32_t service, const Episode& episode) {
    Truth::Anomaly anomaly;
    anomaly.number = episode.number;
    anomaly.kind = "value_spike";
    anomaly.metric = "p95";
    anomaly.keys = {services_[service], std::string(kMetrics[0].name)};
    anomaly.from = episode.from;
    anomaly.to = episode.to;
    anomaly.digits = 2;
    anomaly.expected = static_cast<double>(values_[0].quantile(0.95)) / 100 * spike_factor(episode);
    truth_->describe_anomaly(std::move(anomaly));
  }

  std::vector<std::string> services_;
  WeightedChoice metric_choice_;
  std::vector<QuantileTable> values_;
};

}  // namespace

std::unique_ptr<Scenario> make_metrics(const ScenarioOptions& options) {
  return std::make_unique<Metrics>(options);
}

}  // namespace streamobs::loadgen
