#include "serve/window_query.h"

#include "serve/csv.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::serve;

namespace {

WindowSchema per_minute() {
  WindowSchema schema;
  schema.window = "per_minute";
  schema.size = kMinute;
  schema.keys = {{"service", {Kind::string, 0}}, {"format", {Kind::string, 0}}};
  schema.metrics = {{"n", {Kind::integer, 0}}, {"cost", {Kind::decimal, 2}}};
  schema.accumulators = {"count(*)", "sketch(latency_ms)",
                         "sketch(abs(latency_ms)) filter (where (status_code >= 500))"};
  return schema;
}

Result<WindowQuestion> ask(const QueryParameters& parameters) {
  return read_window_question(parameters, per_minute());
}

}  // namespace

TEST_CASE("without step, by and quantile rows are as they are stored", "[serve]") {
  const auto plain = ask({{"service", "a"}, {"key.format", "b"}, {"limit", "7"}});
  REQUIRE(plain.has_value());
  CHECK_FALSE(plain->merge.has_value());
  CHECK(plain->rows.limit == 7);
  CHECK(plain->rows.keys ==
        std::vector<std::pair<std::string, std::string>>{{"service", "a"}, {"format", "b"}});
  CHECK(plain->metrics == std::vector<std::size_t>{0, 1});
  CHECK(plain->format == AnswerFormat::json);
}

TEST_CASE("what is to be merged, and what is shown of it", "[serve]") {
  const auto merged = ask({{"step", "1h"},
                           {"by", "format"},
                           {"metrics", "cost,n"},
                           {"format", "csv"},
                           {"windows", "3"},
                           {"quantile",
                            "latency_ms:0.999,abs(latency_ms) filter (where "
                            "(status_code >= 500)):0.5"}});
  REQUIRE(merged.has_value());
  REQUIRE(merged->merge.has_value());
  CHECK(merged->merge->step == kHour);
  CHECK(merged->merge->by == std::vector<std::size_t>{1});
  CHECK(merged->merge->rows.windows == 3);
  CHECK(merged->metrics == std::vector<std::size_t>{1, 0});
  CHECK(merged->format == AnswerFormat::csv);
  REQUIRE(merged->merge->quantiles.size() == 2);
  CHECK(merged->merge->quantiles[0].accumulator == 1);
  CHECK(merged->merge->quantiles[0].parameter == 0.999);
  CHECK(merged->merge->quantiles[1].accumulator == 2);
  // All keys together.
  const auto all = ask({{"by", ""}});
  REQUIRE(all.has_value());
  REQUIRE(all->merge.has_value());
  CHECK(all->merge->by.empty());
  CHECK(all->merge->step == 0);
}

TEST_CASE("a question that makes no sense is answered with what would", "[serve]") {
  const std::vector<std::pair<QueryParameters, const char*>> wrong = {
      {{{"step", "90s"}}, "multiple of 1m"},
      {{{"step", "367d"}}, "at most 366d"},
      {{{"by", "n"}}, "there is service and format"},
      {{{"by", "service,,format"}}, "no key"},
      {{{"metrics", "service"}}, "n and cost"},
      {{{"quantile", "n:0.5"}}, "there is latency_ms"},
      {{{"quantile", "latency_ms:1.5"}}, "0 to 1"},
      {{{"quantile", "latency_ms:nan"}}, "0 to 1"},
      {{{"step", "1h"}, {"step", "1h"}}, "twice"},
      {{{"key.n", "1"}}, "unknown parameter"}};
  for (const auto& [parameters, words] : wrong) {
    const auto asked = ask(parameters);
    REQUIRE(asked.has_error());
    CHECK(asked.error().code == ErrorCode::invalid);
    CHECK_THAT(asked.error().message, Catch::Contains(words));
  }
  std::string many = "latency_ms:0.5";
  for (int i = 0; i < 20; ++i) many += ",latency_ms:0.5";
  CHECK(ask({{"quantile", many}}).has_error());
}

TEST_CASE("rows as CSV", "[serve]") {
  WindowSchema schema = per_minute();
  schema.keys[1].name = "a,b";
  schema.metrics.push_back({"when", {Kind::timestamp, 0}});
  WindowRow row;
  row.start = 0;
  row.end = kMinute;
  row.closed = true;
  row.keys = {Value::of_string("x \"y\"\nz"), Value::of_string("")};
  row.metrics = {Value::of_int(-7), Value::of_decimal(1999, 2), Value::of_timestamp(kSecond / 2)};
  WindowRow rest = row;
  rest.closed = false;
  rest.overflow = true;
  rest.revision = 3;
  rest.metrics = {Value::of_null({Kind::integer, 0}), Value::of_decimal(0, 2),
                  Value::of_null({Kind::timestamp, 0})};
  CHECK(to_csv(schema, {row, rest}) ==
        "window_start,window_end,closed,revision,service,\"a,b\",n,cost,when\r\n"
        "1970-01-01T00:00:00Z,1970-01-01T00:01:00Z,true,0,\"x \"\"y\"\"\nz\",\"\",-7,19.99,"
        "1970-01-01T00:00:00.5Z\r\n"
        "1970-01-01T00:00:00Z,1970-01-01T00:01:00Z,false,3,__overflow__,__overflow__,,0.00,\r\n");
}
