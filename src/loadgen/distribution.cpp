#include "loadgen/distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace streamobs::loadgen {
namespace {

/// The z with P(standard normal ≤ z) = p, by bisection: it runs a few thousand times at start-up.
double inverse_normal(double p) {
  double low = -6;
  double high = 6;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

QuantileTable QuantileTable::log_normal(double median, double sigma) {
  QuantileTable table;
  for (std::size_t i = 0; i < kSize; ++i) {
    const double p = (static_cast<double>(i) + 0.5) / static_cast<double>(kSize);
    table.values_[i] = std::llround(median * std::exp(sigma * inverse_normal(p)));
  }
  return table;
}

std::int64_t QuantileTable::quantile(double q) const {
  return values_[static_cast<std::size_t>(q * static_cast<double>(kSize - 1))];
}

DelayTable::DelayTable() {
  constexpr double kOnTimeShare = 0.97;
  constexpr double kMeanDelayMs = 60;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const double p = (static_cast<double>(i) + 0.5) / static_cast<double>(values_.size());
    const double delay_ms = p < kOnTimeShare
                                ? -kMeanDelayMs * std::log(1 - p)
                                : 300 + (p - kOnTimeShare) / (1 - kOnTimeShare) * 1'700;
    values_[i] = std::min<Duration>(std::llround(delay_ms) * kMillisecond, kMaxDelay);
  }
}

WeightedChoice::WeightedChoice(const std::vector<double>& weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  for (const double weight : weights) {
    sum += weight;
    upper_.push_back(static_cast<std::uint32_t>(std::lround(sum / total * (1U << kBits))));
  }
  upper_.back() = 1U << kBits;
}

double WeightedChoice::share(std::size_t index) const {
  const std::uint32_t lower = index == 0 ? 0 : upper_[index - 1];
  return static_cast<double>(upper_[index] - lower) / (1U << kBits);
}

}  // namespace streamobs::loadgen
