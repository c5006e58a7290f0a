#include "base/json_writer.h"

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "support/catch.h"

namespace streamobs {
namespace {

template <class F>
std::string written(F write) {
  std::string out;
  JsonWriter json(out);
  write(json);
  return out;
}

TEST_CASE("nested objects and arrays get their commas", "[base][json]") {
  const std::string out = written([](JsonWriter& j) {
    j.begin_object();
    j.field("a", 1).key("b").begin_array();
    j.value(1).begin_object().end_object().begin_array().end_array().null().value("x");
    j.end_array();
    j.key("c").begin_object().field("d", true).end_object();
    j.field("e", false);
    j.end_object();
  });
  CHECK(out == R"({"a":1,"b":[1,{},[],null,"x"],"c":{"d":true},"e":false})");
}

TEST_CASE("strings are escaped as JSON wants", "[base][json]") {
  CHECK(written([](JsonWriter& j) { j.value("a\"b\\c\n\r\t/é✓"); }) == R"("a\"b\\c\n\r\t/é✓")");
  CHECK(written([](JsonWriter& j) { j.value(std::string_view("\0\x01\x1f\x7f", 4)); }) ==
        "\"\\u0000\\u0001\\u001f\x7f\"");
  CHECK(written([](JsonWriter& j) { j.begin_object().field("k\"y", "").end_object(); }) ==
        R"({"k\"y":""})");
}

TEST_CASE("numbers are written exactly", "[base][json]") {
  CHECK(written([](JsonWriter& j) { j.value(std::numeric_limits<std::int64_t>::min()); }) ==
        "-9223372036854775808");
  CHECK(written([](JsonWriter& j) { j.value(std::numeric_limits<std::uint64_t>::max()); }) ==
        "18446744073709551615");
  CHECK(written([](JsonWriter& j) { j.value(0.1); }) == "0.1");
  CHECK(written([](JsonWriter& j) { j.value(-0.0); }) == "-0");
  CHECK(written([](JsonWriter& j) { j.value(std::nan("")); }) == "null");
  CHECK(written([](JsonWriter& j) { j.value(std::numeric_limits<double>::infinity()); }) == "null");
}

TEST_CASE("every finite double reads back the same, as a JSON number", "[base][json]") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t bits = random();
    double v = 0;
    std::memcpy(&v, &bits, sizeof v);
    if (!std::isfinite(v)) continue;
    const std::string text = written([&](JsonWriter& j) { j.value(v); });
    INFO(text);
    // JSON's grammar: -? digits (. digits)? (e [+-]? digits)?
    std::size_t at = text[0] == '-' ? 1 : 0;
    REQUIRE(std::isdigit(static_cast<unsigned char>(text[at])));
    REQUIRE(
        (text[at] != '0' || at + 1 == text.size() || text[at + 1] == '.' || text[at + 1] == 'e'));
    REQUIRE(text.find_first_not_of("0123456789.e+-") == std::string::npos);
    REQUIRE(std::isdigit(static_cast<unsigned char>(text.back())));
    REQUIRE(std::strtod(text.c_str(), nullptr) == v);
  }
}

TEST_CASE("decimals come out digit for digit and times as RFC 3339", "[base][json]") {
  CHECK(written([](JsonWriter& j) {
          j.begin_array().decimal(1234, 2).decimal(-5, 2).decimal(7, 0).time(0).end_array();
        }) == R"([12.34,-0.05,7,"1970-01-01T00:00:00Z"])");
  CHECK(written([](JsonWriter& j) { j.begin_array().raw("{}").raw("1").end_array(); }) == "[{},1]");
}

}  // namespace
}  // namespace streamobs
