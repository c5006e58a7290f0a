#include <string>

#include "detect/detector.h"
#include "detect/rows.h"
#include "support/catch.h"

namespace streamobs::detect {
namespace {

// The one complaint about a rule.
Diagnostic complaint(const RuleOptions& options) {
  Diagnostics diagnostics;
  const auto plan = compile({options}, diagnostics);
  REQUIRE(plan == nullptr);
  REQUIRE_FALSE(diagnostics.empty());
  return diagnostics[0];
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("mistakes in a rule are found with their place", "[detect][compile]") {
  struct Case {
    const char* when;
    const char* message;
    std::uint32_t column;  // The expression starts in column 9.
  };
  const Case cases[] = {
      {"error_rate > baseline(error_rate)", "baseline takes a metric and a duration", 22},
      {"error_rate > baseline(error_rate, '1 hour')", "not a duration", 43},
      {"error_rate > baseline(error_rate, 60)", "duration in quotes", 43},
      {"error_rate > baseline(error_rate, '3m')", "waits for 5", 43},
      {"error_rate > baseline(error_rate, '30d')", "at most 10000 are kept", 43},
      {"error_rate > baseline(baseline(error_rate, '1h'), '1h')", "cannot stand within", 31},
      {"error_rate > baseline(service, '1h')", "needs a number", 31},
      {"error_rate > previous(error_rate, '1h')", "takes one argument", 22},
      {"error_rate + 1", "must be true or false", 9},
  };
  for (const Case& c : cases) {
    INFO(c.when);
    const Diagnostic d = complaint(rule(c.when));
    INFO(d.message);
    CHECK(contains(d.message, c.message));
    CHECK(d.place.file == "obs.toml");
    CHECK(d.place.line == 12);
    CHECK(d.place.column == c.column);
  }
}

TEST_CASE("what the expression language finds is passed on", "[detect][compile]") {
  for (const char* when : {"error_rat > 1", "error_rate >", "service > 3", "nosuch(error_rate) > 1",
                           "baseline(error_rat, '1h') > 1", "count(*) > 3"}) {
    INFO(when);
    const Diagnostic d = complaint(rule(when));
    CHECK(d.place.line == 12);
    CHECK_FALSE(d.message.empty());
  }
  const Diagnostic near = complaint(rule("error_rat > 1"));
  CHECK(contains(near.message + near.hint, "error_rate"));
}

TEST_CASE("an unknown window is named, with the one that was meant", "[detect][compile]") {
  RuleOptions options = rule("error_rate > 1");
  options.on = SourceText("service_metric", {"obs.toml", 3, 8});
  const Diagnostic d = complaint(options);
  CHECK(contains(d.message, "no window 'service_metric'"));
  CHECK(d.hint == "did you mean service_metrics?");
  CHECK(d.place.line == 3);
}

TEST_CASE("wrong metric, wrong placeholder, the same name twice", "[detect][compile]") {
  RuleOptions options = rule("error_rate > 1");
  options.metric = "eror_rate";
  Diagnostic d = complaint(options);
  CHECK(contains(d.message, "no numeric metric 'eror_rate'"));
  CHECK(contains(d.hint, "error_rate"));
  options.metric = "service";
  CHECK(contains(complaint(options).message, "no numeric metric"));

  options = rule("error_rate > 1");
  options.description = SourceText("{servic} is bad", {"obs.toml", 20, 16});
  d = complaint(options);
  CHECK(contains(d.message, "{servic}"));
  CHECK(contains(d.hint, "service"));
  CHECK(d.place.column == 16);
  options.description = "open {service";
  CHECK(contains(complaint(options).message, "not closed"));
  options.description = "stray } here";
  CHECK(contains(complaint(options).message, "no { before"));

  Diagnostics diagnostics;
  CHECK(compile({rule("error_rate > 1"), rule("error_rate > 2")}, diagnostics) == nullptr);
  REQUIRE(diagnostics.size() == 1);
  CHECK(contains(diagnostics[0].message, "two rules called 'error_surge'"));
}

TEST_CASE("all mistakes are found at once", "[detect][compile]") {
  RuleOptions a = rule("error_rate > baseline(error_rate)");
  RuleOptions b = rule("error_rate > 1");
  b.name = "b";
  b.on = "nowhere";
  RuleOptions c = rule("error_rate + 1");
  c.name = "c";
  Diagnostics diagnostics;
  CHECK(compile({a, b, c}, diagnostics) == nullptr);
  CHECK(diagnostics.size() == 3);
}

TEST_CASE("a rule's own words are filled in", "[detect][description]") {
  RuleOptions options = rule("error_rate > 0.2");
  options.description =
      "{{{service}}}: {metric_name} {metric_value} (limit {threshold_value}, normally "
      "{baseline_value}) with {request_count} requests worth {total}, {severity}, {rule} on "
      "{window}, "
      "{window_start} to {window_end}";
  Run run({options});
  const auto raised = run.feed({{0, "s", 1.0 / 3, 1500}});
  REQUIRE(raised.size() == 1);
  CHECK(raised[0]->description ==
        "{s}: error_rate 0.333 (limit 0.2, normally unknown) with 1500 requests worth 3,750, high, "
        "error_surge on service_metrics, 2024-01-09T12:34:00Z to 2024-01-09T12:35:00Z");
}

TEST_CASE("the headline is the comparison that matters", "[detect][headline]") {
  struct Case {
    const char* when;
    const char* metric;
    std::optional<double> threshold;
    const char* words;  // Of the threshold.
  };
  const Case cases[] = {
      {"request_count >= 20 and error_rate > 0.2", "request_count", 20,
       "the rule allows less than 20"},
      {"0.2 < error_rate", "error_rate", 0.2, "the rule allows 20%"},
      {"request_count < 1000", "request_count", 1000, "the rule wants at least 1,000"},
      {"1000 >= request_count", "request_count", 1000, "the rule wants more than 1,000"},
      {"error_rate / p95_latency_ms > 0", "error_rate", std::nullopt, ""},
      {"error_rate = 0.5", "error_rate", 0.5, ""},
      {"service = 's'", "", std::nullopt,
       "rule error_surge held for s in the minute from 12:34 UTC"},
      {"total > 2.5", "total", 2.5, "total of s was 250 in"},
  };
  for (const Case& c : cases) {
    INFO(c.when);
    Run run({rule(c.when)});
    const auto raised = run.feed({{0, "s", 0.5}});
    REQUIRE(raised.size() == 1);
    CHECK(raised[0]->metric_name == c.metric);
    REQUIRE(raised[0]->threshold_value.has_value() == c.threshold.has_value());
    if (c.threshold) CHECK(*raised[0]->threshold_value == Approx(*c.threshold));
    CHECK(contains(raised[0]->description, c.words));
  }

  RuleOptions options = rule("request_count >= 20 and error_rate > 0.2");
  options.metric = "error_rate";
  Run run({options});
  CHECK(run.feed({{0, "s", 0.5}}).at(0)->threshold_value == 0.2);

  // A comparison with a baseline is preferred to one that stands before it.
  Run preferred(
      {rule("request_count >= 20 and error_rate > greatest(3 * baseline(error_rate, '1h'), 0.1)")});
  for (int minute = 0; minute < 5; ++minute) preferred.feed({{minute, "s", 0.0}});
  const auto raised = preferred.feed({{5, "s", 0.5}});
  REQUIRE(raised.size() == 1);
  CHECK(raised[0]->metric_name == "error_rate");
  CHECK(raised[0]->threshold_value == 0.1);
  CHECK(raised[0]->baseline_value == 0.0);
  CHECK(contains(raised[0]->description,
                 "50% in the minute from 12:39 UTC, normally 0%; the rule allows 10%"));
}

}  // namespace
}  // namespace streamobs::detect
