// What people read in the situations there are, as they would read it at night: each text as a
// whole.
#include <string>
#include <vector>

#include <fmt/format.h>

#include "narrate/scene.h"

namespace streamobs::narrate {
namespace {

Raised latency(int minute, double value) {
  return {minute,          {"checkout"},     value,           std::nullopt, 600,
          "latency_spike", "p95_latency_ms", Severity::medium};
}

std::string text_of(const Run& run) {
  return run.all.back()->title + " | " + run.all.back()->explanation;
}

/// Of a rule that names no metric.
std::shared_ptr<Anomaly> without_figure() {
  auto a = anomaly_of({0});
  a->rule = "both_down";
  a->metric_name.clear();
  a->metric_value.reset();
  a->baseline_value.reset();
  a->threshold_value.reset();
  return a;
}

TEST_CASE("situation: the rule says itself what it is about", "[narrate][golden]") {
  Run run({}, {"new_kind"});
  Raised raised{0, {"checkout"}, 1, std::nullopt, 0, "new_kind", "is_new"};
  raised.description = "new in checkout: connection <*> refused";
  run.raise(raised);
  CHECK(text_of(run) ==
        "new in checkout: connection <*> refused | new in checkout: connection <*> refused. That "
        "has held since 12:34 UTC: is new 1 in the minute from 12:34 UTC, limit 0. No other "
        "service is flagged.");
  // Who it is about is not left out, and a long text is cut.
  raised.minute = 1;
  raised.value = 2;
  raised.description = "two\nkinds: " + std::string(300, 'x') + "!";
  run.raise(raised);
  const std::string said = "two kinds: " + std::string(189, 'x') + "…";
  CHECK(text_of(run) ==
        "checkout: " + said + " | " + said +
            " That has held since 12:34 UTC: is new at worst 2 in the minute from 12:35 UTC, limit "
            "0. No other service is flagged.");
  CHECK(run.all.back()->evidence[0].ends_with("; \"" + said + "\""));
  // One that ends like a sentence gets no second full stop; a rule without a figure has none.
  auto plain = without_figure();
  plain->rule = "new_kind";
  plain->window_start += 2 * kMinute;
  plain->window_end += 2 * kMinute;
  plain->description = "Both are down.";
  Run other({}, {"new_kind"});
  other.feed(AnomalyPtr(plain));
  CHECK(text_of(other) ==
        "checkout: Both are down. | Both are down. That has held since 12:36 UTC. No other service "
        "is flagged.");
  // Withdrawn: the description would say what is no longer so.
  auto withdrawn = anomaly_of(raised);
  withdrawn->resolved = withdrawn->withdrawn = true;
  withdrawn->revision = 1;
  Run third({}, {"new_kind"});
  third.raise(raised);
  third.feed(AnomalyPtr(withdrawn));
  CHECK(third.all.back()->title == "checkout: is new 2 (withdrawn: corrected by late events)");
}

TEST_CASE("situation: two kinds of trouble, one after the other", "[narrate][golden]") {
  Run run;
  run.quiet(-60, 0);
  for (int minute = 0; minute < 3; ++minute) run.raise(latency(minute, 2'150 - 100 * minute));
  for (int minute = 0; minute < 3; ++minute) run.resolve(latency(minute, 2'150 - 100 * minute), 4);
  run.raise({6, {"checkout"}, 0.411, 0.009, 0.06});
  CHECK(text_of(run) ==
        "checkout: error rate 41.1% (46× normal), p95 latency 2,150 ms (limit 600 ms) | The error "
        "rate of checkout has been too high since 12:40 UTC: 41.1% in the minute from 12:40 UTC, "
        "which is 46 times its normal 0.9%. Also flagged: its p95 latency (from 12:34 to 12:37 "
        "UTC, at worst 2,150 ms, limit 600 ms). No other service is flagged.");
  // The newer trouble goes on, and becomes the lesser one: the other is told as what it was.
  Raised worse = latency(1, 9'000);
  worse.severity = Severity::critical;
  worse.rule = "outage";
  run.raise(worse);
  CHECK(run.all.back()->explanation.find("The p95 latency of checkout was too high from 12:35 to "
                                         "12:36 UTC: 9,000 ms in the minute") == 0);
}

TEST_CASE("situation: two kinds of trouble in different windows, with what was alongside",
          "[narrate][golden]") {
  Run run;
  run.quiet(-60, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.05, 300, 2'150}, {{"payments"}}}));
  run.raise(latency(0, 2'150));
  // Nothing stands between the minute and what refers to it.
  CHECK(text_of(run) ==
        "checkout: p95 latency 2,150 ms (limit 600 ms) | The p95 latency of checkout has been too "
        "high since 12:34 UTC: 2,150 ms in the minute from 12:34 UTC, over its limit of 600 ms "
        "(normally 100 ms). In that minute its request count was 3 times the normal level (300, "
        "normally 100); its error rate (5%) was about normal. No other service is flagged.");
  run.feed(rows(kServices, 1, {{{"checkout"}, 0.411, 50}, {{"payments"}}}));
  run.raise({1, {"checkout"}, 0.411, 0.009, 0.06});
  // The other rule's times were named in between.
  CHECK(text_of(run) ==
        "checkout: error rate 41.1% (46× normal), p95 latency 2,150 ms (limit 600 ms) | The error "
        "rate of checkout has been too high since 12:35 UTC: 41.1% in the minute from 12:35 UTC, "
        "which is 46 times its normal 0.9%. Also flagged: its p95 latency (from 12:34 to 12:35 "
        "UTC, 2,150 ms, limit 600 ms). In the minute from 12:35 UTC its request count had halved "
        "(50, normally 100). No other service is flagged.");
}

TEST_CASE("situation: of the window that is told now nothing is known beside it",
          "[narrate][golden]") {
  Run run;
  run.quiet(-60, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.31, 300}, {{"payments"}}}));
  run.raise({0});
  // Its row has not come, or has been forgotten: what is known is of the minute before.
  run.raise({1, {"checkout"}, 0.4});
  CHECK(text_of(run) ==
        "checkout: error rate 40% (8× normal) | The error rate of checkout has been too high since "
        "12:34 UTC: at worst 40% in the minute from 12:35 UTC, which is 8 times its normal 5%. In "
        "the minute from 12:34 UTC its request count was 3 times the normal level (300, normally "
        "100); its p95 latency (100 ms) was about normal. No other service is flagged.");
}

TEST_CASE("situation: on and off", "[narrate][golden]") {
  Run run;
  run.quiet(-60, 0);
  for (const int minute : {0, 3, 4}) run.raise({minute, {"checkout"}, 0.2 + 0.01 * minute});
  CHECK(text_of(run) ==
        "checkout: error rate 24% (4.8× normal) | The error rate of checkout has been too high on "
        "and off since 12:34 UTC: at worst 24% in the minute from 12:38 UTC, which is 4.8 times "
        "its normal 5%. No other service is flagged.");
  for (const int minute : {0, 3, 4}) run.resolve({minute}, 6);
  CHECK(run.all.back()->explanation.find("was too high on and off from 12:34 to 12:39 UTC") !=
        std::string::npos);
}

TEST_CASE("situation: again, after it was over", "[narrate][golden]") {
  Run run;
  run.quiet(-60, 0);
  run.raise({0, {"checkout"}, 0.5});
  run.resolve({0}, 2);
  run.quiet(1, 20);
  run.raise({20, {"checkout"}, 0.31});
  CHECK(run.all.back()->id == "incident:error_surge:20:checkout");
  CHECK(text_of(run) ==
        "checkout: error rate 31% (6.2× normal) | The error rate of checkout has been too high "
        "since 12:54 UTC: 31% in the minute from 12:54 UTC, which is 6.2 times its normal 5%. No "
        "other service is flagged.");
}

TEST_CASE("situation: many endpoints, of which some are affected", "[narrate][golden]") {
  Run run(with_endpoints());
  const auto minute_of = [&](int minute, const std::vector<double>& rates) {
    std::vector<Row> all;
    for (std::size_t i = 0; i < 12; ++i) {
      all.push_back({{"checkout", fmt::format("/e{:02}", i)}, i < rates.size() ? rates[i] : 0.01});
    }
    run.feed(rows(kEndpoints, minute, all));
  };
  for (int minute = -30; minute < 0; ++minute) minute_of(minute, {});
  minute_of(0, {0.3, 0.25, 0.01, 0.25, 0.03, 0.2, 0.1});
  run.raise({0, {"checkout"}, 0.1, 0.01, 0.06});
  // /e04 has three errors instead of one: that is no news.
  CHECK(run.all.back()->explanation.find(
            "Of its 12 endpoints, 5 were affected: /e00 (error rate 30%, 30 of 100; normally 1%), "
            "/e01 (25%, 25 of 100; normally 1%), /e03 (25%, 25 of 100; normally 1%) and 2 more.") !=
        std::string::npos);
}

TEST_CASE("situation: no baseline, a baseline of zero, a tiny one", "[narrate][golden]") {
  Run run;
  run.raise({0, {"checkout"}, 0.4, std::nullopt, std::nullopt});
  CHECK(text_of(run) ==
        "checkout: error rate 40% (unusual) | The error rate of checkout has been unusual since "
        "12:34 UTC: 40% in the minute from 12:34 UTC. No other service is flagged.");
  run.raise({0, {"payments"}, 0.05, 0.0, 0.02});
  CHECK(text_of(run) ==
        "payments: error rate 5% (normally 0%) | The error rate of payments has been too high "
        "since 12:34 UTC: 5% in the minute from 12:34 UTC, normally 0%. checkout was flagged at "
        "the same time.");
  run.raise({0, {"search"}, 0.5, 0.0004, 0.02});
  CHECK(run.all.back()->title == "search: error rate 50% (normally 0.04%)");
}

TEST_CASE("situation: tiny counts beside it", "[narrate][golden]") {
  Run run(with_endpoints());
  for (int minute = -40; minute < 0; ++minute) {
    run.feed(
        rows(kServices, minute, {{{"checkout"}, minute % 4 == 0 ? 0.05 : 0, 20 + minute % 5}}));
    run.feed(rows(kEndpoints, minute,
                  {{{"checkout", "/pay"}, minute % 4 == 0 ? 0.1 : 0, 10},
                   {{"checkout", "/cart"}, 0, 6},
                   {{"checkout", "/list"}, 0, 5, 80 + 15.0 * (minute % 7)}}));
  }
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.3, 27}}));
  run.feed(rows(kEndpoints, 0,
                {{{"checkout", "/pay"}, 0.7, 10},
                 {{"checkout", "/cart"}, 1.0 / 6, 6},
                 {{"checkout", "/list"}, 0, 5, 300}}));
  run.raise({0, {"checkout"}, 0.3, 0.0125, 0.06});
  // 27 requests instead of 18 are within what such small numbers do by themselves; so is one error.
  CHECK(run.all.back()->explanation ==
        "The error rate of checkout has been too high since 12:34 UTC: 30% in the minute from "
        "12:34 UTC, which is 24 times its normal 1.25%. In that minute its request count (27, "
        "normally 18) and p95 latency (100 ms) were about normal. Of its 3 endpoints, only /pay "
        "was affected: error rate 70% (7 of 10), 28 times its normal 2.5%. No other service is "
        "flagged.");
  // A quantile of five requests says nothing.
  run.raise(latency(0, 900));
  run.raise({0,
             {"checkout"},
             900,
             std::nullopt,
             600,
             "latency_worse",
             "p95_latency_ms",
             Severity::critical});
  CHECK(run.all.back()->explanation.find("None of its 3 endpoints stood out.") !=
        std::string::npos);
}

TEST_CASE("situation: names that look like something else", "[narrate][golden]") {
  Run run(with_endpoints());
  const std::string service = "<b>shop</b>";
  const std::string endpoint = "/pay. All is well, \"ignore\" this";
  for (int minute = -10; minute < 0; ++minute) {
    run.feed(rows(kEndpoints, minute, {{{service, endpoint}}, {{service, "/a"}}}));
  }
  run.feed(rows(kEndpoints, 0, {{{service, endpoint}, 0.6}, {{service, "/a"}}}));
  run.raise({0, {service}});
  CHECK(
      text_of(run) ==
      "\"<b>shop</b>\": error rate 31% (6.2× normal) | The error rate of \"<b>shop</b>\" has been "
      "too high since 12:34 UTC: 31% in the minute from 12:34 UTC, which is 6.2 times its normal "
      "5%. Of its 2 endpoints, only \"/pay. All is well, 'ignore' this\" was affected: error "
      "rate 60% (60 of 100), 12 times its normal 5%. No other service is flagged.");
}

TEST_CASE("situation: a rule about no single figure", "[narrate][golden]") {
  Run run;
  run.feed(without_figure());
  CHECK(text_of(run) ==
        "checkout: rule both_down | The rule both_down has held for checkout since 12:34 UTC. No "
        "other service is flagged.");
}

TEST_CASE("situation: which minute \"that minute\" is", "[narrate][golden]") {
  Run run;
  run.quiet(-10, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.5, 300}, {{"payments"}}}));
  run.raise({0, {"checkout"}, 0.5});
  run.feed(rows(kServices, 1, {{{"checkout"}, 0.31, 100}, {{"payments"}}}));
  run.raise({1, {"checkout"}, 0.31});
  CHECK(run.all.back()->explanation.find(
            "most recently 31%. In the minute from 12:34 UTC its request count was 3 times") !=
        std::string::npos);

  // Nor is there one to point back to where the rule is about no single figure.
  Run none;
  none.quiet(-10, 0);
  none.feed(rows(kServices, 0, {{{"checkout"}, 0.5, 300}, {{"payments"}}}));
  none.feed(without_figure());
  CHECK(none.all.back()->explanation.find("In that minute") == std::string::npos);
}

TEST_CASE("situation: silence is not recovery", "[narrate][golden]") {
  Run run;
  run.quiet(-10, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.5}, {{"payments"}}}));
  run.raise({0, {"checkout"}, 0.5});
  run.resolve({0}, 1);
  for (int minute = 1; minute < 7; ++minute) {
    run.feed(rows(kServices, minute, {{{"payments"}}}));
  }
  REQUIRE(run.narrator->open_incidents() == 0);
  const std::string& told = run.all.back()->explanation;
  CHECK(
      told.find("Nothing at all has come from checkout since 12:35 UTC: it is closed for that, not "
                "because it has recovered.") != std::string::npos);
  CHECK(told.find("It was over") == std::string::npos);
}

}  // namespace
}  // namespace streamobs::narrate
