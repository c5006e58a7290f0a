#include "narrate/narrator.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "event/record.h"
#include "narrate/scene.h"
#include "support/catch.h"

namespace streamobs::narrate {
namespace {

TEST_CASE("an incident is told from its evidence, while it lasts and when it is over",
          "[narrate][golden]") {
  Run run(with_endpoints());
  run.quiet(-60, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.31}, {{"payments"}}}));
  const auto opened = run.raise({0});
  REQUIRE(opened.size() == 1);
  const Incident& first = *opened[0];
  CHECK(first.id == "incident:error_surge:0:checkout");
  CHECK(first.revision == 0);
  CHECK(first.severity == Severity::high);
  CHECK(first.started_at == kBase);
  CHECK(first.last_seen_at == kBase + kMinute);
  CHECK(first.title == "checkout: error rate 31% (6.2× normal)");
  CHECK(first.explanation ==
        "The error rate of checkout has been too high since 12:34 UTC: 31% in the minute from "
        "12:34 UTC, which is 6.2 times its normal 5%. In that minute its request count (100) and "
        "p95 latency (100 ms) were about normal. No other service is flagged.");

  const auto told = run.feed(rows(kEndpoints, 0,
                                  {{{"checkout", "/cart"}, 0.06},
                                   {{"checkout", "/list"}, 0.04},
                                   {{"checkout", "/pay"}, 0.62, 150}}));
  REQUIRE(told.size() == 1);
  CHECK(told[0]->revision == 1);
  CHECK(
      told[0]->explanation ==
      "The error rate of checkout has been too high since 12:34 UTC: 31% in the minute from "
      "12:34 UTC, which is 6.2 times its normal 5%. In that minute its request count (100) and p95 "
      "latency (100 ms) were about normal. Of its 3 endpoints, only /pay was affected: error rate "
      "62% (93 of 150), 12 times its normal 5%. No other service is flagged.");
  CHECK(told[0]->evidence ==
        std::vector<std::string>{
            "error_surge: 1 window flagged from 12:34 to 12:35 UTC; error rate 31% in the minute "
            "from 12:34 UTC, normally 5%, limit 15%",
            "endpoint /pay: error rate 62% (93 of 150), normally 5% (mean of 60 windows)",
            "endpoint /cart: error rate 6% (6 of 100), normally 5% (mean of 60 windows)",
            "endpoint /list: error rate 4% (4 of 100), normally 5% (mean of 60 windows)",
            "request count: 100, normally 100 (mean of 60 windows)",
            "p95 latency: 100 ms, normally 100 ms (mean of 60 windows)"});

  // The second minute is worse, and brings twice the traffic.
  run.feed(rows(kServices, 1, {{{"checkout"}, 0.4, 230, 135}, {{"payments"}}}));
  const auto worse = run.raise({1, {"checkout"}, 0.4});
  REQUIRE(worse.size() == 1);
  CHECK(worse[0]->title == "checkout: error rate 40% (8× normal)");
  CHECK(worse[0]->explanation ==
        "The error rate of checkout has been too high since 12:34 UTC: at worst 40% in the minute "
        "from 12:35 UTC, which is 8 times its normal 5%. In that minute its request count was 2.3 "
        "times the normal level (230, normally 100) and its p95 latency was up by 35% (135 ms, "
        "normally 100 ms). Of its 3 endpoints, only /pay was affected: error rate 62% (93 of "
        "150), 12 times its normal 5%. No other service is flagged.");
  CHECK(worse[0]->anomaly_count == 2);
  CHECK(worse[0]->anomaly_ids ==
        std::vector<std::string>{"error_surge:0:checkout", "error_surge:1:checkout"});

  run.quiet(2, 3);
  CHECK(run.resolve({0}, 3).empty());
  const auto quiet = run.resolve({1}, 3);
  REQUIRE(quiet.size() == 1);
  CHECK_FALSE(quiet[0]->resolved_at.has_value());
  CHECK(quiet[0]->explanation ==
        "The error rate of checkout was too high from 12:34 to 12:36 UTC: at worst 40% in the "
        "minute from 12:35 UTC, which was 8 times its normal 5%. In that minute its request count "
        "was 2.3 times the normal level (230, normally 100) and its p95 latency was up by 35% (135 "
        "ms, normally 100 ms). Of its 3 endpoints, only /pay was affected: error rate 62% (93 of "
        "150), 12 times its normal 5%. No other service was flagged at that time. Nothing has been "
        "flagged since 12:36 UTC; if it stays so until 12:41 UTC, it is over.");
  run.quiet(3, 7);
  CHECK(run.narrator->open_incidents() == 1);
  run.quiet(7, 8);
  CHECK(run.narrator->open_incidents() == 0);
  const Incident& over = *run.all.back();
  CHECK(over.resolved_at == kBase + 7 * kMinute);
  CHECK(over.title == "checkout: error rate 40% (8× normal)");
  CHECK(over.explanation ==
        "The error rate of checkout was too high from 12:34 to 12:36 UTC: at worst 40% in the "
        "minute from 12:35 UTC, which was 8 times its normal 5%. In that minute its request count "
        "was 2.3 times the normal level (230, normally 100) and its p95 latency was up by 35% (135 "
        "ms, normally 100 ms). Of its 3 endpoints, only /pay was affected: error rate 62% (93 of "
        "150), 12 times its normal 5%. No other service was flagged at that time. It was over at "
        "12:36 UTC, after 2 "
        "minutes.");
  for (std::size_t i = 0; i < run.all.size(); ++i) CHECK(run.all[i]->revision == i);
}

