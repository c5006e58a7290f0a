// An anomaly's life: when it is raised, whether it is over, and what a corrected window changes.
#include <optional>
#include <string>

#include "detect/detector.h"
#include "detect/rows.h"
#include "support/catch.h"

namespace streamobs::detect {
namespace {

TEST_CASE("`for` waits until the condition has held for that long", "[detect][for]") {
  const auto with_hold = [](Duration hold) {
    RuleOptions options = rule("error_rate > 0.2");
    options.hold = hold;
    return options;
  };
  const auto feed = [](Run& run, const std::string& pattern) {
    // One letter a minute: x true, . false, ? NULL, space: no row.
    Said out;
    for (std::size_t m = 0; m < pattern.size(); ++m) {
      if (pattern[m] == ' ') continue;
      std::optional<double> value;
      if (pattern[m] != '?') value = pattern[m] == 'x' ? 0.5 : 0.0;
      for (const AnomalyPtr& a : run.feed({{static_cast<int>(m), "s", value}})) {
        if (!a->resolved) out.push_back(std::to_string((a->window_start - kBase) / kMinute));
      }
    }
    return out;
  };
  Run at_once({with_hold(0)});
  CHECK(feed(at_once, "x.xx") == Said{"0", "2", "3"});
  Run one({with_hold(kMinute)});
  CHECK(feed(one, "x.xx.xxx") == Said{"3", "6", "7"});
  Run two({with_hold(2 * kMinute)});
  CHECK(feed(two, "xx.xxx.xx?xxxx") == Said{"5", "12", "13"});
  Run less({with_hold(30 * kSecond)});
  CHECK(feed(less, "xx") == Said{"1"});
  // A minute without a row breaks the streak.
  Run gap({with_hold(kMinute)});
  CHECK(feed(gap, "x xx x") == Said{"3"});
}

TEST_CASE("an anomaly knows since when, and what was normal before", "[detect][for]") {
  RuleOptions options = rule("error_rate > 2 * baseline(error_rate, '1h')");
  options.hold = 2 * kMinute;
  Run run({options});
  for (int minute = 0; minute < 6; ++minute) run.feed({{minute}});
  CHECK(run.feed({{6, "checkout", 0.5}}).empty());
  CHECK(run.feed({{7, "checkout", 0.6}}).empty());
  const auto raised = run.feed({{8, "checkout", 0.9}});
  REQUIRE(said(raised) == Said{"checkout@8"});
  CHECK(raised[0]->since == kBase + 6 * kMinute);
  CHECK(raised[0]->baseline_before.value() == Approx(0.05));
  // The trouble itself has not moved it since.
  CHECK(raised[0]->baseline_value.value() == Approx(0.05));
  CHECK(raised[0]->position == static_cast<std::uint64_t>(kBase + 9 * kMinute));
  // A correction of it does not change when it began.
  const auto again = run.feed({{8, "checkout", 0.95}});
  REQUIRE(said(again) == Said{"checkout@8"});
  CHECK(again[0]->since == raised[0]->since);
  CHECK(again[0]->baseline_before == raised[0]->baseline_before);
  CHECK(said(run.feed({{9, "checkout", 0.05}})) == Said{"checkout@8 over"});
  CHECK(run.all.back()->position == static_cast<std::uint64_t>(kBase + 10 * kMinute));
  CHECK(run.all.back()->since == raised[0]->since);
}

TEST_CASE("all open anomalies resolve once the rule has been quiet", "[detect][resolve]") {
  RuleOptions options = rule("error_rate > 0.2");
  Run at_once({options});
  CHECK(said(at_once.feed({{0, "s", 0.5}})) == Said{"s@0"});
  CHECK(said(at_once.feed({{1, "s", 0.5}})) == Said{"s@1"});
  const auto over = at_once.feed({{2, "s", 0.1}});
  CHECK(said(over) == Said{"s@0 over", "s@1 over"});
  CHECK(over[0]->resolved_at == kBase + 3 * kMinute);
  CHECK(over[0]->id == at_once.all[0]->id);
  CHECK(at_once.feed({{3, "s", 0.1}}).empty());

  options.keep_firing_for = 2 * kMinute;
  Run later({options});
  later.feed({{0, "s", 0.5}});
  CHECK(later.feed({{1, "s", 0.1}}).empty());
  CHECK(said(later.feed({{2, "s", 0.5}})) == Said{"s@2"});
  CHECK(later.feed({{3, "s", std::nullopt}}).empty());
  const auto both = later.feed({{4, "s", 0.1}});
  CHECK(said(both) == Said{"s@0 over", "s@2 over"});
  CHECK(both[1]->resolved_at == kBase + 5 * kMinute);
}

TEST_CASE("a key that vanishes resolves by the time of the others", "[detect][resolve]") {
  RuleOptions options = rule("error_rate > 0.2");
  options.keep_firing_for = kMinute;
  Run run({options});
  run.feed({{0, "s", 0.5}, {0, "t", 0.1}});
  const auto over = run.feed({{1, "t", 0.1}});
  CHECK(said(over) == Said{"s@0 over"});
  CHECK(over[0]->resolved_at == kBase + 2 * kMinute);

  // A later row of the key itself shows it as well, at the time it was due.
  Run alone({options});
  alone.feed({{0, "s", 0.5}});
  const auto again = alone.feed({{7, "s", 0.5}});
  CHECK(said(again) == Said{"s@0 over", "s@7"});
  CHECK(again[0]->resolved_at == kBase + 2 * kMinute);
}

TEST_CASE("a window that falls silent resolves by the stream's other windows",
          "[detect][resolve]") {
  Run run({rule("error_rate > 0.2")});
  run.feed({{0, "s", 0.5}});
  auto other = service_schema();
  other->window = "other";
  const auto tick = [&](int minute) {
    return run.feed(batch_of(other, {row_of({minute, "s", 0.5})}));
  };
  // The rule's own rows may still come in the same round.
  CHECK(tick(1).empty());
  const auto over = tick(2);
  CHECK(said(over) == Said{"s@0 over"});
  CHECK(over[0]->resolved_at == kBase + 2 * kMinute);

  auto elsewhere = service_schema();
  elsewhere->stream = "elsewhere";
  elsewhere->window = "far";
  run.feed({{10, "s", 0.5}});
  run.feed(batch_of(elsewhere, {row_of({20, "s", 0.5})}));
  CHECK(run.feed(batch_of(elsewhere, {row_of({21, "s", 0.5})})).empty());
}

TEST_CASE("a window that closes a second time replaces the first", "[detect][revision]") {
  Run run({rule(kSurge)});
  for (int minute = 0; minute < 6; ++minute) run.feed({{minute}});
  REQUIRE(run.feed({{6, "checkout", 0.5}}).size() == 1);
  // The newest one turns out to have been harmless: withdrawn, and no part of the baseline.
  CHECK(said(run.feed({{6, "checkout", 0.05}})) == Said{"checkout@6 over"});
  const auto next = run.feed({{7, "checkout", 0.5}});
  REQUIRE(said(next) == Said{"checkout@7"});
  CHECK(next[0]->baseline_value.value() == Approx(0.05));
  // The same window again, worse: the same anomaly, with new figures.
  const auto worse = run.feed({{7, "checkout", 0.6}});
  REQUIRE(said(worse) == Said{"checkout@7"});
  CHECK(worse[0]->id == next[0]->id);
  CHECK(worse[0]->metric_value == 0.6);
  // An older one, corrected behind a newer one.
  run.feed({{8, "checkout", 0.7}});
  const auto older = run.feed({{7, "checkout", 0.05}});
  CHECK(said(older) == Said{"checkout@7 over"});
  const auto over = run.feed({{9, "checkout", 0.05}});
  CHECK(said(over) == Said{"checkout@8 over"});
}

TEST_CASE("what is said again of a window has the next revision and the corrected figures",
          "[detect][revision]") {
  RuleOptions held = rule("error_rate > 0.3");
  held.keep_firing_for = kHour;
  Run run({held});
  const auto raised = run.feed({{0, "checkout", 0.5}});
  REQUIRE(raised.size() == 1);
  CHECK(raised[0]->revision == 0);

  const auto withdrawn = run.feed({{0, "checkout", 0.2}});
  REQUIRE(said(withdrawn) == Said{"checkout@0 over"});
  CHECK(withdrawn[0]->id == raised[0]->id);
  CHECK(withdrawn[0]->revision == 1);
  CHECK(withdrawn[0]->withdrawn);
  CHECK(withdrawn[0]->metric_value == 0.2);
  CHECK(withdrawn[0]->description ==
        "withdrawn, late events have corrected it: error rate of checkout was 20% in the minute "
        "from 12:34 UTC; the rule allows 30%");

  const auto again = run.feed({{0, "checkout", 0.9}});
  REQUIRE(said(again) == Said{"checkout@0"});
  CHECK(again[0]->id == raised[0]->id);
  CHECK(again[0]->revision == 2);
  CHECK_FALSE(again[0]->withdrawn);

  // Behind a newer one; and what is over in the end is no correction.
  const auto next = run.feed({{1, "checkout", 0.6}});
  CHECK(next[0]->revision == 0);
  const auto older = run.feed({{0, "checkout", 0.8}});
  REQUIRE(said(older) == Said{"checkout@0"});
  CHECK(older[0]->revision == 3);
  CHECK(older[0]->metric_value == 0.8);
  const auto over = run.feed({{61, "checkout", 0.1}});
  REQUIRE(said(over) == Said{"checkout@0 over", "checkout@1 over"});
  CHECK(over[0]->revision == 4);
  CHECK(over[1]->revision == 1);
  CHECK_FALSE(over[0]->withdrawn);
}

TEST_CASE("time passes up to where a correction is due before it is judged", "[detect][revision]") {
  // In one round with all the windows that have closed meanwhile, or in one of its own.
  for (const bool alone : {false, true}) {
    Run run({rule("error_rate > 0.3")});
    run.feed({{0, "checkout", 0.5}});
    if (alone) run.feed({{1, "search"}, {2, "search"}});
    const auto corrected = run.feed(
        batch_of(service_schema(), {row_of({0, "checkout", 0.6})}, 0, kBase + 5 * kMinute));
    CHECK(said(corrected) ==
          (alone ? Said{"checkout@0 over"} : Said{"checkout@0 over", "checkout@0 over"}));
    CHECK(run.all.back()->revision == 2);
    CHECK(run.all.back()->metric_value == 0.6);
    CHECK(run.all.back()->resolved_at == kBase + 2 * kMinute);
  }
}

TEST_CASE("what silence has resolved is corrected, not raised once more", "[detect][revision]") {
  Run run({rule("error_rate > 0.3")});
  run.feed({{0, "checkout", 0.5}, {0, "search"}});
  CHECK(said(run.feed({{1, "search"}})) == Said{"checkout@0 over"});
  run.feed({{2, "search"}});
  const auto corrected = run.feed({{0, "checkout", 0.6}, {3, "search"}});
  REQUIRE(said(corrected) == Said{"checkout@0 over"});
  CHECK(corrected[0]->revision == 2);
  CHECK(corrected[0]->metric_value == 0.6);
  CHECK(corrected[0]->resolved_at == kBase + 2 * kMinute);
}

TEST_CASE("what silence has resolved is withdrawn where the rule does not hold",
          "[detect][revision]") {
  Run run({rule("error_rate > 0.3")});
  run.feed({{0, "checkout", 0.5}, {0, "search"}});
  CHECK(said(run.feed({{1, "search"}})) == Said{"checkout@0 over"});
  const auto correct = [&](double rate, int due) {
    return run.feed(
        batch_of(service_schema(), {row_of({0, "checkout", rate})}, 0, kBase + due * kMinute));
  };
  const auto withdrawn = correct(0.2, 4);
  REQUIRE(said(withdrawn) == Said{"checkout@0 over"});
  CHECK(withdrawn[0]->id == run.all[0]->id);
  CHECK(withdrawn[0]->revision == 2);
  CHECK(withdrawn[0]->withdrawn);
  CHECK(withdrawn[0]->metric_value == 0.2);
  CHECK(withdrawn[0]->resolved_at == kBase + kMinute);
  // Also where time and the correction come with one another, in the order of revisions.
  Run at_once({rule("error_rate > 0.3")});
  at_once.feed({{0, "checkout", 0.5}});
  const auto both = at_once.feed(
      batch_of(service_schema(), {row_of({0, "checkout", 0.2})}, 0, kBase + 4 * kMinute));
  REQUIRE(said(both) == Said{"checkout@0 over", "checkout@0 over"});
  CHECK(both[0]->revision == 1);
  CHECK_FALSE(both[0]->withdrawn);
  CHECK(both[1]->revision == 2);
  CHECK(both[1]->withdrawn);
  // Its figures are those of the last correction, whichever way that goes.
  const auto lower = correct(0.1, 5);
  REQUIRE(lower.size() == 1);
  CHECK(lower[0]->revision == 3);
  CHECK(lower[0]->withdrawn);
  CHECK(lower[0]->metric_value == 0.1);
  const auto holds = correct(0.7, 6);
  REQUIRE(said(holds) == Said{"checkout@0 over"});
  CHECK(holds[0]->revision == 4);
  CHECK_FALSE(holds[0]->withdrawn);
  CHECK(holds[0]->resolved_at == kBase + 2 * kMinute);
  // What was never said is not withdrawn, nor what a later window of the key lies behind.
  CHECK(run.feed(batch_of(service_schema(), {row_of({0, "search", 0.1})}, 0, kBase + 7 * kMinute))
            .empty());
  run.feed({{8, "checkout", 0.1}});
  CHECK(correct(0.1, 9).empty());
}

}  // namespace
}  // namespace streamobs::detect
