// What becomes of an incident when late events correct the windows it is made of.
#include <string>
#include <vector>

#include "narrate/scene.h"

namespace streamobs::narrate {
namespace {

/// The anomaly said again: `value` is that of the corrected row.
std::shared_ptr<Anomaly> again(const Raised& r, double value, std::uint32_t revision) {
  auto a = anomaly_of(r);
  a->metric_value = value;
  a->revision = revision;
  return a;
}

std::vector<IncidentPtr> correct(Run& run, const Raised& r, double value, std::uint32_t revision) {
  return run.feed(AnomalyPtr(again(r, value, revision)));
}

std::vector<IncidentPtr> withdraw(Run& run, const Raised& r, double value, std::uint32_t revision) {
  auto a = again(r, value, revision);
  a->resolved = true;
  a->withdrawn = true;
  a->resolved_at = a->window_end;
  return run.feed(AnomalyPtr(std::move(a)));
}

std::string text_of(const Incident& i) {
  return i.title + " | " + i.explanation;
}

TEST_CASE("a window that is corrected is told with its figures of now", "[narrate][corrections]") {
  Run run;
  run.quiet(-60, 0);
  run.raise({0, {"checkout"}, 0.3});
  run.raise({1, {"checkout"}, 0.5});
  run.raise({2, {"checkout"}, 0.4});
  // The worst one is not it any more.
  const auto told = correct(run, {1, {"checkout"}}, 0.2, 1);
  REQUIRE(told.size() == 1);
  CHECK(told[0]->title == "checkout: error rate 40% (8× normal)");
  CHECK(told[0]->anomaly_count == 3);
  const auto worse = correct(run, {0, {"checkout"}}, 0.6, 1);
  REQUIRE(worse.size() == 1);
  CHECK(worse[0]->evidence[0] ==
        "error_surge: 3 windows flagged from 12:34 to 12:37 UTC; error rate at worst 60% in the "
        "minute from 12:34 UTC, corrected by late events, normally 5%, limit 15%");
}

TEST_CASE("an incident of which nothing stands says so", "[narrate][corrections]") {
  Run run;
  run.quiet(-60, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.6}, {{"payments"}}}));
  run.raise({0, {"checkout"}, 0.6});
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.1, 300}}));
  const auto told = withdraw(run, {0, {"checkout"}}, 0.1, 1);
  REQUIRE(told.size() == 1);
  CHECK(text_of(*told[0]) ==
        "checkout: error rate 10% (withdrawn: corrected by late events) | The error rate of "
        "checkout had been flagged, but late events have corrected it to 10% in the minute from "
        "12:34 UTC: the rule error_surge does not hold. If nothing is flagged until 12:40 UTC, it "
        "is over.");
  CHECK(told[0]->evidence ==
        std::vector<std::string>{
            "error_surge: 1 window withdrawn, corrected by late events; error rate 10% in the "
            "minute from 12:34 UTC, normally 5%, limit 15%"});
  CHECK_FALSE(told[0]->resolved_at.has_value());

  SECTION("and is over after a while") {
    const auto over = run.feed(rows(kServices, 6, {{{"checkout"}}}));
    REQUIRE(over.size() == 1);
    CHECK(over[0]->resolved_at == kBase + 6 * kMinute);
    CHECK(over[0]->explanation ==
          "The error rate of checkout had been flagged, but late events have corrected it to 10% "
          "in the minute from 12:34 UTC: the rule error_surge does not hold.");
    // Raised once more then, it is another incident: the first one's is closed for good.
    const auto next = correct(run, {0, {"checkout"}}, 0.7, 2);
    REQUIRE(next.size() == 1);
    CHECK(next[0]->id == "incident:error_surge:0:checkout:2");
    CHECK(next[0]->revision == 0);
  }
  SECTION("unless it is raised once more") {
    const auto more = correct(run, {0, {"checkout"}}, 0.7, 2);
    REQUIRE(more.size() == 1);
    CHECK(more[0]->id == told[0]->id);
    CHECK(more[0]->title == "checkout: error rate 70% (14× normal)");
    CHECK(more[0]->anomaly_count == 1);
    CHECK(more[0]->anomaly_ids == std::vector<std::string>{"error_surge:0:checkout"});
    CHECK(more[0]->evidence[0] ==
          "error_surge: 1 window flagged from 12:34 to 12:35 UTC; error rate 70% in the minute "
          "from 12:34 UTC, corrected by late events, normally 5%, limit 15%");
  }
  SECTION("or something else is flagged") {
    const auto more = run.raise({2, {"checkout"}, 0.4});
    REQUIRE(more.size() == 1);
    CHECK(more[0]->id == told[0]->id);
    CHECK(more[0]->started_at == kBase + 2 * kMinute);
    CHECK(more[0]->title == "checkout: error rate 40% (8× normal)");
    CHECK(more[0]->explanation.find("since 12:36 UTC: 40%") != std::string::npos);
    CHECK(more[0]->explanation.find("Late events have corrected 1 window that had been flagged; it "
                                    "is no longer.") != std::string::npos);
  }
}