TEST_CASE("an incident has the figures of its worst anomaly", "[narrate][normal]") {
  Run run;
  run.quiet(-60, 0);
  for (int minute = 0; minute < 50; ++minute) {
    const double rate = 0.3 + 0.001 * ((minute * 7) % 50);
    const double baseline = 0.05 + 0.0001 * minute;
    run.feed(rows(kServices, minute, {{{"checkout"}, rate, 200, 100}}));
    run.raise({minute, {"checkout"}, rate, baseline, 3 * baseline});
    // Other metrics have no baseline of a rule: what they were before it all counts.
    CHECK(run.all.back()->explanation.find("its request count had doubled (200, normally 100)") !=
          std::string::npos);
  }
  // Minute 7 (7 × 7 = 49) is the worst: 0.349 against 0.0507 and 0.1521.
  const Incident& i = *run.all.back();
  INFO(i.explanation);
  CHECK(i.title == "checkout: error rate 34.9% (6.9× normal)");
  CHECK(i.explanation.find("at worst 34.9% in the minute from 12:41 UTC, which is 6.9 times its "
                           "normal 5.07%; most recently 34.3%.") != std::string::npos);
  CHECK(i.evidence[0].find("34.9% in the minute from 12:41 UTC, normally 5.07%, limit 15.21%") ==
        std::string::npos);
  CHECK(i.evidence[0].find("34.9% in the minute from 12:41 UTC, normally 5.07%, limit 15.2%") !=
        std::string::npos);
}

TEST_CASE("what lasted until it was the new normal is told as such", "[narrate][normal]") {
  Run run;
  run.raise({0});
  run.raise(
      {90, {"checkout"}, 0.9, 0.31, 0.62, "error_surge", "error_rate", Severity::high, 1, 0.06});
  CHECK(run.narrator->open_incidents() == 1);
  const Incident& i = *run.all.back();
  INFO(i.explanation);
  CHECK(i.explanation.find("at worst 90% in the minute from 14:04 UTC, which is 2.9 times its "
                           "normal 31% (5% before it began).") != std::string::npos);
  CHECK(i.evidence[0].find("normally 31% (5% before it began), limit 62%") != std::string::npos);
}

