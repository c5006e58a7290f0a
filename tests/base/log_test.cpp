#include "base/log.h"

#include <limits>
#include <string>

#include "support/catch.h"

using namespace streamobs;

namespace {

std::string json(std::initializer_list<log::Field> fields) {
  return log::line_of(log::Level::warn, "it \"is\" so", fields, 1'704'803'696'500'000, true, false);
}

}  // namespace

TEST_CASE("a JSON line is one object, and numbers in it are numbers") {
  CHECK(json({}) ==
        "{\"@timestamp\":\"2024-01-09T12:34:56.5Z\",\"log.level\":\"warn\","
        "\"message\":\"it \\\"is\\\" so\"}\n");
  const std::size_t size = 7;
  CHECK(json({{"records", size}, {"offset", -3}, {"seconds", 0.25}, {"done", true}})
            .ends_with(",\"records\":7,\"offset\":-3,\"seconds\":0.25,\"done\":true}\n"));
  // Text stays text, digits or not, and what JSON has no number for is text, too.
  CHECK(json({{"id", "12"}, {"one", std::string("1")}, {"c", '1'}})
            .ends_with(",\"id\":\"12\",\"one\":\"1\",\"c\":\"1\"}\n"));
  CHECK(
      json({{"rate", std::numeric_limits<double>::quiet_NaN()}}).ends_with(",\"rate\":\"nan\"}\n"));
}

TEST_CASE("a text line has the time, the level, what happened and the fields") {
  CHECK(log::line_of(log::Level::info, "recovered", {{"records", 7}}, 1'704'803'696'123'456, false,
                     false) == "2024-01-09T12:34:56.123Z info  recovered  records=7\n");
  CHECK(log::line_of(log::Level::error, "x", {}, 0, false, true) ==
        "1970-01-01T00:00:00Z \x1b[31merror\x1b[0m x\n");
}
