#include "decode/time_text.h"

#include <cstring>
#include <optional>
#include <random>
#include <string>

#include <fmt/format.h>

#include "base/time_format.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;

namespace {

TimeParser in_utc() {
  return TimeParser(TimeZone::utc());
}

/// As text, so that a failure can be read; "none" where it is refused.
std::string read(const TimeParser& parser, std::string_view text) {
  const auto time = parser.parse(text);
  return time ? to_rfc3339(*time) : "none";
}

struct Case {
  const char* text;
  Timestamp time;
};

}  // namespace

TEST_CASE("ISO 8601 agrees with Python's datetime") {
  // Computed with datetime.fromisoformat.
  constexpr Case kCases[] = {
      {"2024-01-09T12:34:56Z", 1704803696000000},
      {"2024-01-09T12:34:56.789Z", 1704803696789000},
      {"2024-01-09T12:34:56.123456Z", 1704803696123456},
      {"2024-01-09 12:34:56", 1704803696000000},
      {"2024-01-09T12:34:56+02:00", 1704796496000000},
      {"2024-01-09T12:34:56.5-05:30", 1704823496500000},
      {"2024-02-29T23:59:59.999999Z", 1709251199999999},
      {"1969-12-31T23:59:59.999999Z", -1},
      {"1900-01-01", -2208988800000000},
      {"2024-01-09", 1704758400000000},
      {"0001-01-01T00:00:00Z", -62135596800000000},
      {"9999-12-31T23:59:59.999999+00:00", 253402300799999999},
      {"2024-01-09T12:34", 1704803640000000},
  };
  for (const Case& c : kCases) {
    INFO(c.text);
    REQUIRE(in_utc().parse(c.text).has_value());
    CHECK(*in_utc().parse(c.text) == c.time);
  }
}

TEST_CASE("other ways to write the same moment") {
  for (const char* text :
       {"2024-01-09T12:34:56.7Z", "2024-01-09t12:34:56.7z", "2024-01-09 12:34:56,7",
        "2024-01-09T12:34:56.70000000000000000000001Z", "2024-01-09T14:34:56.7+02",
        "2024-01-09T14:34:56.7+0200", "2024-01-09T07:04:56.7-05:30", "1704803696.7",
        "1704803696700", "1704803696700000", "1704803696700000000", "1.7048036967e9",
        "1704803696.70", "+1704803696700"}) {
    INFO(text);
    CHECK(read(in_utc(), text) == "2024-01-09T12:34:56.7Z");
  }
  CHECK(read(in_utc(), "17/May/2015:10:05:03 +0000") == "2015-05-17T10:05:03Z");
  CHECK(read(in_utc(), "17/May/2015:10:05:03 -0730") == "2015-05-17T17:35:03Z");
  CHECK(read(in_utc(), "2016-12-31T23:59:60Z") == "2016-12-31T23:59:59.999999Z");
}

TEST_CASE("what is no time is refused") {
  for (const char* text : {"",
                           " ",
                           "now",
                           "2024",
                           "2023-02-29",
                           "2024-13-01",
                           "2024-00-10",
                           "2024-01-32",
                           "2024-1-9",
                           "2024-04-31",
                           "1900-02-29",
                           "2024-01-09T",
                           "2024-01-09T12",
                           "2024-01-09T24:00:00Z",
                           "2024-01-09T12:60:00Z",
                           "2024-01-09T12:34:61Z",
                           "2024-01-09T12:34:56.Z",
                           "2024-01-09T12:34:56 Z",
                           "2024-01-09T12:34:56+24:00",
                           "2024-01-09T12:34:56+02:60",
                           "2024-01-09T12:34:56+2",
                           "2024-01-09T12:34:56ZZ",
                           "2024-01-09T12:34:56Z ",
                           "2024-01-09X12:34:56",
                           "2024-01-09T1a:34:56",
                           "17/Foo/2015:10:05:03 +0000",
                           "17/May/2015:10:05:03",
                           "32/May/2015:10:05:03 +0000",
                           "1e300",
                           "nan",
                           "99999999999999999999",
                           "12:34:56",
                           "0x10"}) {
    if (std::string_view(text) == "2024") continue;  // Epoch seconds, like any other number.
    INFO(text);
    CHECK(read(in_utc(), text) == "none");
  }
}