TEST_CASE("what is normal leaves out earlier trouble", "[narrate][normal]") {
  // Half an hour ago checkout was in trouble for ten minutes, its endpoints with it.
  Run run(with_endpoints());
  run.quiet(-60, -30);
  for (int minute = -30; minute < -20; ++minute) {
    run.feed(rows(kServices, minute, {{{"checkout"}, 0.5, 300, 900}, {{"payments"}}}));
    if (minute % 2 == 0) run.raise({minute, {"checkout"}, 0.5});
    run.feed(rows(kEndpoints, minute,
                  {{{"checkout", "/cart"}, 0.5, 300}, {{"checkout", "/pay"}, 0.5, 300}}));
    if (minute % 2 != 0) run.raise({minute, {"checkout"}, 0.5});
  }
  for (int minute = -30; minute < -20; ++minute) run.resolve({minute}, -19);
  run.quiet(-20, 0);
  CHECK(run.narrator->open_incidents() == 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.05, 100, 2340}}));
  run.feed(rows(kEndpoints, 0,
                {{{"checkout", "/cart"}, 0.05, 100, 100}, {{"checkout", "/pay"}, 0.05, 100, 800}}));
  run.raise({0, {"checkout"}, 2340, std::nullopt, 1000, "latency_spike", "p95_latency_ms"});
  const Incident& i = *run.all.back();
  INFO(i.explanation);
  CHECK(i.explanation.find("over its limit of 1,000 ms (normally 100 ms)") != std::string::npos);
  CHECK(i.explanation.find("its request count (100) and error rate (5%) were about normal") !=
        std::string::npos);
  CHECK(i.explanation.find("only /pay was affected: p95 latency 800 ms, 8 times its normal 100 "
                           "ms.") != std::string::npos);
  CHECK(i.evidence.at(1) ==
        "endpoint /pay: p95 latency 800 ms, normally 100 ms (mean of 50 windows)");
}

TEST_CASE("a rule that waits has held since its first true window", "[narrate][for]") {
  Run run;
  run.quiet(-60, 5);
  const auto opened = run.raise(
      {4, {"checkout"}, 0.31, 0.05, 0.3, "error_surge", "error_rate", Severity::high, 0, 0.05});
  REQUIRE(opened.size() == 1);
  CHECK(opened[0]->started_at == kBase);
  CHECK(opened[0]->explanation.find(
            "The error rate of checkout has been too high since 12:34 UTC: 31% in the minute from "
            "12:38 UTC, which is 6.2 times its normal 5%.") == 0);
  CHECK(opened[0]->evidence[0] ==
        "error_surge: true since 12:34 UTC, 1 window flagged from 12:38 to 12:39 UTC; error rate "
        "31% in the minute from 12:38 UTC, normally 5%, limit 30%");
  // A rule that waits longer may know of an earlier beginning.
  run.raise(
      {5, {"checkout"}, 900, std::nullopt, 500, "latency", "p95_latency_ms", Severity::medium, -2});
  CHECK(run.all.back()->started_at == kBase - 2 * kMinute);
  CHECK(run.narrator->open_incidents() == 1);
  // What began within the gap belongs to it, however late it is told.
  run.raise({13, {"checkout"}, 0.5, 0.1, 0.3, "error_surge", "error_rate", Severity::high, 9});
  CHECK(run.narrator->open_incidents() == 1);
}

TEST_CASE("several rules and services are told together", "[narrate][golden]") {
  Run run;
  run.raise({0, {"payments"}, 0.5, std::nullopt, 0.2});
  run.raise({0, {"search"}, 0.5, std::nullopt, 0.2});
  run.raise({0});
  run.raise({0,
             {"checkout"},
             2340.4,
             std::nullopt,
             1000,
             "latency_spike",
             "p95_latency_ms",
             Severity::critical});
  const Incident& i = *run.all.back();
  CHECK(i.severity == Severity::critical);
  CHECK(i.title == "checkout: p95 latency 2,340 ms (limit 1,000 ms), error rate 31% (6.2× normal)");
  CHECK(i.explanation ==
        "The p95 latency of checkout has been too high since 12:34 UTC: 2,340 ms in the minute "
        "from 12:34 UTC, over its limit of 1,000 ms. Also flagged: its error rate (31%, 6.2 times "
        "its normal 5%). payments and search were flagged at the same time.");
  REQUIRE(i.evidence.size() == 4);
  CHECK(i.evidence[2] ==
        "where in checkout it comes from is not known: [incidents] evidence names no window");
  CHECK(i.evidence[3] == "flagged at the same time: payments and search");
  CHECK(run.narrator->open_incidents() == 3);
}

TEST_CASE("a limit that is no baseline is told beside what is normal", "[narrate][golden]") {
  Run run;
  run.quiet(-60, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.05, 52, 2340}}));
  run.raise({0, {"checkout"}, 2340, std::nullopt, 1000, "latency_spike", "p95_latency_ms"});
  CHECK(
      run.all.back()->explanation.find(
          "2,340 ms in the minute from 12:34 UTC, over its limit of 1,000 ms (normally 100 ms). In "
          "that minute its request count had halved (52, normally 100); its error rate (5%) "
          "was about normal.") != std::string::npos);
}

