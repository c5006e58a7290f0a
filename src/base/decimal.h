// Exact decimals: money is a whole number of its smallest unit, never a double.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>

#include <fmt/format.h>

namespace streamobs {

/// 10^exponent for 0 ≤ exponent ≤ 18.
constexpr std::int64_t power_of_ten(int exponent) {
  std::int64_t p = 1;
  for (int i = 0; i < exponent; ++i) p *= 10;
  return p;
}

inline constexpr int kMaxDecimalScale = 18;

/// Appends `unscaled` / 10^scale digit for digit: (1234, 2) gives "12.34", (-5, 2) gives "-0.05".
inline void append_decimal(std::string& out, std::int64_t unscaled, int scale) {
  if (scale == 0) {
    fmt::format_to(std::back_inserter(out), "{}", unscaled);
    return;
  }
  const bool negative = unscaled < 0;
  const std::uint64_t magnitude =
      negative ? 0 - static_cast<std::uint64_t>(unscaled) : static_cast<std::uint64_t>(unscaled);
  const auto unit = static_cast<std::uint64_t>(power_of_ten(scale));
  fmt::format_to(std::back_inserter(out), "{}{}.{:0{}}", negative ? "-" : "", magnitude / unit,
                 magnitude % unit, scale);
}

}  // namespace streamobs
