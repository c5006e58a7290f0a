// llm: calls of language models as two events each, request and response, joined by request_id.
// Some responses bear an error, a few never come; there are bursts of errors and slow spells of a
// model. The truth is by the response's time.
//
// {"request_id":"…","tenant_id":"acme","route":"/chat","model":"gpt-4o",
//  "timestamp":"2026-01-01T00:00:00.123Z","prompt_tokens":812}
// {"request_id":"…","timestamp":"2026-01-01T00:00:01.456Z","latency_ms":1333,
//  "completion_tokens":140,"finish_reason":"stop","error":null}
#include <algorithm>
#include <array>
#include <queue>

#include "loadgen/scenarios.h"

namespace streamobs::loadgen {
namespace {

constexpr std::array<std::string_view, 3> kTenants = {"acme", "globex", "initech"};
constexpr std::array<std::string_view, 3> kRoutes = {"/chat", "/summarize", "/extract"};

struct Model {
  std::string_view name;
  double weight;
  double median_latency_ms;
};
constexpr std::array<Model, 3> kModels = {{
    {"gpt-4o-mini", 0.5, 700},
    {"gpt-4o", 0.3, 1'400},
    {"claude-3.5-sonnet", 0.2, 1'600},
}};
constexpr std::array<std::string_view, 3> kErrors = {"rate_limit_exceeded", "timeout",
                                                     "server_error"};
constexpr double kErrorRate = 0.01;
constexpr double kUnansweredRate = 0.005;
constexpr std::int64_t kLatencyMaxMs = 60'000;
constexpr std::uint32_t kErrorBurst = 0;
constexpr std::size_t kRequests = 0;
constexpr std::size_t kResponses = 1;
/// So many responses may be outstanding; beyond that the earliest is sent ahead of its time.
constexpr std::size_t kOutstandingMax = 1'000'000;

double burst_error_rate(const Episode& episode) {
  return 0.3 + 0.3 * episode.strength;
}
double slow_factor(const Episode& episode) {
  return 4 + 4 * episode.strength;
}

struct Response {
  Timestamp due;  ///< When it is sent.
  Timestamp time;
  std::uint64_t id_high;
  std::uint64_t id_low;
  std::int64_t latency_ms;
  std::int64_t prompt_tokens;
  std::int64_t completion_tokens;
  std::uint32_t key;
  std::uint32_t error;  ///< Index + 1 into kErrors; 0: none.
  bool cut_short;
  /// For a heap with the earliest on top; the id makes the order of equals certain.
  bool operator<(const Response& other) const {
    return std::pair(due, id_high) > std::pair(other.due, other.id_high);
  }
};

class Llm final : public Scenario {
 public:
  explicit Llm(const ScenarioOptions& options)
      : Scenario(setup(), options),
        tenants_(key_names(kTenants, "tenant",
                           options.keys == 0 ? std::uint32_t{kTenants.size()} : options.keys)),
        route_choice_({0.6, 0.25, 0.15}),
        model_choice_(model_weights()),
        prompt_tokens_(QuantileTable::log_normal(700, 0.9)),
        completion_tokens_(QuantileTable::log_normal(160, 0.7)) {
    for (const Model& model : kModels) {
      latencies_ms_.push_back(QuantileTable::log_normal(model.median_latency_ms, 0.45));
    }
    if (!truth_) return;
    for (const std::string& tenant : tenants_) {
      for (const std::string_view route : kRoutes) {
        for (const Model& model : kModels) {
          truth_->add_key({tenant, std::string(route), std::string(model.name)});
        }
      }
    }
  }

 private:
  static std::vector<double> model_weights() {
    std::vector<double> weights;
    for (const Model& model : kModels) weights.push_back(model.weight);
    return weights;
  }
  static Setup setup() {
    Setup setup;
    setup.streams = {{"llm_requests", "/v1/llm/request"}, {"llm_responses", "/v1/llm/response"}};
    setup.truth = {{"tenant_id", "route", "model"},
                   {{"latency_ms", 0}, {"prompt_tokens", 0}, {"completion_tokens", 0}},
                   {"errors"}};
    setup.episode_kinds = 2;
    setup.episode_key_shares = model_weights();
    return setup;
  }

  void generate(Timestamp at, std::vector<Lines>& out) override {
    while (!outstanding_.empty() && outstanding_.top().due <= at) send_response(out);
    if (outstanding_.size() >= kOutstandingMax) send_response(out);

    const std::uint64_t bits = random_.next();
    const auto tenant = random_.below(static_cast<std::uint32_t>(tenants_.size()));
    const std::uint32_t route = route_choice_.draw(bits);
    const std::uint32_t model = model_choice_.draw(bits >> 16);
    const Timestamp t = event_time(at, bits >> 32);
    Response response;
    response.id_high = random_.next();
    response.id_low = draw_id_low(at);
    response.key =
        static_cast<std::uint32_t>((tenant * kRoutes.size() + route) * kModels.size() + model);
    response.prompt_tokens = std::max<std::int64_t>(1, prompt_tokens_.draw(bits >> 42));

    line_.text(R"({"request_id":")").uuid(response.id_high, response.id_low);
    line_.text(R"(","tenant_id":")").text(tenants_[tenant]).text(R"(","route":")");
    line_.text(kRoutes[route]).text(R"(","model":")").text(kModels[model].name);
    line_.text(R"(","timestamp":")").iso_time(time_text_, t).text(R"(","prompt_tokens":)");
    line_.number(response.prompt_tokens).text("}\n");
    emit(line_, out[kRequests]);
    plan_response(response, model, at, t);
  }

  void plan_response(Response response, std::uint32_t model, Timestamp at, Timestamp t) {
    const std::uint64_t bits = random_.next();
    const Episode& episode = episodes_.current(at);
    const bool anomalous = episode.key == model && episode.covers(t);
    double error_rate = kErrorRate;
    response.latency_ms = latencies_ms_[model].draw(bits);
    if (anomalous && episode.kind == kErrorBurst) {
      error_rate = burst_error_rate(episode);
    } else if (anomalous) {
      response.latency_ms = static_cast<std::int64_t>(static_cast<double>(response.latency_ms) *
                                                      slow_factor(episode));
    }
    response.latency_ms = std::min(response.latency_ms, kLatencyMaxMs);
    const bool failed = random_.chance(error_rate);
    const bool unanswered = random_.chance(kUnansweredRate);
    response.error =
        failed ? 1 + static_cast<std::uint32_t>((bits >> 12 & 0xffff) % kErrors.size()) : 0;
    response.completion_tokens =
        failed ? 0 : std::max<std::int64_t>(1, completion_tokens_.draw(bits >> 28));
    response.cut_short = (bits >> 40 & 15) == 0;
    response.time = t + response.latency_ms * kMillisecond;
    response.due = at + response.latency_ms * kMillisecond;
    if (!unanswered) outstanding_.push(response);

    if (!truth_ || !anomalous) return;
    if (truth_->anomaly_is_new(episode.number)) describe(model, episode);
    truth_->add_anomaly_event(failed, response.latency_ms);
  }

  void send_response(std::vector<Lines>& out) {
    const Response response = outstanding_.top();
    outstanding_.pop();
    line_.text(R"({"request_id":")").uuid(response.id_high, response.id_low);
    line_.text(R"(","timestamp":")").iso_time(time_text_, response.time);
    line_.text(R"(","latency_ms":)").number(response.latency_ms);
    line_.text(R"(,"completion_tokens":)").number(response.completion_tokens);
    if (response.error != 0) {
      line_.text(R"(,"finish_reason":null,"error":")").text(kErrors[response.error - 1]);
      line_.text("\"}\n");
    } else {
      line_.text(R"(,"finish_reason":")").text(response.cut_short ? "length" : "stop");
      line_.text("\",\"error\":null}\n");
    }
    emit(line_, out[kResponses]);
    if (truth_) {
      truth_->add(
          response.key, response.time,
          std::array{response.latency_ms, response.prompt_tokens, response.completion_tokens},
          response.error != 0 ? 1 : 0);
    }
  }

  void flush(std::vector<Lines>& out) override {
    while (!outstanding_.empty()) send_response(out);
  }

  void describe(std::uint32_t model, const Episode& episode) {
    const bool burst = episode.kind == kErrorBurst;
    Truth::Anomaly anomaly;
    anomaly.number = episode.number;
    anomaly.kind = burst ? "error_burst" : "latency_spike";
    anomaly.metric = burst ? "error_rate" : "p95_latency_ms";
    anomaly.keys = {"", "", std::string(kModels[model].name)};
    anomaly.from = episode.from;
    anomaly.to = episode.to;
    anomaly.is_rate = burst;
    anomaly.expected =
        burst ? burst_error_rate(episode)
              : static_cast<double>(latencies_ms_[model].quantile(0.95)) * slow_factor(episode);
    truth_->describe_anomaly(std::move(anomaly));
  }

  std::vector<std::string> tenants_;
  WeightedChoice route_choice_;
  WeightedChoice model_choice_;
  QuantileTable prompt_tokens_;
  QuantileTable completion_tokens_;
  std::vector<QuantileTable> latencies_ms_;
  std::priority_queue<Response> outstanding_;
  TimeText time_text_{'T'};
};

}  // namespace

std::unique_ptr<Scenario> make_llm(const ScenarioOptions& options) {
  return std::make_unique<Llm>(options);
}

}  // namespace streamobs::loadgen
