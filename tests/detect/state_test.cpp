// Snapshots of the detector: a run that is cut and restored anywhere says the same as one that is
// not.
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "detect/detector.h"
#include "detect/rows.h"
#include "event/record_state.h"
#include "support/catch.h"

namespace streamobs::detect {
namespace {

std::shared_ptr<WindowSchema> region_schema() {
  auto schema = service_schema();
  schema->window = "region_metrics";
  schema->keys.push_back({"region", {Kind::integer, 0}});
  schema->allowed_lateness = 10 * kSecond;
  return schema;
}

std::vector<RuleOptions> many_rules() {
  RuleOptions surge = rule(
      "error_rate > 3 * greatest(baseline(error_rate, '20m'), 0.02) and baseline(error_rate, "
      "'20m') is not null");
  surge.keep_firing_for = 3 * kMinute;
  RuleOptions held = rule("error_rate > 0.4");
  held.name = "held";
  held.hold = 2 * kMinute;
  RuleOptions jump = rule("p95_latency_ms > 1.5 * previous(p95_latency_ms)");
  jump.name = "jump";
  RuleOptions regional = rule("request_count > baseline_max(request_count + 1, '15m')");
  regional.name = "regional";
  regional.on = "region_metrics";
  regional.warmup_windows = 3;
  regional.hold = kMinute;
  return {surge, held, jump, regional};
}

std::shared_ptr<const DetectPlan> plan_of(const std::vector<RuleOptions>& rules) {
  Diagnostics diagnostics;
  auto plan = compile_rules(rules, {service_schema(), region_schema()}, diagnostics);
  if (plan == nullptr) throw std::runtime_error(diagnostics.at(0).message);
  return plan;
}

// Rows, gaps, NULLs, revisions, several windows at once, early rows, cuts.
std::vector<Record> random_history(std::mt19937_64& random, int minutes) {
  std::vector<Record> out;
  const auto services = service_schema();
  const auto regions = region_schema();
  std::uint64_t position = 0;
  for (int minute = 0; minute < minutes;) {
    const int at_once = random() % 6 == 0 ? 3 : 1;
    position += 1 + random() % 3;
    std::vector<WindowRow> rows;
    std::vector<WindowRow> regional;
    for (int m = minute; m < minute + at_once; ++m) {
      for (const char* key : {"a", "b", "c", "d|e", ""}) {
        if (random() % 5 == 0) continue;
        ServiceRow r{m, key, 0.04 + 0.0001 * static_cast<double>(random() % 100)};
        if (random() % 4 == 0) r.error_rate = 0.5;
        if (random() % 11 == 0) r.error_rate = std::nullopt;
        r.request_count = static_cast<std::int64_t>(random() % 200);
        r.p95_latency_ms = static_cast<double>(50 + random() % 100);
        rows.push_back(row_of(r));
        regional.push_back(row_of(r));
        const auto region = static_cast<std::int64_t>(random() % 2);
        regional.back().keys.push_back(region == 0 ? Value::of_null({Kind::integer, 0})
                                                   : Value::of_int(region));
      }
    }
    // A window that had closed is corrected.
    if (minute > 2 && random() % 5 == 0) {
      const ServiceRow late{minute - 1 - static_cast<int>(random() % 2), "a",
                            random() % 2 == 0 ? 0.5 : 0.01};
      out.emplace_back(
          batch_of(services, {row_of(late)}, position, kBase + (minute + 1) * kMinute));
    }
    minute += at_once;
    out.emplace_back(batch_of(services, rows, position));
    if (random() % 3 != 0) out.emplace_back(batch_of(regions, regional, position));
    if (random() % 7 == 0) {
      auto early = std::make_shared<WindowBatch>(*batch_of(services, rows, position));
      early->early = true;
      for (WindowRow& row : early->rows) row.closed = false;
      out.emplace_back(WindowBatchPtr(early));
    }
    auto cut = std::make_shared<Cut>();
    cut->position = position;
    out.emplace_back(CutPtr(cut));
  }
  return out;
}

std::string bytes_of(const Records& records) {
  std::string out;
  for (const Record& record : records) put_anomaly(out, *std::get<AnomalyPtr>(record));
  return out;
}

std::string snapshot_of(const Detector& detector) {
  std::string out;
  detector.snapshot(out);
  return out;
}

std::unique_ptr<Detector> restored_from(const std::string& bytes,
                                        const std::shared_ptr<const DetectPlan>& plan) {
  auto detector = std::make_unique<Detector>(plan);
  const auto restored = detector->restore(bytes);
  REQUIRE(restored.has_value());
  CHECK(restored->lost.empty());
  return detector;
}

TEST_CASE("cut and restored between any two records, it says the same", "[detect][state]") {
  const auto plan = plan_of(many_rules());
  std::mt19937_64 random(5);
  std::map<std::string, int> said;
  for (int round = 0; round < 30; ++round) {
    const std::vector<Record> history = random_history(random, 60);
    Detector whole(plan);
    auto always = std::make_unique<Detector>(plan);     // Restored at every boundary.
    auto sometimes = std::make_unique<Detector>(plan);  // At some.
    for (const Record& record : history) {
      Records expected;
      whole.process(record, expected);
      for (const Record& r : expected) {
        CHECK(position_of(r) == position_of(record));
        ++said[std::get<AnomalyPtr>(r)->rule];
      }
      if (std::holds_alternative<CutPtr>(record)) CHECK(expected.empty());
      for (auto* const detector : {&always, &sometimes}) {
        const std::string before = snapshot_of(**detector);
        if (detector == &always || random() % 9 == 0) {
          *detector = restored_from(before, plan);
          REQUIRE(snapshot_of(**detector) == before);
        }
        Records out;
        (*detector)->process(record, out);
        REQUIRE(bytes_of(out) == bytes_of(expected));
      }
    }
    CHECK(snapshot_of(whole) == snapshot_of(*always));
    CHECK(snapshot_of(whole) == snapshot_of(*sometimes));
    const auto before = whole.states(100);
    const auto after = always->states(100);
    REQUIRE(before.size() == after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      CHECK(before[i].rule + before[i].key + before[i].phase ==
            after[i].rule + after[i].key + after[i].phase);
      CHECK(before[i].history_windows == after[i].history_windows);
    }
  }
  for (const char* name : {"error_surge", "held", "jump", "regional"}) CHECK(said[name] > 50);
}

TEST_CASE("forgotten keys leave no trace in a snapshot", "[detect][state]") {
  // Two rules in another order of the config, and keys beyond the bound.
  const auto rules = many_rules();
  const auto plan = plan_of(rules);
  Detector one(plan);
  Detector other(plan_of({rules[2], rules[1], rules[3], rules[0]}));
  for (int batch = 0; batch < 11; ++batch) {
    std::vector<ServiceRow> rows;
    for (int i = 0; i < 10'000; ++i) rows.push_back({0, "k" + std::to_string(batch * 10'000 + i)});
    Records out;
    const auto made = batch_of(rows);
    one.process(made, out);
    other.process(made, out);
  }
  const std::string bytes = snapshot_of(one);
  CHECK(bytes == snapshot_of(other));
  CHECK(one.evicted_keys() == 30'000);
  const auto again = restored_from(bytes, plan);
  // The next ones to be forgotten are the same.
  Records out;
  const auto more = batch_of(std::vector<ServiceRow>{{0, "new"}, {0, "k15000"}, {0, "newer"}});
  one.process(more, out);
  again->process(more, out);
  CHECK(snapshot_of(one) == snapshot_of(*again));
}

struct Changed {
  explicit Changed(const std::vector<RuleOptions>& now) : detector(plan_of(now)) {
    Detector before(plan_of(many_rules()));
    Records out;
    for (int minute = 0; minute < 8; ++minute) before.process(batch_of({row(minute, 0.05)}), out);
    out.clear();
    for (int minute = 8; minute < 11; ++minute) before.process(batch_of({row(minute, 0.5)}), out);
    for (const Record& r : out) raised.push_back(std::get<AnomalyPtr>(r)->rule);
    auto result = detector.restore(snapshot_of(before));
    REQUIRE(result.has_value());
    restored = std::move(*result);
  }
  static ServiceRow row(int minute, double rate) { return {minute, "checkout", rate}; }

