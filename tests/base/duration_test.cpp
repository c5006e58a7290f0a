#include "base/duration.h"

#include <random>
#include <string>

#include "base/time_format.h"
#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("durations are read as people write them", "[base][duration]") {
  struct Case {
    const char* text;
    Duration expected;
  };
  const Case cases[] = {
      {"0", 0},
      {"0s", 0},
      {"1us", 1},
      {"500ms", 500'000},
      {"90s", 90'000'000},
      {"1m", 60'000'000},
      {"1h30m", 5'400'000'000},
      {"7d", 7 * 86'400'000'000},
      {"2w", 14 * 86'400'000'000},
      {"1w2d3h4m5s6ms7us", ((((7 + 2) * 24 + 3) * 60 + 4) * 60 + 5) * 1'000'000LL + 6'007},
      {"007m", 420'000'000}};
  for (const Case& c : cases) {
    INFO(c.text);
    const Result<Duration> d = parse_duration(c.text);
    REQUIRE(d.has_value());
    CHECK(*d == c.expected);
  }
}

TEST_CASE("what is not a duration is refused with a reason", "[base][duration]") {
  struct Case {
    const char* text;
    const char* part_of_message;
  };
  const Case cases[] = {{"", "empty"},
                        {"1", "unit is missing"},
                        {"m", "whole number"},
                        {"-1m", "whole number"},
                        {"+1m", "whole number"},
                        {" 1m", "whole number"},
                        {"1 m", "only whole numbers"},
                        {"1.5h", "only whole numbers"},
                        {"1m1h", "largest first"},
                        {"1m2m", "largest first"},
                        {"1y", "no unit 'y'"},
                        {"1min", "no unit 'min'"},
                        {"1H", "only whole numbers"},
                        {"99999999999999999999s", "too long"},
                        {"9223372036854775807s", "too long"},
                        {"300000000d", "too long"},
                        {"9223372036854775807us", nullptr}};
  for (const Case& c : cases) {
    INFO(c.text);
    const Result<Duration> d = parse_duration(c.text);
    if (c.part_of_message == nullptr) {
      CHECK(d.has_value());
      continue;
    }
    REQUIRE_FALSE(d.has_value());
    CHECK(d.error().code == ErrorCode::invalid);
    CHECK(d.error().message.find(c.part_of_message) != std::string::npos);
    CHECK(d.error().message.find(c.text) != std::string::npos);
  }
}

TEST_CASE("every duration reads back from its own text", "[base][duration]") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 10'000; ++i) {
    const auto d = static_cast<Duration>(random() >> (random() % 63 + 1));
    INFO(to_text(d));
    const Result<Duration> back = parse_duration(to_text(d));
    REQUIRE(back.has_value());
    REQUIRE(*back == d);
  }
}

}  // namespace
}  // namespace streamobs