TEST_CASE("a metric that falls is told as falling", "[narrate][golden]") {
  Run run;
  run.raise({0, {"checkout"}, 20, 100.0, 50, "silence", "request_count"});
  const Incident& i = *run.all.back();
  CHECK(i.title == "checkout: request count 20 (20% of normal)");
  CHECK(i.explanation.find("The request count of checkout has been too low since 12:34 UTC: 20 in "
                           "the minute from 12:34 UTC, which is 20% of its normal 100.") == 0);
  run.raise({0, {"search"}, 20, std::nullopt, 50, "silence", "request_count"});
  CHECK(run.all.back()->title == "search: request count 20 (minimum 50)");
  CHECK(run.all.back()->explanation.find(
            "20 in the minute from 12:34 UTC, below its minimum of 50.") != std::string::npos);
}

TEST_CASE("an incident that lasts beyond midnight is told with dates", "[narrate][golden]") {
  Run run;
  run.raise({60 * 11 + 25});  // 23:59
  CHECK(run.all.back()->explanation.find("since 23:59 UTC: 31%") != std::string::npos);
  run.raise({60 * 11 + 26, {"checkout"}, 0.5, 0.06});
  CHECK(run.all.back()->explanation.find("since 2024-01-09 23:59 UTC: at worst 50% in the minute "
                                         "from 00:00 UTC on 2024-01-10, ") != std::string::npos);
}

TEST_CASE("parts: all alike, several, none, only one", "[narrate][parts]") {
  const auto explanation = [](const std::vector<Row>& endpoints) {
    Run run(with_endpoints());
    run.quiet(-30, 0);
    run.feed(rows(kEndpoints, 0, endpoints));
    run.raise({0});
    return run.all.back()->explanation;
  };
  const auto says = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  says(explanation({{{"checkout", "/cart"}, 0.3},
                    {{"checkout", "/list"}, 0.25},
                    {{"checkout", "/pay"}, 0.4}}),
       "All 3 endpoints were affected alike (each at 5 to 8 times its normal level), so the cause "
       "is likely one they share.");
  says(explanation({{{"checkout", "/cart"}, 0.3}, {{"checkout", "/pay"}, 0.301}}),
       "Both endpoints were affected alike (each at 6 times its normal level)");
  says(explanation({{{"checkout", "/cart"}, 0.15},
                    {{"checkout", "/list"}, 0.1},
                    {{"checkout", "/pay"}, 0.6}}),
       "Of its 3 endpoints, 2 were affected, above all /pay (error rate 60%, 60 of 100; normally "
       "5%), then /cart (15%, 15 of 100; normally 5%).");
  says(explanation({{{"checkout", "/cart"}, 0.3},
                    {{"checkout", "/list"}, 0.14},
                    {{"checkout", "/pay"}, 0.3}}),
       "All 3 endpoints were affected: /cart (error rate 30%, 30 of 100; normally 5%), /pay (30%, "
       "30 of 100; normally 5%) and /list (14%, 14 of 100; normally 5%).");
  says(explanation({{{"checkout", "/cart"}, 0.05},
                    {{"checkout", "/list"}, 0.06},
                    {{"checkout", "/pay"}, 0.06}}),
       "None of its 3 endpoints stood out.");
  says(explanation({{{"checkout", "/pay"}, 0.6}}),
       "Only one endpoint can be compared with its past, /pay, and it was affected: error rate 60% "
       "(60 of 100), 12 times its normal 5%.");
  says(explanation({{{"checkout", "/pay"}, 0.05}}),
       "Only one endpoint can be compared with its past, /pay, which did not stand out: error rate "
       "5% (5 of 100), about its normal 5%.");
  // A failure or two are no news, however few requests there were.
  says(explanation({{{"checkout", "/cart"}, 1.0, 1},
                    {{"checkout", "/list"}, 1.0, 2},
                    {{"checkout", "/pay"}, 0.4, 500}}),
       "Of its 3 endpoints, only /pay was affected: error rate 40% (200 of 500), 8 times");
  // What carries the trouble comes first.
  says(explanation({{{"checkout", "/cart"}, 1.0, 10},
                    {{"checkout", "/list"}, 0.05},
                    {{"checkout", "/pay"}, 0.4, 500}}),
       "2 were affected, above all /pay (error rate 40%, 200 of 500; normally 5%), then /cart "
       "(100%, 10 of 10; normally 5%).");
  // Another service's endpoints and unknown ones say nothing.
  const std::string none =
      explanation({{{"payments", "/pay"}, 0.6}, {{"checkout", "/brand-new"}, 0.9}});
  CHECK(none.find("endpoint") == std::string::npos);
}

