#include "base/decimal.h"

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "support/catch.h"

namespace streamobs {
namespace {

std::string text(std::int64_t unscaled, int scale) {
  std::string out;
  append_decimal(out, unscaled, scale);
  return out;
}

// The slow and obvious way: shift a decimal string.
std::string reference(std::int64_t unscaled, int scale) {
  std::string digits = std::to_string(unscaled);
  const bool negative = digits[0] == '-';
  if (negative) digits.erase(0, 1);
  while (static_cast<int>(digits.size()) <= scale) digits.insert(0, "0");
  if (scale > 0) digits.insert(digits.size() - static_cast<std::size_t>(scale), ".");
  return (negative ? "-" : "") + digits;
}

TEST_CASE("decimals are written digit for digit", "[base][decimal]") {
  CHECK(text(1234, 2) == "12.34");
  CHECK(text(-5, 2) == "-0.05");
  CHECK(text(0, 3) == "0.000");
  CHECK(text(100, 0) == "100");
  CHECK(text(std::numeric_limits<std::int64_t>::min(), 0) == "-9223372036854775808");
  CHECK(text(std::numeric_limits<std::int64_t>::min(), 18) == "-9.223372036854775808");
  CHECK(text(std::numeric_limits<std::int64_t>::max(), 4) == "922337203685477.5807");
}

TEST_CASE("decimals agree with shifting a string", "[base][decimal]") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const auto unscaled = static_cast<std::int64_t>(random()) >> (random() % 64);
    const int scale = static_cast<int>(random() % 19);
    REQUIRE(text(unscaled, scale) == reference(unscaled, scale));
  }
}

TEST_CASE("powers of ten reach 10^18", "[base][decimal]") {
  CHECK(power_of_ten(0) == 1);
  CHECK(power_of_ten(18) == 1'000'000'000'000'000'000);
}

}  // namespace
}  // namespace streamobs
