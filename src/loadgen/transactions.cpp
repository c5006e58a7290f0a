// transactions: a shop's sales, with surges of demand for one category.
//
// {"transaction_id":"…","user_id":4711,"product_category":"Home","product_name":"Desk Lamp",
//  "amount":49.90,"timestamp":"2026-01-01 00:00:00","payment_method":"paypal"}
#include <algorithm>
#include <array>

#include "loadgen/scenarios.h"

namespace streamobs::loadgen {
namespace {

struct Category {
  std::string_view name;
  std::array<std::string_view, 4> products;
  double weight;
  double median_cents;
};
constexpr std::array<Category, 6> kCategories = {{
    {"Electronics", {"Headphones", "Smart Watch", "Tablet", "USB-C Charger"}, 0.24, 18'000},
    {"Fashion", {"Denim Jacket", "Running Shoes", "Wool Scarf", "T-Shirt"}, 0.20, 6'000},
    {"Beauty", {"Face Cream", "Lipstick", "Perfume", "Shampoo"}, 0.14, 3'000},
    {"Home", {"Desk Lamp", "Cookware Set", "Bed Linen", "Armchair"}, 0.16, 8'500},
    {"Sports", {"Yoga Mat", "Dumbbells", "Tennis Racket", "Bike Helmet"}, 0.12, 7'000},
    {"Grocery", {"Coffee Beans", "Olive Oil", "Dark Chocolate", "Green Tea"}, 0.14, 2'200},
}};
constexpr double kAmountSigma = 0.6;
constexpr std::int64_t kAmountMinCents = 1'000;
constexpr std::int64_t kAmountMaxCents = 99'999;
constexpr std::array<std::string_view, 3> kPaymentMethods = {"credit_card", "debit_card", "paypal"};
constexpr std::uint32_t kUsers = 5'000;

/// So much of all sales turns to the category in demand.
constexpr double kSurgeShare = 0.6;

class Transactions final : public Scenario {
 public:
  explicit Transactions(const ScenarioOptions& options)
      : Scenario(setup(), options),
        users_(options.keys == 0 ? kUsers : options.keys),
        category_choice_(weights()),
        payment_choice_({0.55, 0.25, 0.20}) {
    for (const Category& category : kCategories) {
      amounts_.push_back(QuantileTable::log_normal(category.median_cents, kAmountSigma));
      if (truth_) truth_->add_key({std::string(category.name)});
    }
  }

 private:
  static std::vector<double> weights() {
    std::vector<double> weights;
    for (const Category& category : kCategories) weights.push_back(category.weight);
    return weights;
  }
  static Setup setup() {
    Setup setup;
    setup.streams = {{"transactions", "/v1/events/transactions"}};
    setup.truth = {{"category"}, {{"amount", 2}}, {}};
    for (const double weight : weights()) {
      setup.episode_key_shares.push_back(kSurgeShare + (1 - kSurgeShare) * weight);
    }
    return setup;
  }

  void generate(Timestamp at, std::vector<Lines>& out) override {
    const std::uint64_t bits = random_.next();
    const std::uint64_t id_high = random_.next();
    const std::uint64_t id_low = draw_id_low(at);
    const Timestamp t = event_time(at, bits) / kSecond * kSecond;
    const Episode& episode = episodes_.current(at);
    const bool in_episode = episode.covers(t);
    std::uint32_t index = category_choice_.draw(bits >> 10);
    if (in_episode && random_.chance(kSurgeShare)) index = episode.key;
    const Category& category = kCategories[index];
    const std::int64_t cents =
        std::clamp(amounts_[index].draw(bits >> 26), kAmountMinCents, kAmountMaxCents);

    line_.text(R"({"transaction_id":")").uuid(id_high, id_low).text(R"(","user_id":)");
    line_.number(1 + random_.below(users_)).text(R"(,"product_category":")").text(category.name);
    line_.text(R"(","product_name":")").text(category.products[bits >> 38 & 3]);
    line_.text(R"(","amount":)").decimal(cents, 2).text(R"(,"timestamp":")");
    line_.text(time_text_.seconds(t)).text(R"(","payment_method":")");
    line_.text(kPaymentMethods[payment_choice_.draw(bits >> 40)]).text("\"}\n");
    emit(line_, out[0]);

    if (!truth_) return;
    truth_->add(index, t, std::array{cents}, 0);
    if (!in_episode) return;
    if (truth_->anomaly_is_new(episode.number)) describe(episode);
    truth_->add_anomaly_event(index == episode.key, cents);
  }

  void describe(const Episode& episode) {
    Truth::Anomaly anomaly;
    anomaly.number = episode.number;
    anomaly.kind = "demand_surge";
    anomaly.metric = "share_of_transactions";
    anomaly.keys = {std::string(kCategories[episode.key].name)};
    anomaly.from = episode.from;
    anomaly.to = episode.to;
    anomaly.is_rate = true;
    anomaly.expected = kSurgeShare + (1 - kSurgeShare) * category_choice_.share(episode.key);
    truth_->describe_anomaly(std::move(anomaly));
  }

  std::uint32_t users_;
  WeightedChoice category_choice_;
  WeightedChoice payment_choice_;
  std::vector<QuantileTable> amounts_;
  TimeText time_text_{' '};
};

}  // namespace

std::unique_ptr<Scenario> make_transactions(const ScenarioOptions& options) {
  return std::make_unique<Transactions>(options);
}

}  // namespace streamobs::loadgen
