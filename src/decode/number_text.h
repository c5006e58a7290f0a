// Numbers as text: their grammar, and their value as integer, float or decimal, exactly.
//
// Pure functions. A literal is taken apart once into digits and a power of ten; nothing goes
// through a double that is not to become one.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace streamobs::decode {

/// The end of the JSON number that starts at `p`, or null if none does. Stops at any other byte,
/// so what follows must be looked at by the caller.
const char* scan_json_number(const char* p, const char* end);

/// A number as ±digits · 10^exponent, without zeros at either end of the digits.
struct DecimalText {
  bool negative = false;
  bool exact = true;          ///< False: more than 19 digits; `digits` holds the first 19.
  std::uint64_t digits = 0;   ///< 0 for zero.
  std::int64_t exponent = 0;  ///< Of the last of `digits`; within ±2^40 however it was written.
};

/// Takes a number apart: JSON's grammar, and also a plus sign, leading zeros, ".5" and "5.", as
/// they stand in CSV files. Null if it is anything else.
std::optional<DecimalText> read_number(std::string_view text);

enum class NumberError { none, fraction, range };

/// The whole number `text` stands for. 1.0 and 1e3 are whole numbers.
NumberError to_integer(const DecimalText& number, std::int64_t& value);
/// In units of 10^-scale, exactly: more digits than that are an error (fraction).
NumberError to_decimal(const DecimalText& number, int scale, std::int64_t& value);
/// The nearest double; too large is an error (range), too small is zero. `text` is what `number`
/// was read from.
NumberError to_double(std::string_view text, const DecimalText& number, double& value);

/// True for "nan", "inf", "infinity" with any sign and in any case: numbers, but not ours.
bool is_non_finite(std::string_view text);

/// 10^0 to 10^22: the powers of ten that a double holds exactly.
inline constexpr double kExactPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/// digits / 10^places where that is exact up to one correct rounding (W. D. Clinger, "How to Read
/// Floating Point Numbers Accurately", 1990): digits ≤ 2^53 and places ≤ 22.
inline double exact_quotient(std::uint64_t digits, unsigned places) {
  return static_cast<double>(static_cast<std::int64_t>(digits)) / kExactPowersOfTen[places];
}

}  // namespace streamobs::decode
