#include "decode/number_text.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include "decode/text_scan.h"

namespace streamobs::decode {

namespace {

constexpr int kMaxDigits = 19;  // What 64 bits always hold.
constexpr std::int64_t kMaxExponent = std::int64_t{1} << 40;

std::optional<std::uint64_t> times_power_of_ten(std::uint64_t digits, std::int64_t exponent) {
  if (digits == 0) return 0;
  if (exponent > kMaxDigits) return std::nullopt;
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(digits, std::uint64_t{10}, &digits)) return std::nullopt;
  }
  return digits;
}

/// ±magnitude as a signed number, if it fits.
bool apply_sign(bool negative, std::uint64_t magnitude, std::int64_t& value) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (magnitude > kMax + (negative ? 1 : 0)) return false;
  value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

}  // namespace

const char* scan_json_number(const char* p, const char* end) {
  const auto digits = [&] {
    const char* const begin = p;
    while (p < end && is_digit(*p)) ++p;
    return p != begin;
  };
  if (p < end && *p == '-') ++p;
  const char* const whole = p;
  if (!digits() || (*whole == '0' && p - whole > 1)) return nullptr;
  if (p < end && *p == '.') {
    ++p;
    if (!digits()) return nullptr;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    ++p;
    if (p < end && (*p == '+' || *p == '-')) ++p;
    if (!digits()) return nullptr;
  }
  return p;
}

std::optional<DecimalText> read_number(std::string_view text) {
  DecimalText number;
  const char* p = text.data();
  const char* const end = p + text.size();
  if (p < end && (*p == '-' || *p == '+')) number.negative = *p++ == '-';

  int kept = 0;              // Digits in number.digits.
  std::int64_t zeros = 0;    // Zeros read since the last other digit, not yet in it.
  std::int64_t places = 0;   // Digits read behind the point.
  std::int64_t dropped = 0;  // Digits beyond the 19th, from the first to the last that is not zero.
  bool any = false;
  bool point = false;
  for (; p < end; ++p) {
    if (*p == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(*p)) break;
    any = true;
    places += point ? 1 : 0;
    if (*p == '0') {
      zeros += kept != 0 ? 1 : 0;
      continue;
    }
    if (dropped != 0 || kept + zeros + 1 > kMaxDigits) {
      // From here on digits only count for the magnitude.
      for (; dropped == 0 && zeros > 0 && kept < kMaxDigits; --zeros, ++kept) number.digits *= 10;
      dropped += zeros + 1;
      number.exact = false;
    } else {
      for (; zeros > 0; --zeros, ++kept) number.digits *= 10;
      number.digits = number.digits * 10 + static_cast<unsigned>(*p - '0');
      ++kept;
    }
    zeros = 0;
  }
  if (!any) return std::nullopt;

  std::int64_t exponent = 0;
  if (p < end && (*p == 'e' || *p == 'E')) {
    ++p;
    const bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) ++p;
    if (p == end) return std::nullopt;
    for (; p < end && is_digit(*p); ++p) {
      exponent = std::min(exponent * 10 + (*p - '0'), kMaxExponent / 2);
    }
    if (negative) exponent = -exponent;
  }
  if (p != end) return std::nullopt;
  number.exponent = number.digits == 0 ? 0 : exponent + zeros + dropped - places;
  return number;
}

NumberError to_integer(const DecimalText& number, std::int64_t& value) {
  return to_decimal(number, 0, value);
}

NumberError to_decimal(const DecimalText& number, int scale, std::int64_t& value) {
  value = 0;
  if (number.digits == 0) return NumberError::none;
  const std::int64_t shift = number.exponent + scale;
  if (!number.exact) {
    // 19 digits and more below them: too large, or it goes on below 10^-scale.
    return shift > 0 ? NumberError::range : NumberError::fraction;
  }
  if (shift < 0) return NumberError::fraction;
  const auto magnitude = times_power_of_ten(number.digits, shift);
  if (!magnitude || !apply_sign(number.negative, *magnitude, value)) return NumberError::range;
  return NumberError::none;
}

NumberError to_double(std::string_view text, const DecimalText& number, double& value) {
  if (number.exact && number.digits <= std::uint64_t{1} << 53 && number.exponent <= 0 &&
      number.exponent >= -22) {
    value = exact_quotient(number.digits, static_cast<unsigned>(-number.exponent));
    if (number.negative) value = -value;
    return NumberError::none;
  }
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    if (number.exponent > 0) return NumberError::range;
    value = number.negative ? -0.0 : 0.0;
  }
  return NumberError::none;
}

bool is_non_finite(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  for (const std::string_view name : {"nan", "inf", "infinity"}) {
    if (text.size() == name.size() && std::equal(text.begin(), text.end(), name.begin(),
                                                 [](char a, char b) { return (a | 0x20) == b; })) {
      return true;
    }
  }
  return false;
}

}  // namespace streamobs::decode
