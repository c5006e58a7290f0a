#include "decode/number_text.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include <fmt/format.h>

#include "decode/text_scan.h"
#include "support/catch.h"

using namespace streamobs::decode;

namespace {

std::string integer(std::string_view text) {
  const auto number = read_number(text);
  if (!number) return "none";
  std::int64_t value = 0;
  switch (to_integer(*number, value)) {
    case NumberError::fraction:
      return "fraction";
    case NumberError::range:
      return "range";
    default:
      return std::to_string(value);
  }
}

std::string decimal(std::string_view text, int scale) {
  const auto number = read_number(text);
  if (!number) return "none";
  std::int64_t value = 0;
  switch (to_decimal(*number, scale, value)) {
    case NumberError::fraction:
      return "fraction";
    case NumberError::range:
      return "range";
    default:
      return std::to_string(value);
  }
}

bool is_json_number(std::string_view text) {
  const char* const end = text.data() + text.size();
  return scan_json_number(text.data(), end) == end;
}

}  // namespace

TEST_CASE("the grammar of JSON's numbers") {
  for (const char* text : {"0", "-0", "1", "-1", "10", "1.5", "-0.001", "1e5", "1E+5", "1.25e-7",
                           "123456789012345678901234567890", "1e400"}) {
    INFO(text);
    CHECK(is_json_number(text));
  }
  for (const char* text : {"", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x1", "1_0", "NaN",
                           "Infinity", "1 ", "1.5.2", "--1", "1e5.0"}) {
    INFO(text);
    CHECK_FALSE(is_json_number(text));
  }
}

TEST_CASE("whole numbers are exact to the last of their 64 bits") {
  CHECK(integer("9223372036854775807") == "9223372036854775807");
  CHECK(integer("-9223372036854775808") == "-9223372036854775808");
  CHECK(integer("9223372036854775808") == "range");
  CHECK(integer("-9223372036854775809") == "range");
  CHECK(integer("18446744073709551616") == "range");
  CHECK(integer("99999999999999999999999") == "range");
  CHECK(integer("1.0") == "1");
  CHECK(integer("17850.0") == "17850");
  CHECK(integer("1e3") == "1000");
  CHECK(integer("-12.50e1") == "-125");
  CHECK(integer("1e18") == "1000000000000000000");
  CHECK(integer("1e19") == "range");
  CHECK(integer("1e999999999999999999999") == "range");
  CHECK(integer("0e999999999999999999999") == "0");
  CHECK(integer("1.5") == "fraction");
  CHECK(integer("1e-1") == "fraction");
  CHECK(integer("1e-999999999999999999999") == "fraction");
  CHECK(integer("123456789012345678901.5") == "range");
  CHECK(integer("1.00000000000000000000000000001") == "fraction");
  CHECK(integer("1.00000000000000000000000000000") == "1");
  CHECK(integer("0000000000000000000000000000007") == "7");
  CHECK(integer("-0") == "0");
  CHECK(integer("+5") == "5");
  CHECK(integer("5.") == "5");
  CHECK(integer(".5e1") == "5");
  for (const char* text : {"", "-", ".", "e5", "1e", "1e+", "12a", "1 2", "0x10", "1,5"}) {
    INFO(text);
    CHECK(integer(text) == "none");
  }
}

TEST_CASE("decimals keep every digit, or say that they cannot") {
  CHECK(decimal("12.3", 2) == "1230");
  CHECK(decimal("12.30", 2) == "1230");
  CHECK(decimal("12.300000000000000000000", 2) == "1230");
  CHECK(decimal("12.345", 2) == "fraction");
  CHECK(decimal("0.1", 18) == "100000000000000000");
  CHECK(decimal("-0.01", 2) == "-1");
  CHECK(decimal("1e2", 2) == "10000");
  CHECK(decimal("92233720368547758.07", 2) == "9223372036854775807");
  CHECK(decimal("92233720368547758.08", 2) == "range");
  CHECK(decimal("-92233720368547758.08", 2) == "-9223372036854775808");
  CHECK(decimal("10", 18) == "range");
}

TEST_CASE("doubles are the nearest ones") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    switch (i % 4) {
      case 0:
        text = fmt::format("{}.{}", random() % 100'000, random() % 1'000'000);
        break;
      case 1:
        text = fmt::format("{}", std::bit_cast<double>(random()));
        break;
      case 2:
        text = fmt::format("{}e{}", random(), static_cast<int>(random() % 80) - 40);
        break;
      default:
        text = fmt::format("-{}.{}{}", random() % 10, random(), random());
        break;
    }
    const auto number = read_number(text);
    if (!number) {
      CHECK(is_non_finite(text));
      continue;
    }
    double value = 0;
    const NumberError error = to_double(text, *number, value);
    const double expected = std::strtod(text.c_str(), nullptr);
    if (error == NumberError::none && std::memcmp(&value, &expected, sizeof value) == 0) continue;
    INFO(text);
    REQUIRE(error == NumberError::range);
    CHECK(std::isinf(expected));
  }
}

TEST_CASE("too large a double is an error and too small a one is zero") {
  const auto read = [](std::string_view text, double& value) {
    return to_double(text, read_number(text).value(), value);
  };
  double value = 1;
  CHECK(read("1e400", value) == NumberError::range);
  CHECK(read("-1e400", value) == NumberError::range);
  CHECK(read(std::string(400, '9'), value) == NumberError::range);
  CHECK(read("1e-400", value) == NumberError::none);
  CHECK(value == 0);
  CHECK(read("-1e-400", value) == NumberError::none);
  CHECK(std::signbit(value));
  CHECK(read("5e-324", value) == NumberError::none);
  CHECK(value == std::numeric_limits<double>::denorm_min());
  CHECK(read("-0", value) == NumberError::none);
  CHECK(std::signbit(value));
}

TEST_CASE("NaN and infinity are known by name") {
  for (const char* text : {"nan", "NaN", "-inf", "Infinity", "+INFINITY"})
    CHECK(is_non_finite(text));
  for (const char* text : {"", "nano", "in", "1", "-"}) CHECK_FALSE(is_non_finite(text));
}

TEST_CASE("eight digits at once agree with one after the other") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 100'000; ++i) {
    char bytes[16];
    for (char& c : bytes) c = static_cast<char>(random() % 3 != 0 ? '0' + random() % 10 : random());
    unsigned count = 0;
    std::uint64_t value = 0;
    while (count < 8 && is_digit(bytes[count])) value = value * 10 + (bytes[count++] - '0');
    const DigitRun run = scan_digits(bytes);
    REQUIRE(run.count == count);
    REQUIRE(run.value == value);
  }
}

TEST_CASE("a string ends at the first byte that may end it") {
  std::mt19937_64 random(13);
  for (int i = 0; i < 50'000; ++i) {
    char bytes[160] = {};
    for (std::size_t k = 0; k < 96; ++k) {
      const auto c = static_cast<unsigned char>(random());
      bytes[k] =
          random() % 64 != 0 && (c < 0x20 || c == '"' || c == '\\') ? 'a' : static_cast<char>(c);
      if (random() % 8 != 0 && c >= 0x80) bytes[k] = 'b';
    }
    const char* expected = bytes;
    bool high = false;
    while (static_cast<unsigned char>(*expected) >= 0x20 && *expected != '"' && *expected != '\\') {
      high |= static_cast<unsigned char>(*expected++) >= 0x80;
    }
    bool non_ascii = false;
    REQUIRE(scan_string(bytes, non_ascii) == expected);
    REQUIRE(non_ascii == high);
  }
}
