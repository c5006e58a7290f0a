// logs: log entries of three services, levels spelt as differently as in real life, with bursts of
// errors. The truth counts normalised levels.
//
// {"timestamp":"2026-01-01T00:00:00.123Z","level":"WARNING","service":"auth-service",
//  "message":"token expires in 42 s"}
#include <algorithm>
#include <array>

#include "loadgen/scenarios.h"

namespace streamobs::loadgen {
namespace {

constexpr std::array<std::string_view, 3> kServices = {"auth-service", "payment-service",
                                                       "inventory-service"};

struct Level {
  std::string_view name;                      ///< Normalised.
  std::array<std::string_view, 4> spellings;  ///< "4" and the like are syslog's numbers.
  std::array<std::string_view, 4> messages;   ///< '#' stands for a number.
};
constexpr std::array<Level, 4> kLevels = {{
    {"DEBUG",
     {"DEBUG", "DEBUG", "debug", "7"},
     {"cache miss for key #", "retrying in # ms", "pool has # idle connections", "parsed # bytes"}},
    {"INFO",
     {"INFO", "INFO", "info", "6"},
     {"request # done", "user # signed in", "order # stored", "# items refreshed"}},
    {"WARN",
     {"WARN", "WARNING", "warning", "4"},
     {"slow query: # ms", "token expires in # s", "queue holds # entries", "# retries used up"}},
    {"ERROR",
     {"ERROR", "ERROR", "error", "3"},
     {"request # failed: upstream timed out", "connection # refused",
      "payment # declined by gateway", "deadlock on row #"}},
}};
constexpr std::array kLevelWeights = {0.10, 0.77, 0.10, 0.03};
constexpr std::uint32_t kErrorLevel = 3;

double burst_error_rate(const Episode& episode) {
  return 0.5 + 0.3 * episode.strength;
}

class Logs final : public Scenario {
 public:
  explicit Logs(const ScenarioOptions& options)
      : Scenario(setup(options), options),
        services_(key_names(kServices, "service", service_count(options))),
        level_choice_({kLevelWeights.begin(), kLevelWeights.end()}) {
    if (!truth_) return;
    for (const std::string& service : services_) {
      for (const Level& level : kLevels) truth_->add_key({service, std::string(level.name)});
    }
  }

 private:
  static std::uint32_t service_count(const ScenarioOptions& options) {
    return options.keys == 0 ? kServices.size() : options.keys;
  }
  static Setup setup(const ScenarioOptions& options) {
    Setup setup;
    setup.streams = {{"logs", "/v1/events/logs"}};
    setup.truth = {{"service", "level"}, {}, {}};
    const std::uint32_t count = service_count(options);
    setup.episode_key_shares.assign(std::min<std::uint32_t>(count, kServices.size()), 1.0 / count);
    return setup;
  }

  void generate(Timestamp at, std::vector<Lines>& out) override {
    const std::uint64_t bits = random_.next();
    const auto service = random_.below(static_cast<std::uint32_t>(services_.size()));
    const Timestamp t = event_time(at, bits);
    const Episode& episode = episodes_.current(at);
    const bool anomalous = episode.key == service && episode.covers(t);
    std::uint32_t index = level_choice_.draw(bits >> 10);
    if (anomalous && random_.chance(burst_error_rate(episode))) index = kErrorLevel;
    const Level& level = kLevels[index];
    const std::string_view message = level.messages[bits >> 28 & 3];
    const std::size_t number_at = message.find('#');

    line_.text(R"({"timestamp":")").iso_time(time_text_, t).text(R"(","level":")");
    line_.text(level.spellings[bits >> 26 & 3]).text(R"(","service":")").text(services_[service]);
    line_.text(R"(","message":")").text(message.substr(0, number_at));
    line_.number(bits >> 30 & 0xffff).text(message.substr(number_at + 1)).text("\"}\n");
    emit(line_, out[0]);

    if (!truth_) return;
    truth_->add(service * static_cast<std::uint32_t>(kLevels.size()) + index, t, {}, 0);
    if (!anomalous) return;
    if (truth_->anomaly_is_new(episode.number)) describe(service, episode);
    truth_->add_anomaly_event(index == kErrorLevel, 0);
  }

  void describe(std::uint32_t service, const Episode& episode) {
    Truth::Anomaly anomaly;
    anomaly.number = episode.number;
    anomaly.kind = "error_burst";
    anomaly.metric = "share_of_errors";
    anomaly.keys = {services_[service], "ERROR"};
    anomaly.from = episode.from;
    anomaly.to = episode.to;
    anomaly.is_rate = true;
    const double rate = burst_error_rate(episode);
    anomaly.expected = rate + (1 - rate) * level_choice_.share(kErrorLevel);
    truth_->describe_anomaly(std::move(anomaly));
  }

  std::vector<std::string> services_;
  WeightedChoice level_choice_;
  TimeText time_text_{'T'};
};

}  // namespace

std::unique_ptr<Scenario> make_logs(const ScenarioOptions& options) {
  return std::make_unique<Logs>(options);
}

}  // namespace streamobs::loadgen
