// How events are cut into batches must not show: of one history, cut in several ways, detector and
// narrator say the same, and in the same order. From events on, through the real windows.
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "detect/detector.h"
#include "event/record_state.h"
#include "narrate/narrator.h"
#include "support/catch.h"
#include "window/plan.h"
#include "window/support.h"

namespace streamobs::detect {
namespace {

using window_test::Compiled;
using window_test::Engine;
using Event = window_test::Event;

struct Scene {
  explicit Scene(std::mt19937& random) {
    const bool hopping = random() % 3 == 0;
    const Duration lateness = static_cast<Duration>(random() % 3) * 10 * kSecond;
    window::WindowOptions fine =
        window_test::options("fine", {{"service", "service"}}, {{"m", "avg(latency_ms)"}},
                             hopping ? 3 * kMinute : kMinute, lateness);
    if (hopping) fine.hop = kMinute;
    const bool corrects = random() % 4 != 0;
    if (corrects) fine.correct_for = 20 * kMinute;
    window::WindowOptions coarse = window_test::options(
        "coarse", {{"service", "service"}}, {{"n", "count(*)"}}, 5 * kMinute, 30 * kSecond);
    if (corrects) coarse.correct_for = 30 * kMinute;
    compiled = window_test::compile({fine, coarse});
    INFO(window_test::text_of(compiled.diagnostics));
    REQUIRE(compiled.plan != nullptr);

    std::vector<RuleOptions> rules(4);
    rules[0].name = "high";
    rules[0].when = SourceText("m > 5");
    rules[1].name = "long";
    rules[1].when = SourceText("m > 5");
    rules[1].hold = 2 * kMinute;
    rules[2].name = "unusual";
    rules[2].when = SourceText("m > 2 * baseline(m, '10m')");
    rules[2].warmup_windows = 2;
    rules[3].name = "many";
    rules[3].when = SourceText("n > 4");
    for (RuleOptions& rule : rules) {
      rule.on = rule.name.text == "many" ? "coarse" : "fine";
      if (random() % 2 == 0) rule.keep_firing_for = 2 * kMinute;
    }
    std::vector<std::shared_ptr<const WindowSchema>> schemas;
    for (const auto& window : compiled.plan->windows) schemas.push_back(window.schema);
    Diagnostics diagnostics;
    plan = compile_rules(rules, schemas, diagnostics);
    INFO(window_test::text_of(diagnostics));
    REQUIRE(plan != nullptr);
    incidents.gap = static_cast<Duration>(1 + random() % 5) * kMinute;
    incidents.resolve_after = static_cast<Duration>(1 + random() % 5) * kMinute;
  }

  Compiled compiled;
  std::shared_ptr<const DetectPlan> plan;
  narrate::IncidentOptions incidents;
};

std::vector<Event> events_of(std::mt19937& random) {
  std::vector<Event> events;
  Timestamp now = 1'704'803'640;
  for (int i = 0; i < 120; ++i) {
    constexpr int kSteps[] = {1, 5, 20, 45, 90};
    constexpr int kBack[] = {0, 0, 0, 30, 90, 200, 400, 900};
    constexpr double kValues[] = {0, 1, 10, 20, -30};
    now += kSteps[random() % 5];
    events.push_back(window_test::event(
        now - kBack[random() % 8], std::string(1, "abc"[random() % 3]), kValues[random() % 5]));
  }
  // Hours later everything is over.
  for (int i = 1; i < 4; ++i) events.push_back(window_test::event(now + i * 3600, "z", 0));
  return events;
}

/// What was said, each as its bytes: where in the log it was differs from cut to cut.
struct Said {
  std::vector<std::string> anomalies;
  std::vector<std::string> incidents;
  std::uint64_t withdrawn = 0;
};

/// `cut`: how many events the next batch has.
template <class Cut>
Said said_of(const Scene& scene, const std::vector<Event>& events, Cut cut) {
  Engine engine(scene.compiled, 1, 1, 1);
  for (std::size_t at = 0; at < events.size();) {
    const std::size_t n = std::min<std::size_t>(cut(), events.size() - at);
    engine.push(&events[at], n);
    at += n;
  }
  engine.drain();
  Detector detector(scene.plan);
  narrate::Narrator narrator(scene.incidents);
  Said said;
  std::map<std::string, std::uint32_t> revisions;  // The next of each id.
  for (const Record& rows : engine.records) {
    Records records{rows};
    detector.process(rows, records);
    for (const Record& record : records) {
      if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) {
        Anomaly a = **anomaly;
        REQUIRE(a.revision == revisions[a.id]++);
        a.position = 0;
        put_anomaly(said.anomalies.emplace_back(), a);
        said.withdrawn += a.withdrawn ? 1 : 0;
      }
      Records told;
      narrator.process(record, told);
      for (const Record& incident : told) {
        Incident i = *std::get<IncidentPtr>(incident);
        i.position = 0;
        put_incident(said.incidents.emplace_back(), i);
      }
    }
  }
  return said;
}

TEST_CASE("anomalies and incidents are the same however events are cut into batches",
          "[detect][narrate][correction]") {
  std::uint64_t withdrawn = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const Scene scene(random);
    const std::vector<Event> events = events_of(random);
    const Said each = said_of(scene, events, [] { return 1; });
    CHECK(each.anomalies.size() > 5);
    CHECK_FALSE(each.incidents.empty());
    withdrawn += each.withdrawn;
    const Said whole = said_of(scene, events, [&] { return events.size(); });
    REQUIRE(whole.anomalies == each.anomalies);
    REQUIRE(whole.incidents == each.incidents);
    for (const unsigned most : {3U, 10U, 40U}) {
      const Said some = said_of(scene, events, [&] { return 1 + random() % most; });
      REQUIRE(some.anomalies == each.anomalies);
      REQUIRE(some.incidents == each.incidents);
    }
  }
  CHECK(withdrawn > 50);
}

}  // namespace
}  // namespace streamobs::detect
