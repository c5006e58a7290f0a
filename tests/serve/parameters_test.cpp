#include "serve/parameters.h"

#include <string>

#include "base/time_format.h"
#include "serve/text.h"
#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using serve::parse_time;
using serve::QueryParameters;

const WindowSchema& schema() {
  static const WindowSchema value = [] {
    WindowSchema s;
    s.window = "w";
    s.keys = {{"service", {Kind::string, 0}}};
    return s;
  }();
  return value;
}

std::string message(const Result<store::WindowQuery>& result) {
  return result ? "" : result.error().message;
}

}  // namespace

TEST_CASE("times are read as ISO 8601 or epoch milliseconds", "[serve]") {
  // 2024-01-09T12:34:00Z is 1704803640 (date -u +%s).
  constexpr Timestamp kTime = 1'704'803'640 * kSecond;
  CHECK(parse_time("2024-01-09T12:34:00Z") == kTime);
  CHECK(parse_time("2024-01-09 12:34:00z") == kTime);
  CHECK(parse_time("2024-01-09T14:04:00+01:30") == kTime);
  CHECK(parse_time("2024-01-09T14:04:00 01:30") == kTime);  // An unescaped + in a query.
  CHECK(parse_time("2024-01-09T04:34:00-08:00") == kTime);
  CHECK(parse_time("2024-01-09T12:34:00.5Z") == kTime + 500'000);
  CHECK(parse_time("2024-01-09T12:34:00.1234567Z") == kTime + 123'456);
  CHECK(parse_time("2024-01-09T12:34") == kTime);
  CHECK(parse_time("2024-01-09 12:34") == kTime);
  CHECK(parse_time("2024-01-09T12:34Z") == kTime);
  CHECK(parse_time("2024-01-09T12:34:00") == kTime);
  CHECK(parse_time("2024-01-09 14:04 01:30") == kTime);
  CHECK(parse_time("2024-01-09") == kTime - 12 * kHour - 34 * kMinute);
  CHECK(parse_time("1704803640000") == kTime);
  CHECK(parse_time("-1") == -kMillisecond);
  CHECK(parse_time("0") == 0);
  CHECK(parse_time("2024-02-29T00:00:00Z"));
  for (const char* bad :
       {"", "now", "2024-01", "2024-01-09T12", "2024-13-09T12:34:00Z", "2023-02-29T00:00:00Z",
        "2024-01-09T24:00:00Z", "2024-01-09T12:60:00Z", "2024-01-09T12:34:00.Z",
        "2024-01-09T12:34 Z", "2024-01-09T12:34:00+25:00", "2024-01-09T12:34:00ZZ",
        "9223372036854775807", "1e3", "12 ", "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z"}) {
    INFO(bad);
    CHECK_FALSE(parse_time(bad));
  }
  // The way out and in again.
  for (Timestamp t = -5 * kDay; t < 40'000 * kDay; t += 977 * kHour + 13 * kMinute + 7) {
    CHECK(parse_time(to_rfc3339(t)) == t);
  }
}

TEST_CASE("a window query is read from its parameters", "[serve]") {
  const auto query = serve::read_window_query({{"from", "1000"},
                                               {"to", "1970-01-01T00:00:02Z"},
                                               {"windows", "7"},
                                               {"limit", "100000"},
                                               {"service", "a b"}},
                                              schema());
  REQUIRE(query.has_value());
  CHECK(query->window == "w");
  CHECK(query->from == kSecond);
  CHECK(query->to == 2 * kSecond);
  CHECK(query->windows == 7);
  CHECK(query->limit == 100'000);
  CHECK(query->keys == std::vector<std::pair<std::string, std::string>>{{"service", "a b"}});
  CHECK(serve::read_window_query({}, schema())->limit == 1'000);
}

TEST_CASE("a mistaken parameter is named, with what there is", "[serve]") {
  const auto ask = [](const QueryParameters& parameters) {
    return message(serve::read_window_query(parameters, schema()));
  };
  CHECK(
      ask({{"servce", "a"}}) ==
      "unknown parameter \"servce\"; there is from, to, windows, latest, limit, metrics, step, by, "
      "quantile, format and service");
  CHECK(ask({{"limit", "1"}, {"limit", "2"}}) == "parameter \"limit\" is given twice");
  for (const char* bad : {"0", "100001", "-1", "ten", "1.5", "", "99999999999999999999"}) {
    CHECK(ask({{"limit", bad}}).find("whole number from 1 to 100000") != std::string::npos);
    CHECK(ask({{"windows", bad}}).find("whole number") != std::string::npos);
  }
  CHECK(ask({{"from", "yesterday"}}).find("is not a time") != std::string::npos);
  const auto list = serve::read_list_query({{"limit", "5"}, {"rule", "r"}}, {"severity", "rule"});
  REQUIRE(list.has_value());
  CHECK(list->limit == 5);
  CHECK(list->equal == std::vector<std::pair<std::string, std::string>>{{"rule", "r"}});
  CHECK_FALSE(serve::read_list_query({{"windows", "5"}}, {"severity"}).has_value());
}