  Detector detector;
  std::vector<std::string> raised;
  RestoredRules restored;
};

TEST_CASE("rules that are gone hand back what they had open", "[detect][state]") {
  auto rules = many_rules();
  const Changed same(rules);
  CHECK(same.raised ==
        std::vector<std::string>{"error_surge", "error_surge", "error_surge", "held"});
  CHECK(same.restored.lost.empty());

  rules.erase(rules.begin() + 1);
  Changed gone(rules);
  REQUIRE(gone.restored.lost.size() == 1);
  const RestoredRules::Lost& lost = gone.restored.lost[0];
  CHECK(lost.rule == "held");
  CHECK(lost.gone);
  CHECK_FALSE(lost.history_kept);
  REQUIRE(lost.open.size() == 1);
  const Records withdrawn = gone.restored.withdrawn(77);
  REQUIRE(withdrawn.size() == 1);
  const Anomaly& a = *std::get<AnomalyPtr>(withdrawn[0]);
  CHECK(a.id == lost.open[0]->id);
  CHECK(a.resolved);
  CHECK(a.resolved_at == kBase + 11 * kMinute);
  CHECK(a.position == 77);
  // The others go on.
  Records out;
  gone.detector.process(batch_of({Changed::row(11, 0.9)}), out);
  REQUIRE(out.size() == 1);
  const Anomaly& next = *std::get<AnomalyPtr>(out[0]);
  CHECK(next.rule == "error_surge");
  CHECK(next.since == kBase + 8 * kMinute);
  CHECK(next.baseline_before.value() == Approx(0.05));
}

TEST_CASE("a rule that says something else keeps only what it looks back on", "[detect][state]") {
  auto rules = many_rules();
  rules[0].when = SourceText(
      "error_rate > 4 * greatest(baseline(error_rate, '20m'), 0.02) and baseline(error_rate, "
      "'20m') is not null");
  rules[1].hold = 0;
  rules[2].severity = Severity::low;
  rules[2].description = "{service} jumped";
  Changed changed(rules);
  REQUIRE(changed.restored.lost.size() == 2);  // The severity and the words are nothing else.
  CHECK(changed.restored.lost[0].rule == "error_surge");
  CHECK_FALSE(changed.restored.lost[0].gone);
  CHECK(changed.restored.lost[0].history_kept);
  CHECK(changed.restored.lost[0].open.size() == 3);
  CHECK(changed.restored.lost[1].rule == "held");
  CHECK_FALSE(changed.restored.lost[1].gone);
  CHECK_FALSE(changed.restored.lost[1].history_kept);
  CHECK(changed.restored.withdrawn(1).size() == 4);
  // Its baseline is warm: eight windows at 0.05. The three at 0.5 were in trouble.
  Records out;
  changed.detector.process(batch_of({Changed::row(11, 0.9)}), out);
  REQUIRE(out.size() == 2);
  const Anomaly& a = *std::get<AnomalyPtr>(out[0]);
  CHECK(a.rule == "error_surge");
  CHECK(a.baseline_value.value() == Approx(0.05));
  CHECK(a.since == kBase + 11 * kMinute);
}

TEST_CASE("a window of another definition starts anew", "[detect][state]") {
  const auto rules = many_rules();
  Detector before(plan_of(rules));
  Records out;
  for (int minute = 0; minute < 8; ++minute) {
    before.process(batch_of({Changed::row(minute, 0.05)}), out);
  }
  auto schema = service_schema();
  schema->definition = 42;
  Diagnostics diagnostics;
  Detector now(compile_rules(rules, {schema, region_schema()}, diagnostics));
  const auto restored = now.restore(snapshot_of(before));
  REQUIRE(restored.has_value());
  REQUIRE(restored->lost.size() == 3);
  for (const auto& lost : restored->lost) CHECK_FALSE(lost.history_kept);
  CHECK(now.states(10).empty());
}

TEST_CASE("a metric of another definition has no past, a new one disturbs nobody",
          "[detect][state]") {
  const auto rules = many_rules();
  Detector before(plan_of(rules));
  Records out;
  for (int minute = 0; minute < 8; ++minute) {
    before.process(batch_of({Changed::row(minute, 0.05)}), out);
  }
  const auto lost_with = [&](const std::shared_ptr<WindowSchema>& schema) {
    Diagnostics diagnostics;
    Detector now(compile_rules(rules, {schema, region_schema()}, diagnostics));
    const auto restored = now.restore(snapshot_of(before));
    REQUIRE(restored.has_value());
    std::vector<std::string> names;
    for (const auto& lost : restored->lost) names.push_back(lost.rule);
    return names;
  };
  auto more = service_schema();
  more->metrics.insert(more->metrics.begin(), {"sessions", {Kind::integer, 0}, 9});
  CHECK(lost_with(more).empty());
  auto other = service_schema();
  other->metrics[2].definition = 9;
  CHECK(lost_with(other) == std::vector<std::string>{"jump"});
}

TEST_CASE("of each anomaly revisions count up, across restarts and changes of the rule",
          "[detect][state][revision]") {
  auto rules = many_rules();
  auto others = rules;
  others[1].hold = 0;
  others[2].when = "p95_latency_ms > 1.4 * previous(p95_latency_ms)";
  others[2].on = "region_metrics";
  auto fewer = rules;
  fewer.erase(fewer.begin());
  fewer.pop_back();
  const std::shared_ptr<const DetectPlan> plans[] = {plan_of(rules), plan_of(others),
                                                     plan_of(fewer)};
  std::mt19937_64 random(23);
  std::uint64_t said_again = 0;
  std::uint64_t withdrawn = 0;
  for (int round = 0; round < 60; ++round) {
    std::map<std::string, AnomalyPtr> newest;
    const auto take = [&](const Records& records) {
      for (const Record& r : records) {
        const AnomalyPtr& a = std::get<AnomalyPtr>(r);
        const auto known = newest.find(a->id);
        // The first of an id is raised or, of a window that was over at once, both in turn.
        REQUIRE(a->revision == (known == newest.end() ? 0 : known->second->revision + 1));
        said_again += known == newest.end() ? 0 : 1;
        withdrawn += a->withdrawn ? 1 : 0;
        CHECK((a->resolved || !a->withdrawn));
        newest[a->id] = a;
      }
    };
    auto detector = std::make_unique<Detector>(plans[0]);
    std::uint64_t position = 0;
    for (const Record& record : random_history(random, 60)) {
      Records out;
      detector->process(record, out);
      take(out);
      position = position_of(record);
      if (random() % 15 != 0) continue;
      auto next = std::make_unique<Detector>(plans[random() % 3]);
      const auto restored = next->restore(snapshot_of(*detector));
      REQUIRE(restored.has_value());
      take(restored->withdrawn(position));
      detector = std::move(next);
    }
    // Long after, everything is over: nothing is left that readers would take for open.
    for (const int minute : {500, 501}) {
      Records out;
      const std::vector<WindowRow> rows = {row_of({minute, "z"})};
      detector->process(batch_of(service_schema(), rows, ++position), out);
      auto regional = rows;
      regional[0].keys.push_back(Value::of_int(1));
      detector->process(batch_of(region_schema(), regional, position), out);
      take(out);
    }
    for (const auto& [id, a] : newest) CHECK(a->resolved);
  }
  CHECK(said_again > 500);
  CHECK(withdrawn > 20);
}

TEST_CASE("a snapshot that nobody wrote is refused, and changes nothing", "[detect][state]") {
  const auto plan = plan_of(many_rules());
  std::mt19937_64 random(9);
  Detector detector(plan);
  for (const Record& record : random_history(random, 12)) {
    Records out;
    detector.process(record, out);
  }
  const std::string good = snapshot_of(detector);
  Detector other(plan);
  const std::string empty = snapshot_of(other);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto result = other.restore(std::string_view(good).substr(0, size));
    REQUIRE(result.has_error());
    CHECK(result.error().code == ErrorCode::corrupt);
  }
  CHECK(other.restore(good + "x").has_error());
  CHECK(snapshot_of(other) == empty);
  std::string newer = good;
  newer[0] = 9;
  CHECK(other.restore(newer).error().message.find("version 9") != std::string::npos);

  // Whatever is accepted can be worked with.
  const std::vector<Record> more = random_history(random, 20);
  for (int i = 0; i < 3'000; ++i) {
    std::string bad = good;
    const int flips = 1 + static_cast<int>(random() % 3);
    for (int f = 0; f < flips; ++f) {
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    }
    Detector victim(plan);
    if (victim.restore(bad).has_error()) continue;
    Records out;
    for (const Record& record : more) victim.process(record, out);
    std::string again;
    victim.snapshot(again);
  }
}

}  // namespace
}  // namespace streamobs::detect
