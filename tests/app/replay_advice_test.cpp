#include "app/replay_advice.h"

#include <string>

#include "event/dead_letter.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::app;

TEST_CASE("the beginning of a file tells its format") {
  CHECK(format_of("{\"a\": 1}\n") == Format::ndjson);
  CHECK(format_of("\xEF\xBB\xBF \n\n [{\"a\": 1}]") == Format::ndjson);
  CHECK(format_of("a,b,c\n1,2,3\n") == Format::csv);
  CHECK(format_of("a,b,c") == Format::csv);
  CHECK(format_of("\"time [s]\",\"x\"\r\n1,2\r\n") == Format::csv);
  CHECK(format_of("1.2.3.4 - - [09/Jan/2026:12:34:56 +0000] \"GET /a,b HTTP/1.1\" 200 5\n") ==
        Format::access_log);
  CHECK(format_of("<34>Jan  9 12:34:56 host app: a, b\n") == Format::syslog);
  CHECK_FALSE(format_of("<html>"));
  CHECK_FALSE(format_of(""));
  CHECK_FALSE(format_of("\n \n"));
  CHECK_FALSE(format_of("one column\n1\n"));
  CHECK_FALSE(format_of(std::string("\x1f\x8b\x08\x00,,,,", 8)));  // gzip
}

TEST_CASE("there is advice on every reason, and it names the stream or the check") {
  for (const std::string_view reason :
       {reason::not_json, reason::not_a_record, reason::missing_field, reason::wrong_type,
        reason::bad_time, reason::out_of_range, reason::bad_utf8, reason::duplicate_key,
        reason::too_deep, reason::too_long, reason::future}) {
    INFO(reason);
    const std::string advice = advice_on(reason, "orders", Format::csv);
    CHECK_FALSE(advice.empty());
    CHECK(advice.find("the check") == std::string::npos);
  }
  CHECK(advice_on(reason::missing_field, "orders", Format::csv).starts_with("[stream.orders]"));
  CHECK(advice_on("positive", "orders", Format::csv) ==
        "the events do not pass the check `positive` of [stream.orders]");
  CHECK(advice_on(reason::not_a_record, "orders", Format::csv) !=
        advice_on(reason::not_a_record, "orders", Format::access_log));
}