TEST_CASE("anomalies of one key close together are one incident", "[narrate][grouping]") {
  Run run;
  run.raise({0});
  run.raise({1});
  run.raise({6});  // 4 minutes after the end of the last.
  CHECK(run.narrator->open_incidents() == 1);
  CHECK(run.all.back()->anomaly_count == 3);
  run.raise({1});  // The same again: an update, not another one.
  CHECK(run.all.back()->anomaly_count == 3);
  run.raise({12});  // 5 minutes: no longer close.
  CHECK(run.narrator->open_incidents() == 2);
  CHECK(run.all.back()->id == "incident:error_surge:12:checkout");
  run.raise({12, {"payments"}});
  CHECK(run.narrator->open_incidents() == 3);
}

TEST_CASE("finer anomalies join the incident they belong to", "[narrate][grouping]") {
  Run run;
  run.raise({0});
  run.raise({0, {"checkout", "/pay"}});
  CHECK(run.narrator->open_incidents() == 1);
  CHECK(run.all.back()->keys.size() == 1);
  CHECK(run.all.back()->anomaly_count == 2);
  run.raise({0, {"payments", "/pay"}});
  CHECK(run.narrator->open_incidents() == 2);
  CHECK(run.all.back()->keys.size() == 2);
  // A coarser one does not join a finer incident.
  run.raise({0, {"payments"}});
  CHECK(run.narrator->open_incidents() == 3);
  // With both open, the finest that fits takes it.
  run.raise({1, {"payments", "/pay"}});
  CHECK(run.all.back()->keys.size() == 2);
  // Nothing without keys swallows what has some.
  run.raise({0, {}});
  CHECK(run.narrator->open_incidents() == 4);
  run.raise({1, {"search"}});
  CHECK(run.narrator->open_incidents() == 5);
  run.raise({1, {}});
  CHECK(run.narrator->open_incidents() == 5);
}

TEST_CASE("an incident waits for its anomalies to resolve", "[narrate][resolve]") {
  Run run;
  run.quiet(-1, 0);
  run.raise({0});
  for (int minute = 1; minute < 30; ++minute) {
    run.feed(rows(kServices, minute, {{{"payments"}}}));
  }
  CHECK(run.narrator->open_incidents() == 1);
  const auto over = run.resolve({0}, 30);
  REQUIRE(over.size() == 1);
  CHECK(over[0]->resolved_at == kBase + 30 * kMinute);
  CHECK(run.narrator->open_incidents() == 0);
  // What is over is not opened again.
  CHECK(run.resolve({0}, 31).empty());
  run.raise({31});
  CHECK(run.all.back()->id == "incident:error_surge:31:checkout");
}

TEST_CASE("an anomaly that comes after the quiet time opens a new incident", "[narrate][resolve]") {
  IncidentOptions options;
  options.gap = 20 * kMinute;
  options.resolve_after = 3 * kMinute;
  Run run(options);
  run.quiet(-1, 0);
  run.raise({0});
  run.resolve({0}, 2);
  // No row has shown it yet, but by the anomaly's own time it is over.
  const auto both = run.raise({5});
  REQUIRE(both.size() == 2);
  CHECK(both[0]->resolved_at == kBase + 4 * kMinute);
  CHECK(both[1]->id == "incident:error_surge:5:checkout");
}

TEST_CASE("time of another stream resolves nothing", "[narrate][resolve]") {
  Run run;
  run.quiet(-1, 0);
  run.raise({0});
  run.resolve({0}, 2);
  auto other = std::make_shared<WindowSchema>(*kServices);
  other->stream = "elsewhere";
  other->window = "far";
  run.feed(rows(other, 60, {{{"checkout"}}}));
  CHECK(run.narrator->open_incidents() == 1);
  run.quiet(6, 7);
  CHECK(run.narrator->open_incidents() == 0);
}

