#include "base/time_format.h"

#include <algorithm>
#include <ctime>
#include <random>
#include <string>

#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("known instants are written as RFC 3339", "[base][time]") {
  struct Case {
    Timestamp t;
    const char* text;
  };
  const Case cases[] = {{0, "1970-01-01T00:00:00Z"},
                        {1'704'803'640 * kSecond, "2024-01-09T12:34:00Z"},
                        {951'782'400 * kSecond, "2000-02-29T00:00:00Z"},
                        {-1, "1969-12-31T23:59:59.999999Z"},
                        {500'000, "1970-01-01T00:00:00.5Z"},
                        {1'000, "1970-01-01T00:00:00.001Z"},
                        {4'102'444'799 * kSecond + 1, "2099-12-31T23:59:59.000001Z"},
                        {-2'208'988'800 * kSecond, "1900-01-01T00:00:00Z"}};
  for (const Case& c : cases) CHECK(to_rfc3339(c.t) == c.text);
}

TEST_CASE("instants agree with the C library over twenty centuries", "[base][time]") {
  std::mt19937_64 random(5);
  std::uniform_int_distribution<std::int64_t> seconds(-30'000'000'000, 32'000'000'000);
  for (int i = 0; i < 20'000; ++i) {
    const std::time_t s = seconds(random);
    std::tm tm{};
    REQUIRE(gmtime_r(&s, &tm) != nullptr);
    char expected[64];
    REQUIRE(std::strftime(expected, sizeof expected, "-%m-%dT%H:%M:%SZ", &tm) > 0);
    std::string year = std::to_string(tm.tm_year + 1900);
    year.insert(0, 4 - std::min<std::size_t>(4, year.size()), '0');
    REQUIRE(to_rfc3339(s * kSecond) == year + expected);
  }
}

TEST_CASE("days and civil dates are inverse", "[base][time]") {
  std::int64_t previous = days_from_civil(1599, 12, 31);
  for (std::int64_t days = previous + 1; days < days_from_civil(2401, 1, 1); ++days) {
    const CivilDate date = civil_from_days(days);
    REQUIRE(days_from_civil(date.year, date.month, date.day) == days);
  }
  CHECK(days_from_civil(1970, 1, 1) == 0);
  CHECK(days_from_civil(2000, 3, 1) - days_from_civil(2000, 2, 28) == 2);
  CHECK(days_from_civil(1900, 3, 1) - days_from_civil(1900, 2, 28) == 1);
}

TEST_CASE("durations are written in their shortest exact form", "[base][time]") {
  CHECK(to_text(Duration{0}) == "0s");
  CHECK(to_text(90 * kSecond) == "1m30s");
  CHECK(to_text(kMinute) == "1m");
  CHECK(to_text(kHour + 30 * kMinute) == "1h30m");
  CHECK(to_text(7 * kDay) == "7d");
  CHECK(to_text(1'500) == "1ms500us");
  CHECK(to_text(-kMinute) == "-1m");
}

}  // namespace
}  // namespace streamobs
