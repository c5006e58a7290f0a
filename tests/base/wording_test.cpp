#include "base/wording.h"

#include <cmath>

#include "base/time_format.h"
#include "support/catch.h"

namespace streamobs {
namespace {

constexpr Timestamp kStart = 1'704'803'640 * kSecond;  // 2024-01-09T12:34:00Z

TEST_CASE("numbers are rounded for people", "[base][wording]") {
  CHECK(number_in_words(0) == "0");
  CHECK(number_in_words(0.3111) == "0.311");
  CHECK(number_in_words(0.05) == "0.05");
  CHECK(number_in_words(31.04) == "31");
  CHECK(number_in_words(142) == "142");
  CHECK(number_in_words(999.4) == "999");
  CHECK(number_in_words(999.7) == "1,000");
  CHECK(number_in_words(2340.4) == "2,340");
  CHECK(number_in_words(-1234567.8) == "-1,234,568");
  CHECK(number_in_words(-123456) == "-123,456");
  CHECK(number_in_words(1e20) == "1e+20");
  CHECK(number_in_words(std::nan("")) == "unknown");
}

TEST_CASE("ratios have one decimal below ten", "[base][wording]") {
  CHECK(ratio_in_words(6.2) == "6.2");
  CHECK(ratio_in_words(6.04) == "6");
  CHECK(ratio_in_words(9.96) == "10");
  CHECK(ratio_in_words(12.4) == "12");
  CHECK(ratio_in_words(1500) == "1,500");
}

TEST_CASE("spans have at most two units", "[base][wording]") {
  CHECK(span_in_words(7 * kMinute) == "7 minutes");
  CHECK(span_in_words(kMinute) == "1 minute");
  CHECK(span_in_words(kHour + 5 * kMinute + 3 * kSecond) == "1 hour 5 minutes");
  CHECK(span_in_words(kDay + 5 * kMinute) == "1 day");
  CHECK(span_in_words(30 * kSecond) == "30 seconds");
  CHECK(span_in_words(0) == "no time");
}

TEST_CASE("windows are named as in a sentence", "[base][wording]") {
  const Timestamp midnight = kStart - kStart % kDay;
  CHECK(window_in_words(kStart, kStart + kMinute) == "the minute from 12:34");
  CHECK(window_in_words(kStart, kStart + 5 * kMinute) == "the 5 minutes from 12:34");
  CHECK(window_in_words(kStart + 10 * kSecond, kStart + 20 * kSecond) ==
        "the 10 seconds from 12:34:10");
  CHECK(window_in_words(kStart - 34 * kMinute, kStart + 26 * kMinute) == "the hour from 12:00");
  CHECK(window_in_words(midnight, midnight + kDay) == "2024-01-09");
  CHECK(window_in_words(midnight - kHour, midnight + 23 * kHour) ==
        "the day from 2024-01-08 23:00");
  CHECK(window_in_words(midnight, midnight + 7 * kDay) == "the 7 days from 2024-01-09");
  CHECK(time_of_day(-kMinute) == "23:59");
}

}  // namespace
}  // namespace streamobs