TEST_CASE("nothing new is not sent again", "[narrate]") {
  Run run(with_endpoints());
  run.quiet(-10, 0);
  run.raise({0});
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.31}}));
  const std::size_t sent = run.all.size();
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.31}}));
  run.feed(rows(kServices, 0, {{{"payments"}, 0.05}}));
  run.quiet(1, 3);
  CHECK(run.all.size() == sent);
  Records out;
  run.narrator->process(Record(IncidentPtr()), out);
  run.narrator->process(Record(WindowBatchPtr()), out);
  run.narrator->process(Record(AnomalyPtr()), out);
  CHECK(out.empty());
}

TEST_CASE("the same records tell the same story", "[narrate][determinism]") {
  const auto story = [] {
    Run run(with_endpoints());
    run.quiet(-60, 0);
    for (int minute = 0; minute < 40; ++minute) {
      const double rate = minute % 9 < 3 ? 0.3 + 0.01 * minute : 0.05;
      run.feed(rows(kServices, minute, {{{"checkout"}, rate}, {{"payments"}, 0.05}}));
      if (rate > 0.15) {
        run.raise({minute, {"checkout"}, rate});
        if (minute % 2 == 0) run.raise({minute, {"payments"}, rate});
      }
      run.feed(
          rows(kEndpoints, minute, {{{"checkout", "/pay"}, rate}, {{"checkout", "/a"}, 0.05}}));
    }
    std::vector<std::string> out;
    for (const IncidentPtr& i : run.all) {
      out.push_back(i->id + std::to_string(i->revision) + i->title + i->explanation);
    }
    return out;
  };
  const auto first = story();
  CHECK(first.size() > 20);
  CHECK(first == story());
}

TEST_CASE("open incidents are bounded: the one quiet for longest is closed", "[narrate][bounds]") {
  Run run;
  for (std::size_t i = 0; i < Narrator::kMaxOpen + 10; ++i) {
    run.raise({static_cast<int>(i / 100), {"s" + std::to_string(i)}});
  }
  CHECK(run.narrator->open_incidents() == Narrator::kMaxOpen);
  const auto closed = std::count_if(run.all.begin(), run.all.end(), [](const IncidentPtr& i) {
    return i->resolved_at.has_value();
  });
  CHECK(closed == 10);
}

TEST_CASE("anomaly ids kept with an incident are the newest", "[narrate][bounds]") {
  Run run;
  for (int minute = 0; minute < 150; ++minute) run.raise({minute});
  const Incident& i = *run.all.back();
  CHECK(i.anomaly_count == 150);
  CHECK(i.anomaly_ids.size() == Incident::kMaxAnomalies);
  CHECK(i.anomaly_ids.back() == "error_surge:149:checkout");
  CHECK(i.anomaly_ids.front() == "error_surge:50:checkout");
}

TEST_CASE("evidence windows are checked", "[narrate][check]") {
  const std::vector<std::shared_ptr<const WindowSchema>> windows = {
      kServices, kEndpoints, schema_of("regions", {"region", "zone"}), schema_of("all", {})};
  const auto complaints = [&](const std::string& name) {
    IncidentOptions options;
    options.evidence = {SourceText(name, {"obs.toml", 7, 14})};
    Diagnostics diagnostics;
    const bool good = check(options, windows, diagnostics);
    CHECK(good == diagnostics.empty());
    return diagnostics;
  };
  CHECK(complaints("endpoint_metrics").empty());
  const Diagnostics unknown = complaints("endpoint_metric");
  REQUIRE(unknown.size() == 1);
  CHECK(unknown[0].place.line == 7);
  CHECK(unknown[0].message.find("no window 'endpoint_metric'") != std::string::npos);
  CHECK(unknown[0].hint.find("endpoint_metrics") != std::string::npos);
  for (const char* name : {"regions", "service_metrics", "all"}) {
    const Diagnostics useless = complaints(name);
    REQUIRE(useless.size() == 1);
    CHECK(useless[0].message.find("explains no other window") != std::string::npos);
  }
}

}  // namespace
}  // namespace streamobs::narrate
