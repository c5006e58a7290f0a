// Distributions as tables of whole numbers: drawing is one look-up, and a draw is the same number
// on every machine.
//
// Built once when a scenario is made, read-only afterwards.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace streamobs::loadgen {

/// A quantile function sampled at 4096 points.
class QuantileTable {
 public:
  static constexpr unsigned kBits = 12;
  static constexpr std::size_t kSize = std::size_t{1} << kBits;

  /// Log-normal: `median` in the unit the values shall have, `sigma` of the logarithm.
  static QuantileTable log_normal(double median, double sigma);

  /// Uses the lowest kBits bits of `random_bits`.
  std::int64_t draw(std::uint64_t random_bits) const { return values_[random_bits & (kSize - 1)]; }
  std::int64_t quantile(double q) const;

 private:
  std::array<std::int64_t, kSize> values_{};
};

/// How long before its being sent an event happened: mostly some tens of milliseconds, now and then
/// up to kMaxDelay, so that streams are a little out of order as real ones are.
inline constexpr Duration kMaxDelay = 2 * kSecond;

class DelayTable {
 public:
  static constexpr unsigned kBits = 10;
  DelayTable();
  /// Uses the lowest kBits bits of `random_bits`. Whole milliseconds, in microseconds.
  Duration draw(std::uint64_t random_bits) const {
    return values_[random_bits & ((1U << kBits) - 1)];
  }

 private:
  std::array<Duration, std::size_t{1} << kBits> values_{};
};

/// Chooses an index by weight.
class WeightedChoice {
 public:
  static constexpr unsigned kBits = 16;
  explicit WeightedChoice(const std::vector<double>& weights);
  /// Uses the lowest kBits bits of `random_bits`.
  std::uint32_t draw(std::uint64_t random_bits) const {
    const auto bits = static_cast<std::uint32_t>(random_bits & ((1U << kBits) - 1));
    std::uint32_t i = 0;
    while (bits >= upper_[i]) ++i;
    return i;
  }
  /// The share of draws that give `index`.
  double share(std::size_t index) const;
  std::size_t size() const { return upper_.size(); }

 private:
  std::vector<std::uint32_t> upper_;  ///< Ascending; the last is 2^kBits.
};

}  // namespace streamobs::loadgen
