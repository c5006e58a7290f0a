// What compile_windows takes, refuses and says.
#include "support/catch.h"
#include "window/metric_aggregate.h"
#include "window/plan.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

namespace {

std::string error_of(const std::string& select, std::vector<NamedExpression> by = {}) {
  const Compiled c = compile({options("w", std::move(by), {{"x", select}})});
  REQUIRE(c.plan == nullptr);
  REQUIRE_FALSE(c.diagnostics.empty());
  return text_of(c.diagnostics);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("result columns have the types the functions give", "[window][compile]") {
  const Compiled c = compile({options("w", {{"", "service"}, {"minute_of", "status_code % 60"}},
                                      {{"n", "count(*)"},
                                       {"nx", "count(user_id)"},
                                       {"d", "count(distinct service)"},
                                       {"si", "sum(user_id)"},
                                       {"sd", "sum(amount)"},
                                       {"sf", "sum(latency_ms)"},
                                       {"ad", "avg(amount)"},
                                       {"ms", "min(service)"},
                                       {"mt", "max(time)"},
                                       {"q", "median(amount)"},
                                       {"l", "last(ok)"},
                                       {"r", "rate(user_id)"}})});
  INFO(text_of(c.diagnostics));
  REQUIRE(c.plan != nullptr);
  const auto schema = result_schemas(*c.plan).at(0);
  REQUIRE(schema->keys.size() == 2);
  REQUIRE(schema->keys[0].name == "service");
  REQUIRE(to_text(schema->keys[1].type) == "int");
  std::string types;
  for (const ResultColumn& metric : schema->metrics) types += to_text(metric.type) + " ";
  REQUIRE(types == "int int int int decimal(2) float float string timestamp float bool float ");
}

TEST_CASE("what a metric is of the events is known, whatever it is called", "[window][compile]") {
  const std::vector<std::pair<std::string, std::string>> wanted = {
      {"count(*)", "count"},
      {"count(user_id) filter (where ok)", "count"},
      {"count(distinct service)", "distinct_count"},
      {"distinct_count(service)", "distinct_count"},
      {"sum(latency_ms)", "sum"},
      {"avg(amount)", "avg"},
      {"min(service)", "min"},
      {"max(time)", "max"},
      {"median(amount)", "quantile"},
      {"quantile(latency_ms, 0.9)", "quantile"},
      {"first(ok)", "first"},
      {"last(user_id)", "last"},
      {"rate()", "rate"},
      {"rate(user_id)", "rate"},
      // What adds up all the same, over groups and over time.
      {"count(*) - count(user_id)", "sum"},
      {"-sum(user_id) * 2 / 1000", "sum"},
      {"1000 * sum(amount)", "sum"},
      {"x0 + x4", "sum"},
      {"x0", "count"},
      // What does not.
      {"sum(user_id) / count(*)", ""},
      {"sum(user_id) * count(*)", ""},
      {"count(*) + 1", ""},
      {"1000 / sum(user_id)", ""},
      {"sum(user_id) - max(user_id)", ""},
      {"abs(sum(user_id))", ""},
      {"service || '!'", ""},
  };
  std::vector<NamedExpression> select;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    select.push_back({"x" + std::to_string(i), wanted[i].first});
  }
  const Compiled c = compile({options("w", {{"", "service"}}, std::move(select))});
  INFO(text_of(c.diagnostics));
  REQUIRE(c.plan != nullptr);
  const auto aggregates = metric_aggregates(*c.plan).at(0);
  REQUIRE(aggregates.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    INFO(wanted[i].first);
    CHECK(aggregates[i] == wanted[i].second);
  }
}

TEST_CASE("calls that need the same accumulator share it", "[window][compile]") {
  const Compiled c = compile({options("w", {},
                                      {{"a", "sum(latency_ms) / count(*)"},
                                       {"b", "avg( latency_ms )"},
                                       {"p50", "quantile(latency_ms, 0.5)"},
                                       {"p99", "percentile(latency_ms, 0.99)"},
                                       {"m", "MEDIAN(latency_ms)"},
                                       {"n", "COUNT(*)"},
                                       {"e", "count(*) filter (where status_code >= 500)"}})});
  INFO(text_of(c.diagnostics));
  REQUIRE(c.plan != nullptr);
  const WindowPlan& w = c.plan->windows[0];
  REQUIRE(w.accumulators.size() == 4);
  REQUIRE(w.schema->accumulators == std::vector<std::string>{"sum_float(latency_ms)", "count(*)",
                                                             "sketch(latency_ms)",
                                                             w.accumulators[3].text});
  REQUIRE(contains(w.accumulators[3].text, "filter (where"));
  REQUIRE(w.row_bytes == 16 + 24 + 8 + 48 + 8);
}

TEST_CASE("metrics may use one another in any order, keys, and key expressions",
          "[window][compile]") {
  const Compiled c = compile({options("w", {{"category", "service"}},
                                      {{"rate_of_errors", "errors / total"},
                                       {"errors", "count(*) filter (where not ok)"},
                                       {"total", "count(*)"},
                                       {"label", "category || '/' || service"}})});
  INFO(text_of(c.diagnostics));
  REQUIRE(c.plan != nullptr);
}

TEST_CASE("mistakes in the select list are explained", "[window][compile]") {
  REQUIRE(contains(error_of("cuont(*)"), "did you mean count?"));
  REQUIRE(contains(error_of("quantil(latency_ms, 0.5)"), "did you mean quantile"));
  REQUIRE(contains(error_of("sum(max(latency_ms))"), "cannot be nested"));
  REQUIRE(contains(error_of("sum(service)"), "sum cannot take string"));
  REQUIRE(contains(error_of("sum(ok)"), "filter"));
  REQUIRE(contains(error_of("quantile(latency_ms)"), "takes 2 arguments"));
  REQUIRE(contains(error_of("quantile(latency_ms, 95)"), "0.95"));
  REQUIRE(contains(error_of("quantile(latency_ms, status_code)"), "constant"));
  REQUIRE(contains(error_of("avg(*)"), "avg(*)"));
  REQUIRE(contains(error_of("sum(distinct user_id)"), "count(distinct x)"));
  REQUIRE(contains(error_of("latency_ms + 1"), "neither a key nor inside an aggregate"));
  REQUIRE(contains(error_of("x + 1"), "defined by itself"));
  REQUIRE(contains(error_of("count(*) filter (where status_code)"), "bool"));
  REQUIRE(contains(error_of("min(latencyms)"), "latency_ms"));
  REQUIRE(contains(error_of("null"), "always NULL"));
}

TEST_CASE("names that clash or are reserved are refused", "[window][compile]") {
  const auto refused = [](WindowOptions o) {
    const Compiled c = compile({std::move(o)});
    REQUIRE(c.plan == nullptr);
    return text_of(c.diagnostics);
  };
  REQUIRE(contains(refused(options("w", {{"a", "service"}}, {{"A", "count(*)"}})),
                   "already a column A"));
  REQUIRE(contains(refused(options("w", {}, {{"window_start", "count(*)"}})), "taken"));
  REQUIRE(contains(refused(options("w", {{"limit", "user_id"}}, {{"n", "count(*)"}})), "taken"));
  REQUIRE(contains(refused(options("w", {{"k", "null"}}, {{"n", "count(*)"}})), "always NULL"));
  REQUIRE(contains(refused(options("w", {}, {})), "selects nothing"));
  std::vector<NamedExpression> many;
  for (int i = 0; i < 1'025; ++i) {
    many.push_back(
        {fmt::format("n{}", i), fmt::format("count(*) filter (where latency_ms > {})", i)});
  }
  REQUIRE(contains(refused(options("w", {}, many)), "1025 accumulators, more than 1024"));
  many.pop_back();
  REQUIRE(compile({options("w", {}, many)}).plan != nullptr);
}

TEST_CASE("all mistakes are told at once", "[window][compile]") {
  const Compiled c =
      compile({options("a", {{"k", "nosuch"}}, {{"n", "sum(service)"}, {"m", "cnt(*)"}}),
               options("b", {}, {{"n", "avg(ok)"}})});
  REQUIRE(c.plan == nullptr);
  REQUIRE(c.diagnostics.size() >= 4);
}

TEST_CASE("after a mistake the columns are known by name, and what follows is not told",
          "[window][compile]") {
  Compiled c;
  WindowOptions o = options("w", {{"k", "nosuch"}, {"user", "user_id"}},
                            {{"bad", "sum(nosuch) + 1"},
                             {"n", "count(*)"},
                             {"uses", "bad / n + k"},
                             {"typed", "n || bad || uses > 1"},
                             {"lost", ""}});
  o.mistaken = true;  // So that the empty expression has been told.
  const expr::Scope scope = scope_of(c.schema);
  const CheckedWindows checked =
      check_windows(c.schema, scope, nullptr, SourceText(), {o}, c.diagnostics);
  INFO(text_of(c.diagnostics));
  CHECK(checked.plan == nullptr);
  CHECK(c.diagnostics.size() == 2);  // The key's and the metric's.
  REQUIRE(checked.schemas.size() == 1);
  const WindowSchema& schema = *checked.schemas[0];
  REQUIRE(schema.keys.size() == 2);
  CHECK(schema.keys[0].type.kind == Kind::null);
  CHECK(schema.keys[1].type.kind != Kind::null);
  REQUIRE(schema.metrics.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    INFO(schema.metrics[i].name);
    CHECK((schema.metrics[i].type.kind == Kind::integer) == (i == 1));
  }
  // The rest of an expression is looked at all the same.
  c.diagnostics.clear();
  check_windows(c.schema, scope, nullptr, SourceText(),
                {options("w", {}, {{"m", "sum(nosuch) + lower(1)"}, {"x", "m + sum(service)"}})},
                c.diagnostics);
  CHECK(c.diagnostics.size() == 3);
}

TEST_CASE("a timezone needs whole days and a zone that exists", "[window][compile]") {
  WindowOptions o = options("w", {}, {{"n", "count(*)"}}, kHour);
  o.timezone = "Europe/Berlin";
  REQUIRE(contains(text_of(compile({o}).diagnostics), "whole days"));
  o.size = kDay;
  o.timezone = "Mars/Olympus";
  REQUIRE(compile({o}).plan == nullptr);
}
