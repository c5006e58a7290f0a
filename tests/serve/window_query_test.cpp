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

TEST_CASE("a question for a view is put to each of its windows", "[serve]") {
  WindowSchema five = per_minute();
  five.window = "per_five";
  five.size = 5 * kMinute;
  std::swap(five.metrics[0], five.metrics[1]);
  const RowSource view{"sizes",
                       {{std::make_shared<const WindowSchema>(per_minute()), "1m"},
                        {std::make_shared<const WindowSchema>(five), "5m"}},
                       true};
  const auto all = read_rows_question({{"service", "a"}, {"limit", "7"}, {"windows", "2"}}, view);
  REQUIRE(all.has_value());
  CHECK(all->limit == 7);
  REQUIRE(all->parts.size() == 2);
  CHECK(all->parts[0].question.rows.window == "per_minute");
  CHECK(all->parts[1].question.rows.window == "per_five");
  for (const RowsQuestion::Part& part : all->parts) {
    CHECK(part.question.rows.keys.at(0).second == "a");
    CHECK(part.question.rows.windows == 2);
  }
  // The metrics come as the first window has them.
  CHECK(all->parts[0].question.metrics == std::vector<std::size_t>{0, 1});
  CHECK(all->parts[1].question.metrics == std::vector<std::size_t>{1, 0});
  const auto cost = read_rows_question({{"metrics", "cost"}, {"window_size", "5m"}}, view);
  REQUIRE(cost.has_value());
  REQUIRE(cost->parts.size() == 1);
  CHECK(cost->parts[0].member == 1);
  CHECK(cost->parts[0].question.metrics == std::vector<std::size_t>{0});

  const std::vector<std::pair<QueryParameters, const char*>> wrong = {
      {{{"window_size", "2m"}}, "window_size = \"2m\": view sizes has 1m and 5m"},
      {{{"window_size", "1m"}, {"window_size", "1m"}}, "twice"},
      {{{"size", "1m"}}, "key.format and window_size"},
      {{{"step", "2m"}}, "windows of 5m do not fill it"}};
  for (const auto& [parameters, words] : wrong) {
    const auto asked = read_rows_question(parameters, view);
    REQUIRE(asked.has_error());
    CHECK_THAT(asked.error().message, Catch::Contains(words));
  }
  CHECK(read_rows_question({{"step", "2m"}, {"window_size", "1m"}}, view).has_value());
  // One window has no sizes to tell apart.
  const RowSource alone{"per_minute", {view.members[0]}, false};
  CHECK(read_rows_question({{"window_size", "1m"}}, alone).has_error());
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
