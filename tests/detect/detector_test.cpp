#include "detect/detector.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <fmt/format.h>

#include "base/time_format.h"
#include "detect/rows.h"
#include "support/catch.h"

namespace streamobs::detect {
namespace {

TEST_CASE("a surge is raised with its figures once the baseline is warm", "[detect]") {
  Run run({rule(kSurge)});
  for (int minute = 0; minute < 5; ++minute) {
    // High values while warming up say nothing: there is nothing yet to compare with.
    CHECK(run.feed({{minute, "checkout", minute == 2 ? 0.25 : 0.0}}).empty());
  }
  const auto raised = run.feed({{5, "checkout", 0.31}});
  REQUIRE(raised.size() == 1);
  const Anomaly& a = *raised[0];
  CHECK(a.rule == "error_surge");
  CHECK(a.window == "service_metrics");
  CHECK(a.severity == Severity::high);
  CHECK(a.metric_name == "error_rate");
  CHECK(a.metric_value == 0.31);
  CHECK(a.baseline_value.value() == Approx(0.05));
  CHECK(a.threshold_value.value() == Approx(0.15));
  CHECK(a.window_start == kBase + 5 * kMinute);
  CHECK(a.window_end == kBase + 6 * kMinute);
  CHECK(a.detected_at == a.window_end);
  CHECK(a.keys == std::vector<NamedValue>{{"service", Value::of_string("checkout")}});
  CHECK_FALSE(a.resolved);
  CHECK(a.description ==
        "error rate of checkout was 31% in the minute from 12:39 UTC, 6.2 times its normal 5%; the "
        "rule allows 15%");
  CHECK(a.id.rfind("error_surge:2024-01-09T12:39:00Z:", 0) == 0);
  CHECK(a.id.size() == std::string("error_surge:2024-01-09T12:39:00Z:").size() + 16);
}

TEST_CASE("too few requests raise nothing", "[detect]") {
  Run run({rule(kSurge)});
  for (int minute = 0; minute < 6; ++minute) run.feed({{minute}});
  CHECK(run.feed({{6, "checkout", 0.9, 19}}).empty());
  CHECK(run.feed({{7, "checkout", 0.9, 20}}).size() == 1);
}

// What a rule of the form `x > factor * baseline…(x, span) + more` says of one key, computed anew
// from all its rows for each of them.
struct Reference {
  double factor = 1;
  double more = 0;
  char summarise = 'm';  // mean, '<' min, '>' max.
  int span_minutes = 60;
  std::size_t warmup = 5;
  bool unflagged = true;