TEST_CASE("epoch numbers by magnitude, cut off towards the past") {
  const auto at = [](std::string_view text) { return TimeParser::parse_epoch(text).value(); };
  CHECK(at("0") == 0);
  CHECK(at("-0.0") == 0);
  CHECK(at("99999999999") == 99'999'999'999 * kSecond);
  CHECK(at("100000000000") == 100'000'000'000 * kMillisecond);
  CHECK(at("99999999999999") == 99'999'999'999'999 * kMillisecond);
  CHECK(at("100000000000000") == 100'000'000'000'000);
  CHECK(at("99999999999999999") == 99'999'999'999'999'999);
  CHECK(at("100000000000000000") == 100'000'000'000'000);
  CHECK(at("9223372036854775807") == 9'223'372'036'854'775);
  CHECK(at("1704803696.1234567") == 1'704'803'696'123'456);
  CHECK(at("1704803696123.4567") == 1'704'803'696'123'456);
  CHECK(at("-1.5") == -1'500'000);
  CHECK(at("-0.0000001") == -1);
  CHECK(at("-1704803696123456789") == -1'704'803'696'123'457);
  CHECK(at("0.0000001") == 0);
  CHECK(at("1e-999999999999") == 0);
  CHECK(at("-1e-999999999999") == -1);
  CHECK_FALSE(TimeParser::parse_epoch("9223372036854775808").has_value());
  CHECK_FALSE(TimeParser::parse_epoch("1e999999999999").has_value());
}

TEST_CASE("a time without zone is local to the stream's") {
  const TimeParser berlin(*TimeZone::load("Europe/Berlin"));
  CHECK(read(berlin, "2024-01-09T12:34:56") == "2024-01-09T11:34:56Z");
  CHECK(read(berlin, "2024-07-09 12:34:56") == "2024-07-09T10:34:56Z");
  CHECK(read(berlin, "2024-07-09") == "2024-07-08T22:00:00Z");
  CHECK(read(berlin, "2024-07-09T12:34:56Z") == "2024-07-09T12:34:56Z");
  CHECK(read(berlin, "2024-03-31T02:30:00") == "2024-03-31T01:30:00Z");  // Never shown: 03:30.
  CHECK(read(berlin, "2024-10-27T02:30:00") == "2024-10-27T00:30:00Z");  // Shown twice: the first.
}

TEST_CASE("the quick way gives what the plain one gives, or nothing") {
  std::mt19937_64 random(3);
  for (const char* zone : {"UTC", "Europe/Berlin", "Asia/Kolkata"}) {
    TimeParser parser(*TimeZone::load(zone));
    int taken = 0;
    for (int i = 0; i < 200'000; ++i) {
      const Timestamp t = static_cast<Timestamp>(random() % 4'000'000'000) * kSecond +
                          (i % 2 == 0 ? 0 : static_cast<Timestamp>(random() % 1'000'000));
      const Timestamp minute = t / (5 * kMinute) * (5 * kMinute) % (1000 * kDay) + t % kMinute;
      std::string text = to_rfc3339(i % 3 == 0 ? t : minute);
      if (i % 5 == 0) text.pop_back();  // No zone.
      if (i % 7 == 0) text = text.substr(0, text.size() - 1) + "+00:00";
      if (i % 11 == 0) text[10] = ' ';
      if (i % 4 == 0) text[random() % text.size()] = static_cast<char>(random() % 96 + 32);
      if (text.find('"') != std::string::npos) continue;
      const std::string quoted = text + '"' + std::string(64, '\0');
      Timestamp time = 0;
      const char* const end = parser.parse_quoted(quoted.data(), time);
      if (end == nullptr) continue;
      ++taken;
      INFO(text);
      REQUIRE(end == quoted.data() + text.size());
      const auto plain = parser.parse(text);
      REQUIRE(plain.has_value());
      REQUIRE(*plain == time);
    }
    CHECK(taken > 100'000);
    // Nothing is remembered yet of minutes like this one.
    Timestamp time = 0;
    TimeParser fresh(*TimeZone::load(zone));
    CHECK(fresh.parse_quoted((std::string(16, '\0') + ":00Z\"" + std::string(64, '\0')).data(),
                             time) == nullptr);
  }
}