TEST_CASE("what is over is corrected as long as its incident goes on", "[narrate][corrections]") {
  const auto in_silence = [](double value, std::uint32_t revision) {
    auto a = again({2, {"checkout"}}, value, revision);
    a->resolved = true;
    a->resolved_at = a->window_end + kMinute;
    return AnomalyPtr(std::move(a));
  };
  const std::string standing =
      "error_surge: 2 windows flagged from 12:34 to 12:37 UTC; error rate at worst 80% in the "
      "minute from 12:36 UTC, corrected by late events, normally 5%, limit 15%";
  const std::string first_alone =
      "error_surge: 1 window flagged from 12:34 to 12:35 UTC; error rate 30% in the minute from "
      "12:34 UTC, normally 5%, limit 15%; 1 window withdrawn, corrected by late events";
  Run run;
  run.quiet(-60, 0);
  run.raise({0, {"checkout"}, 0.3});
  run.raise({2, {"checkout"}, 0.7});
  run.resolve({0, {"checkout"}, 0.3}, 4);
  run.resolve({2, {"checkout"}, 0.7}, 4);

  auto told = run.feed(in_silence(0.8, 2));
  REQUIRE(told.size() == 1);
  CHECK(told[0]->evidence[0] == standing);
  told = withdraw(run, {2, {"checkout"}}, 0.05, 3);
  REQUIRE(told.size() == 1);
  CHECK(told[0]->evidence[0] == first_alone);
  CHECK(told[0]->last_seen_at == kBase + kMinute);
  CHECK_FALSE(told[0]->resolved_at.has_value());
  // Withdrawn already: nothing is taken back twice.
  CHECK(withdraw(run, {2, {"checkout"}}, 0.06, 4).empty());
  told = run.feed(in_silence(0.8, 5));
  REQUIRE(told.size() == 1);
  CHECK(told[0]->evidence[0] == standing);
  CHECK(told[0]->last_seen_at == kBase + 3 * kMinute);
  CHECK(told[0]->anomaly_count == 2);

  SECTION("nothing stands at last") {
    withdraw(run, {2, {"checkout"}}, 0.05, 6);
    told = withdraw(run, {0, {"checkout"}}, 0.06, 2);
    REQUIRE(told.size() == 1);
    CHECK(told[0]->title == "checkout: error rate 6% (withdrawn: corrected by late events)");
    told = withdraw(run, {0, {"checkout"}}, 0.07, 3);
    REQUIRE(told.size() == 1);
    CHECK(told[0]->title == "checkout: error rate 7% (withdrawn: corrected by late events)");
  }
  SECTION("an incident that is over stays as it is") {
    REQUIRE(run.feed(rows(kServices, 20, {{{"checkout"}}})).size() == 1);
    CHECK(withdraw(run, {2, {"checkout"}}, 0.05, 6).empty());
  }
}

TEST_CASE("what is withdrawn is left out of an incident that goes on", "[narrate][corrections]") {
  Run run;
  run.quiet(-60, 0);
  Raised slow{0, {"checkout"}, 2'150, std::nullopt, 600, "latency", "p95_latency_ms"};
  slow.severity = Severity::critical;
  run.raise(slow);
  for (const int minute : {0, 1, 2}) run.raise({minute, {"checkout"}, 0.5 - 0.1 * minute});
  CHECK(run.all.back()->severity == Severity::critical);

  const auto without = withdraw(run, slow, 90, 1);
  REQUIRE(without.size() == 1);
  CHECK(without[0]->severity == Severity::high);
  CHECK(without[0]->title == "checkout: error rate 50% (10× normal)");
  CHECK(without[0]->explanation.find("Also flagged") == std::string::npos);
  CHECK(without[0]->evidence[0] ==
        "latency: 1 window withdrawn, corrected by late events; p95 latency 90 ms in the minute "
        "from 12:34 UTC, normally 100 ms, limit 600 ms");

  const auto later = withdraw(run, {0, {"checkout"}}, 0.05, 1);
  REQUIRE(later.size() == 1);
  CHECK(later[0]->started_at == kBase + kMinute);
  CHECK(
      text_of(*later[0]) ==
      "checkout: error rate 40% (8× normal) | The error rate of checkout has been too high since "
      "12:35 UTC: at worst 40% in the minute from 12:35 UTC, which is 8 times its normal 5%; most "
      "recently 30%. No other service is flagged. Late events have corrected 2 windows that had "
      "been flagged; they are no longer.");
  CHECK(later[0]->evidence[1] ==
        "error_surge: 2 windows flagged from 12:35 to 12:37 UTC; error rate at worst 40% in the "
        "minute from 12:35 UTC, normally 5%, limit 15%; 1 window withdrawn, corrected by late "
        "events");
}

TEST_CASE("what a rule flags is not told as about normal beside it", "[narrate][corrections]") {
  Run run;
  run.quiet(-60, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.3, 102, 101}, {{"payments"}}}));
  CHECK(run.raise({0})[0]->explanation.find("p95 latency (101 ms) were about normal") !=
        std::string::npos);
  run.raise({0, {"checkout"}, 101, std::nullopt, 50, "slow", "p95_latency_ms", Severity::low});
  const auto told =
      run.raise({0, {"checkout"}, 102, std::nullopt, 50, "busy", "request_count", Severity::low});
  REQUIRE(told.size() == 1);
  CHECK(told[0]->explanation.find("Also flagged: its p95 latency") != std::string::npos);
  CHECK(told[0]->explanation.find("about normal") == std::string::npos);
}

}  // namespace
}  // namespace streamobs::narrate