  std::map<int, double> raised(const std::map<int, std::optional<double>>& rows) const {
    std::map<int, double> out;
    for (const auto& [minute, value] : rows) {
      if (!value) continue;
      std::vector<double> ordinary;
      std::vector<double> all;
      for (const auto& [m, v] : rows) {
        if (m < minute - span_minutes || m >= minute || !v) continue;
        all.push_back(*v);
        if (out.count(m) == 0) ordinary.push_back(*v);
      }
      const std::vector<double>& used = unflagged && ordinary.size() >= warmup ? ordinary : all;
      if (used.size() < warmup) continue;
      double baseline = 0;
      if (summarise == '<') baseline = *std::min_element(used.begin(), used.end());
      if (summarise == '>') baseline = *std::max_element(used.begin(), used.end());
      if (summarise == 'm') {
        for (const double v : used) baseline += v;
        baseline /= static_cast<double>(used.size());
      }
      if (*value > factor * baseline + more) out[minute] = baseline;
    }
    return out;
  }
};

TEST_CASE("baselines agree with a naive reference on random histories", "[detect][baseline]") {
  std::mt19937_64 random(17);
  std::map<std::string, std::size_t> seen;
  for (int round = 0; round < 30; ++round) {
    // Gaps, NULLs, several keys, several windows at once; rules that hold now and then, mostly, and
    // always.
    const int span_minutes = 8 + static_cast<int>(random() % 60);
    const int warmup = 1 + static_cast<int>(random() % 7);
    const std::string span = fmt::format("(error_rate, '{}m')", span_minutes);
    std::map<std::string, Reference> references;
    std::vector<RuleOptions> rules;
    const auto add = [&](const std::string& name, const std::string& function, char summarise,
                         double factor, double more) {
      RuleOptions r =
          rule(fmt::format("error_rate > {} * {}{} + {}", factor, function, span, more));
      r.name = SourceText(name);
      r.warmup_windows = warmup;
      r.baseline_over_unflagged = name.find("all") == std::string::npos;
      rules.push_back(r);
      references[name] = {factor,
                          more,
                          summarise,
                          span_minutes,
                          static_cast<std::size_t>(warmup),
                          r.baseline_over_unflagged};
    };
    add("mean", "baseline", 'm', 1.5, 0);
    add("always", "baseline", 'm', 1, -10);
    add("often", "baseline", 'm', 1, -0.25);
    add("most", "baseline_max", '>', 0.75, 0);
    add("least", "baseline_min", '<', 1, 0.5);
    add("mean of all", "baseline", 'm', 1.5, 0);
    add("most of all", "baseline_max", '>', 0.75, 0);
    add("least of all", "baseline_min", '<', 1, 0.5);
    Run run(rules);

    std::map<std::string, std::map<int, std::optional<double>>> rows;
    std::vector<ServiceRow> pending;
    for (int minute = 0; minute < 250; ++minute) {
      for (const std::string key : {"a", "b", "c"}) {
        if (random() % 5 == 0) continue;
        std::optional<double> value;
        if (random() % 7 != 0) value = static_cast<double>(random() % 1000) / 1000;
        rows[key][minute] = value;
        pending.push_back({minute, key, value});
      }
      if (random() % 4 != 0 && !pending.empty()) {
        run.feed(pending);
        pending.clear();
      }
    }
    run.feed(pending);

    std::map<std::string, std::map<std::string, std::map<int, double>>> expected;
    for (const auto& [name, reference] : references) {
      for (const auto& [key, history] : rows) expected[name][key] = reference.raised(history);
    }
    for (const AnomalyPtr& a : run.all) {
      if (a->resolved) continue;
      ++seen[a->rule];
      auto& of_key = expected[a->rule][a->keys[0].value.text];
      const auto at = of_key.find(static_cast<int>((a->window_start - kBase) / kMinute));
      INFO(a->id);
      REQUIRE(at != of_key.end());
      REQUIRE(a->baseline_value.value() == Approx(at->second).epsilon(1e-12));
      of_key.erase(at);
    }
    for (const auto& [name, by_key] : expected) {
      for (const auto& [key, left] : by_key) CHECK(left.empty());
    }
  }
  for (const char* name :
       {"mean", "always", "often", "most", "least", "mean of all", "most of all", "least of all"}) {
    CHECK(seen[name] > 300);
  }
}

TEST_CASE("previous() is the key's last row, troubled or not", "[detect][baseline]") {
  RuleOptions before = rule("error_rate > previous(error_rate) - 10");
  Run run({before});
  run.feed({{0, "s", 0.1}});
  CHECK(run.feed({{1, "s", 0.9}})[0]->baseline_value == 0.1);
  CHECK(run.feed({{2, "s", 0.2}})[0]->baseline_value == 0.9);
  CHECK(run.feed({{3, "s", std::nullopt}}).size() == 2);  // Both are over.
  CHECK(run.feed({{5, "s", 0.3}}).empty());
}

TEST_CASE("an incident does not make the next one look harmless", "[detect][baseline]") {
  Run run({rule(kSurge)});
  for (int minute = 0; minute < 60; ++minute) run.feed({{minute, "checkout", 0.01}});
  for (int minute = 60; minute < 63; ++minute) {
    const auto raised = run.feed({{minute, "checkout", 0.5}});
    REQUIRE(raised.size() == 1);
    CHECK(raised[0]->baseline_value.value() == Approx(0.01));
  }
  for (int minute = 63; minute < 80; ++minute) run.feed({{minute, "checkout", 0.01}});
  const auto again = run.feed({{80, "checkout", 0.04}});
  REQUIRE(said(again) == Said{"checkout@80"});
  CHECK(again[0]->baseline_value.value() == Approx(0.01));
  // It is the rule's own trouble that counts, and the key's own.
  RuleOptions other = rule("error_rate > 10 * baseline(error_rate, '1h')");
  Run strict({other});
  for (int minute = 0; minute < 10; ++minute) {
    strict.feed({{minute, "a", minute % 2 == 0 ? 0.01 : 0.03}, {minute, "b", 0.5}});
  }
  CHECK(strict.feed({{10, "a", 0.5}, {10, "b", 0.5}})[0]->baseline_value.value() == Approx(0.02));
}

TEST_CASE("a baseline over all windows is their mean, flagged or not", "[detect][baseline]") {
  RuleOptions all = rule(kSurge);
  all.baseline_over_unflagged = false;
  Run run({all});
  for (int minute = 0; minute < 58; ++minute) run.feed({{minute, "checkout", 0.01}});
  CHECK(run.feed({{58, "checkout", 0.61}}).size() == 1);
  CHECK(run.feed({{59, "checkout", 0.01}}).size() == 1);  // The one is over.
  const auto again = run.feed({{60, "checkout", 0.5}});
  REQUIRE(again.size() == 1);
  CHECK(again[0]->baseline_value.value() == Approx(0.02));  // (59 × 0.01 + 0.61) / 60
  CHECK(run.feed({{61, "checkout", 0.02}}).size() == 1);
}

TEST_CASE("a level that lasts is the new normal once the old one is out of sight",
          "[detect][baseline]") {
  Run run({rule("error_rate > 3 * baseline(error_rate, '30m')")});
  for (int minute = 0; minute < 60; ++minute) run.feed({{minute, "s", 0.01}});
  int last = 0;
  for (int minute = 60; minute < 120; ++minute) {
    for (const AnomalyPtr& a : run.feed({{minute, "s", 0.2}})) {
      if (!a->resolved) last = (a->window_start - kBase) / kMinute;
    }
  }
  // Minutes 60 to 85 have at least five ordinary windows in the half-hour before them.
  CHECK(last == 85);
  // And back again: 0.01 is nothing to complain of, 0.2 soon is.
  for (int minute = 120; minute < 160; ++minute) CHECK(run.feed({{minute, "s", 0.01}}).empty());
  CHECK(run.feed({{160, "s", 0.2}}).size() == 1);
}

TEST_CASE("what is said does not depend on how many windows close at once", "[detect]") {
  std::mt19937_64 random(23);
  std::vector<std::vector<ServiceRow>> minutes;
  for (int minute = 0; minute < 300; ++minute) {
    std::vector<ServiceRow> rows;
    for (const char* key : {"a", "b", "c", "d"}) {
      if (random() % 6 == 0) continue;
      const bool surge = random() % 10 < 2;
      rows.push_back(
          {minute, key, surge ? 0.5 : 0.04 + 0.0001 * static_cast<double>(random() % 100)});
    }
    minutes.push_back(std::move(rows));
  }
  RuleOptions surge = rule(kSurge);
  surge.keep_firing_for = 3 * kMinute;
  RuleOptions second = rule("error_rate > 0.4");
  second.name = "high";
  second.hold = kMinute;
  std::vector<std::string> first;
  for (const std::size_t at_once : {1, 2, 7, 100}) {
    Run run({surge, second});
    for (std::size_t i = 0; i < minutes.size(); i += at_once) {
      std::vector<ServiceRow> rows;
      for (std::size_t m = i; m < std::min(minutes.size(), i + at_once); ++m) {
        rows.insert(rows.end(), minutes[m].begin(), minutes[m].end());
      }
      run.feed(rows);
    }
    std::vector<std::string> text;
    for (const AnomalyPtr& a : run.all) {
      text.push_back(a->id + " " + a->description + " " +
                     (a->resolved ? to_rfc3339(a->resolved_at.value()) : ""));
    }
    CHECK(text.size() > 50);
    if (first.empty()) first = text;
    // The last batch shows what a later one would show otherwise: compare all but the tail.
    CHECK(std::set<std::string>(text.begin(), text.end()) ==
          std::set<std::string>(first.begin(), first.end()));
    CHECK(text == first);
  }
}

TEST_CASE("open rows, the overflow group and other records are ignored", "[detect]") {
  Run run({rule("error_rate > 0.2")});
  WindowRow open = row_of({0, "s", 0.5});
  open.closed = false;
  CHECK(run.feed(batch_of(service_schema(), {open})).empty());
  WindowRow overflow = row_of({0, "__overflow__", 0.5});
  overflow.overflow = true;
  CHECK(run.feed(batch_of(service_schema(), {overflow})).empty());
  Records out;
  run.detector->process(Record(std::make_shared<const Anomaly>()), out);
  run.detector->process(Record(WindowBatchPtr()), out);
  CHECK(out.empty());
  CHECK(run.detector->states(10).empty());
}

TEST_CASE("the end of a stream is not a time", "[detect]") {
  Run run({rule("error_rate > 0.2")});
  auto batch = std::make_shared<WindowBatch>(*batch_of(std::vector<ServiceRow>{{0, "s", 0.5}}));
  batch->watermark = kMaxTimestamp;
  const auto raised = run.feed(WindowBatchPtr(batch));
  REQUIRE(raised.size() == 1);
  CHECK(raised[0]->detected_at == kBase + kMinute);
}

TEST_CASE("several rules may judge one window", "[detect]") {
  RuleOptions latency = rule("p95_latency_ms > 2 * 500");
  latency.name = "latency_spike";
  Run run({rule("error_rate > 0.2"), latency});
  const auto raised = run.feed({{0, "s", 0.5, 100, 1234.5}});
  REQUIRE(raised.size() == 2);
  CHECK(raised[1]->rule == "latency_spike");
  CHECK(raised[1]->metric_name == "p95_latency_ms");
  CHECK(raised[1]->metric_value == 1234.5);
  CHECK(raised[1]->threshold_value == 1000);
  CHECK_FALSE(raised[1]->baseline_value.has_value());
  CHECK(raised[1]->description ==
        "p95 latency of s was 1,234 ms in the minute from 12:34 UTC; the rule allows 1,000 ms");
}

TEST_CASE("people see how far a rule has warmed up", "[detect][states]") {
  Run run({rule(kSurge)});
  for (int minute = 0; minute < 3; ++minute) run.feed({{minute, "a"}, {minute, "b"}});
  auto states = run.detector->states(10);
  REQUIRE(states.size() == 2);
  CHECK(states[0].rule == "error_surge");
  CHECK(states[0].window == "service_metrics");
  CHECK(states[0].key == "a");
  CHECK(states[0].phase == "warming_up");
  CHECK(states[0].history_windows == 3);
  CHECK(states[0].warmup_windows == 5);
  CHECK(states[0].last_window_end == kBase + 3 * kMinute);

  for (int minute = 3; minute < 5; ++minute) run.feed({{minute, "a"}, {minute, "b"}});
  CHECK(run.detector->states(10)[1].phase == "ok");
  run.feed({{5, "a"}, {5, "b", 0.9}});
  states = run.detector->states(10);
  CHECK(states[0].key == "b");
  CHECK(states[0].phase == "firing");
  CHECK(run.detector->states(1).size() == 1);
  // What it said of a key that sends no more is resolved by time: it is not firing any more.
  for (int minute = 6; minute < 9; ++minute) run.feed({{minute, "a"}});
  states = run.detector->states(10);
  REQUIRE(states.size() == 2);
  CHECK(states[0].key == "a");
  CHECK(states[1].key == "b");
  CHECK(states[1].phase == "silent");

  RuleOptions slow = rule("error_rate > 0.2");
  slow.hold = kMinute;
  Run pending({slow});
  pending.feed({{0, "a", 0.9}});
  CHECK(pending.detector->states(1)[0].phase == "pending");
  CHECK(pending.detector->states(1)[0].warmup_windows == 0);
}

TEST_CASE("memory stays bounded by the number of keys", "[detect][bounds]") {
  Run run({rule("error_rate > 0.2")});
  // The first key fires, and is then forgotten: its anomaly must not stay open for ever.
  run.feed({{0, "first", 0.5}});
  std::vector<ServiceRow> rows;
  bool resolved = false;
  for (std::size_t i = 0; i < Detector::kMaxKeys + 100; ++i) {
    rows.push_back({0, "k" + std::to_string(i), 0.1});
    if (rows.size() == 1000) {
      for (const AnomalyPtr& a : run.feed(rows)) resolved = resolved || a->resolved;
      rows.clear();
    }
  }
  for (const AnomalyPtr& a : run.feed(rows)) resolved = resolved || a->resolved;
  CHECK(resolved);
  CHECK(run.detector->evicted_keys() == 101);
  CHECK(run.detector->states(1'000'000).size() == Detector::kMaxKeys);
}

TEST_CASE("a key that fires for ever keeps a bounded number of open anomalies",
          "[detect][bounds]") {
  Run run({rule("error_rate > 0.2")});
  std::size_t open = 0;
  for (int minute = 0; minute < 1'500; ++minute) {
    for (const AnomalyPtr& a : run.feed({{minute, "s", 0.5}})) open += a->resolved ? -1 : 1;
  }
  CHECK(open == Detector::kMaxOpenPerKey);
  for (const AnomalyPtr& a : run.feed({{1'500, "s", 0.1}})) open += a->resolved ? -1 : 1;
  CHECK(open == 0);
}

}  // namespace
}  // namespace streamobs::detect
